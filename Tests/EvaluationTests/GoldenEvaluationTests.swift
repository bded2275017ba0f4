// Keys, values and CSV files equal the reference's on fixed embeddings, at every world size.

import Foundation
import Synchronization
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// Looks texts up in a table of embeddings.
private final class TableModel: SentenceEncoding {
    let similarity: String
    let prompts = ["query": "query: ", "document": "doc: "]
    let rows: [String: [Float]]

    init(_ table: JSONValue, similarity: String) {
        self.similarity = similarity
        var rows: [String: [Float]] = [:]
        for (key, value) in table.object ?? JSONObject() { rows[key] = value.array?.map { Float($0.double ?? .nan) } }
        self.rows = rows
    }

    func encode(_ texts: [String], prompt: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?) throws -> Embeddings
    {
        let width = rows.values.first?.count ?? 1
        return Embeddings(
            rows: texts.flatMap { rows[(prompt ?? "") + $0] ?? [Float](repeating: .nan, count: width) },
            dimension: width)
    }
}

/// What evaluators print.
private final class Lines: Sendable {
    private let lines = Mutex("")
    var text: String { lines.withLock { $0 } }
    func append(_ line: String) { lines.withLock { $0 += line + "\n" } }
}

@Suite struct GoldenEvaluationTests {
    static let cases: [JSONValue] = {
        (try? JSONValue.parse(file: Goldens.path("evaluation/cases.json")).array) ?? []
    }()

    /// The evaluator of a case, its data written to files and read back as a user's are.
    private static func evaluator(_ golden: JSONValue, _ folder: String) throws -> any Evaluator {
        var options = golden["options"]?.object ?? JSONObject()
        let name = golden["class"]?.string ?? ""
        if name == "InformationRetrievalEvaluator" {
            func lines(_ key: String) -> String {
                (golden["data"]?[key]?.object ?? JSONObject()).map {
                    JSONValue.object(["_id": .string($0.key), "text": $0.value]).serialized() + "\n"
                }.joined()
            }
            var judgements = "query-id\tcorpus-id\tscore\n"
            for (query, documents) in golden["data"]?["relevant"]?.object ?? JSONObject() {
                for document in documents.array ?? [] { judgements += "\(query)\t\(document.string ?? "")\t1\n" }
            }
            try AtomicWrite.file(path: folder + "/corpus.jsonl", text: lines("corpus"))
            try AtomicWrite.file(path: folder + "/queries.jsonl", text: lines("queries"))
            try AtomicWrite.file(path: folder + "/qrels.tsv", text: judgements)
            options.set("corpus", .string(folder + "/corpus.jsonl"))
            options.set("queries", .string(folder + "/queries.jsonl"))
            options.set("qrels", .string(folder + "/qrels.tsv"))
        } else {
            let keys =
                columns[name] ?? ["sentence1", "sentence2", name == "EmbeddingSimilarityEvaluator" ? "score" : "label"]
            let lines = (golden["data"]?.array ?? []).map { row in
                var object = JSONObject()
                for (key, value) in zip(keys, row.array ?? []) { object.set(key, value) }
                return JSONValue.object(object).serialized() + "\n"
            }
            try AtomicWrite.file(path: folder + "/data.jsonl", text: lines.joined())
            options.set("path", .string(folder + "/data.jsonl"))
        }
        if let head = golden["classifier"] {
            try writeClassifier(head, folder + "/loss.safetensors")
            options.set("classifier", .string(folder + "/loss.safetensors"))
        }
        let teacher = golden["teacher"]
        if teacher != nil { options.set("teacher_model", .string("the teacher")) }
        var whole = EvaluatorOptions(
            place: "evaluators[0]", object: options, modelSimilarity: golden["similarity"]?.string ?? "")
        whole.loadModel = { path in
            #expect(path == "the teacher")
            return TableModel(teacher ?? .null, similarity: "cosine")
        }
        return try EvaluatorRegistry.make(name: name, options: whole)
    }

    private static let columns = [
        "TripletEvaluator": ["anchor", "positive", "negative"], "MSEEvaluator": ["source", "target"],
        "TranslationEvaluator": ["source", "target"], "MSEEvaluatorFromDataFrame": ["en", "de", "fr"],
    ]

    private static func writeClassifier(_ head: JSONValue, _ path: String) throws {
        let rows = head["weight"]?.array ?? []
        let weight = rows.flatMap { $0.array ?? [] }.map { Float($0.double ?? .nan) }
        let bias = head["bias"]?.array?.map { Float($0.double ?? .nan) }
        try weight.withUnsafeBytes { weight in
            try (bias ?? []).withUnsafeBytes { values in
                var tensors: [SafetensorsWriter.Tensor] = [
                    ("classifier.weight", .f32, [rows.count, weight.count / rows.count / 4], weight)
                ]
                if bias != nil { tensors.append(("classifier.bias", .f32, [rows.count], values)) }
                try SafetensorsWriter.write(path: path, tensors: tensors)
            }
        }
    }

    @Test func thereAreCases() {
        #expect(Self.cases.count == 44)
        #expect(Set(Self.cases.compactMap { $0["class"]?.string }).count == 8)
    }

    @Test(arguments: cases.indices) func metricsAndFiles(_ index: Int) throws {
        let golden = Self.cases[index]
        let similarity = golden["similarity"]?.string ?? ""
        let wanted = (golden["metrics"]?.array ?? []).map {
            (key: $0.array?[0].string ?? "", value: $0.array?[1].double ?? .nan)
        }
        for world in [1, 2, 4] {
            let results = try LocalEnsemble.run(world: world) { ensemble -> [(String, Double)] in
                let model = TableModel(golden["embeddings"] ?? .null, similarity: similarity)
                return try withTemporaryDirectory { folder in
                    let evaluator = try Self.evaluator(golden, folder)
                    let output = folder + "/run"
                    let printed = Lines()
                    var first = EvaluationContext(outputDirectory: output, epoch: 0.5, step: 10)
                    first.report = { printed.append($0) }
                    let metrics = try evaluator.evaluate(model: model, ensemble: ensemble, context: first)
                    if ensemble.isRoot {
                        #expect(String(repeating: printed.text, count: 3) == golden["printed"]?.string ?? "")
                    } else {
                        #expect(printed.text.isEmpty)
                    }
                    for (epoch, step) in [(1.0, 20), (0.5, 10), (-1.0, -1)] {  // step 10 again: a resumed run
                        var context = EvaluationContext(outputDirectory: output, epoch: epoch, step: step)
                        context.report = { _ in }
                        _ = try evaluator.evaluate(model: model, ensemble: ensemble, context: context)
                    }
                    #expect(evaluator.primaryMetric == golden["primary"]?.string)
                    #expect(Set(evaluator.metricKeys) == Set(wanted.map(\.key)))
                    if ensemble.isRoot { try Self.check(golden["files"]?.object ?? JSONObject(), output + "/eval") }
                    return metrics.map { ($0.key, $0.value) }
                }
            }
            for metrics in results {
                let found = Dictionary(uniqueKeysWithValues: metrics)
                #expect(found.count == wanted.count)
                for (key, value) in wanted {
                    let mine = found[key] ?? .infinity
                    #expect(
                        value.isNaN ? mine.isNaN : abs(mine - value) <= 1e-6,
                        "\(golden["name"]?.string ?? "") \(key) \(mine) \(value)")
                }
            }
        }
    }

    /// Same files, header, line ends, rows and first columns; numbers to six digits.
    private static func check(_ files: JSONObject, _ folder: String) throws {
        for (name, text) in files {
            let wanted = Array((text.string ?? "").utf8)
            let found = Array(FileManager.default.contents(atPath: folder + "/" + name) ?? Data())
            #expect(wanted.filter { $0 == 13 }.count == found.filter { $0 == 13 }.count)
            let (a, b) = (rows(wanted), rows(found))
            #expect(a.count == b.count && a.first == b.first)
            for (x, y) in zip(a.dropFirst(), b.dropFirst()) {
                #expect(x.prefix(2) == y.prefix(2) && x.count == y.count)
                for (u, v) in zip(x, y) { #expect(u == v || abs((Double(u) ?? 0) - (Double(v) ?? 9)) <= 1e-6) }
            }
        }
    }

    private static func rows(_ bytes: [UInt8]) -> [[String]] {
        String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline).map {
            $0.split(separator: ",").map(String.init)
        }
    }

    @Test func wrongOptionsAreToldWithTheNearestName() {
        func failure(_ name: String, _ options: JSONObject) -> TuttiError? {
            do {
                _ = try EvaluatorRegistry.make(
                    name: name,
                    options: EvaluatorOptions(place: "evaluators[0]", object: options, modelSimilarity: "cosine"))
                return nil
            } catch { return error }
        }
        #expect(failure("TripletEvaluater", [:])?.hint?.contains("TripletEvaluator") == true)
        let unknown = failure("TripletEvaluator", ["path": .string("x.csv"), "margins": .number(1)])
        #expect(unknown?.kind == .usage && unknown?.hint?.contains("'margin'") == true)
        #expect(failure("TripletEvaluator", ["path": .string("/nowhere.csv")])?.kind == .missingFile)
        let function = failure("TripletEvaluator", ["path": .string("x"), "similarity_fn_names": .string("cosin")])
        #expect(function?.kind == .usage && function?.hint?.contains("cosine") == true)
        #expect(
            failure("InformationRetrievalEvaluator", ["corpus": .string("x"), "mrr_at_k": .integer(0)])?.kind == .usage)
    }
}
