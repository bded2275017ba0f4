// Keys, values and files of the searching evaluators equal the reference's on fixed embeddings, at every world size.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround

@Suite struct GoldenSearchTests {
    static let cases: [JSONValue] = {
        (try? JSONValue.parse(file: Goldens.path("evaluation/search.json")).array) ?? []
    }()
    private static let prompts = ["query": "query: ", "document": "doc: ", "third": "third: "]

    @Test func thereAreCases() { #expect(Self.cases.count == 22) }

    @Test(arguments: cases.indices) func metricsAndFiles(_ index: Int) throws {
        let golden = Self.cases[index]
        let name = golden["name"]?.string ?? ""
        let wanted = (golden["metrics"]?.array ?? []).map {
            (key: $0.array?[0].string ?? "", value: $0.array?[1].double ?? .nan)
        }
        for world in [1, 2, 4] {
            let results = try LocalEnsemble.run(world: world) { ensemble -> [(String, Double)] in
                let model = StandInModel(golden: golden, prompts: Self.prompts)
                return try withTemporaryDirectory { folder in
                    let evaluator = try Self.evaluator(golden, folder)
                    let output = folder + "/run"
                    let moments = [(0.5, 10), (1.0, 20), (-1.0, -1)]
                    let metrics = try moments.map { epoch, step in
                        try evaluator.evaluate(
                            model: model, ensemble: ensemble,
                            context: EvaluationContext(outputDirectory: output, epoch: epoch, step: step))
                    }
                    #expect(evaluator.primaryMetric == golden["primary"]?.string)
                    #expect(evaluator.metricKeys == metrics[0].map(\.key))
                    if ensemble.isRoot { try Self.check(golden["files"]?.object ?? JSONObject(), output + "/eval") }
                    return metrics[0].map { ($0.key, $0.value) }
                }
            }
            for metrics in results {
                let found = Dictionary(uniqueKeysWithValues: metrics)
                #expect(Set(found.keys) == Set(wanted.map(\.key)))
                for (key, value) in wanted {
                    let mine = found[key] ?? .infinity
                    #expect(abs(mine - value) <= 1e-6, "\(name), \(world) ranks: \(key) \(mine), not \(value)")
                }
            }
        }
    }

    /// The evaluator of a case, its data written to files and read back as a user's are.
    private static func evaluator(_ golden: JSONValue, _ folder: String) throws -> any Evaluator {
        var options = golden["options"]?.object ?? JSONObject()
        let data = golden["data"] ?? .null
        func write(_ name: String, _ text: String) throws -> JSONValue {
            try AtomicWrite.file(path: folder + "/" + name, text: text)
            return .string(folder + "/" + name)
        }
        let name = golden["class"]?.string ?? ""
        switch name {
        case "RerankingEvaluator":
            options["path"] = try write(
                "samples.jsonl",
                (data["samples"]?.array ?? []).map { $0.serialized() + "\n" }.joined())
        case "ParaphraseMiningEvaluator":
            let sentences = data["sentences"]?.object ?? JSONObject()
            options["sentences_map"] = try write(
                "sentences.csv", "id,sentence\n" + sentences.map { "\($0.key),\($0.value.string ?? "")\n" }.joined())
            if let list = data["list"]?.array {
                options["duplicates_list"] = try write(
                    "duplicates.jsonl", list.map { $0.serialized() + "\n" }.joined())
            }
            if let marks = data["dict"], !marks.isNull {
                options["duplicates_dict"] = try write("duplicates.json", marks.serialized())
            }
        case "NanoBEIREvaluator":
            for (place, entry) in (data.object ?? JSONObject()).enumerated() {
                let named = place == 0 ? "Nano" + entry.key.uppercased() : entry.key
                try writeCollection(entry.value, folder + "/" + named, hasScores: false)
            }
            options["path"] = .string(folder)
        default:
            try writeCollection(data, folder, hasScores: true)
            for (key, file) in [("corpus", "corpus.jsonl"), ("queries", "queries.jsonl"), ("qrels", "qrels.tsv")] {
                options[key] = .string(folder + "/" + file)
            }
        }
        return try EvaluatorRegistry.make(
            name: name,
            options: EvaluatorOptions(
                place: "evaluators[0]", object: options, modelSimilarity: golden["similarity"]?.string ?? "",
                modelPrompts: prompts))
    }

    private static func writeCollection(_ data: JSONValue, _ folder: String, hasScores: Bool) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for key in ["corpus", "queries"] {
            var lines = (data[key]?.object ?? JSONObject()).map { id, text in
                JSONValue.object(["_id": .string(id), "text": text]).serialized() + "\n"
            }
            if !hasScores { lines.append("{\"_id\": \"empty\", \"text\": \"\"}\n") }
            try AtomicWrite.file(path: "\(folder)/\(key).jsonl", text: lines.joined())
        }
        var judgements = "query-id\tcorpus-id\(hasScores ? "\tscore" : "")\n"
        for (query, documents) in data["relevant"]?.object ?? JSONObject() {
            for document in documents.array ?? [] {
                judgements += "\(query)\t\(document.string ?? "")\(hasScores ? "\t1" : "")\n"
            }
        }
        try AtomicWrite.file(path: folder + "/qrels.tsv", text: judgements)
    }

    /// Same files; the same line ends, names and texts in them, numbers to six digits.
    private static func check(_ files: JSONObject, _ folder: String) throws {
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == files.keys.sorted())
        for (name, text) in files {
            let wanted = text.string ?? ""
            let bytes = FileManager.default.contents(atPath: folder + "/" + name) ?? Data()
            let found = String(decoding: bytes, as: UTF8.self)
            #expect(wanted.utf8.filter { $0 == 13 }.count == found.utf8.filter { $0 == 13 }.count)
            let (a, b) = (wanted.split(whereSeparator: \.isNewline), found.split(whereSeparator: \.isNewline))
            #expect(a.count == b.count, "\(name)")
            for (x, y) in zip(a, b) {
                let isJSON = name.hasSuffix(".jsonl")
                let (u, v) = (isJSON ? try atoms(x) : cells(x), isJSON ? try atoms(y) : cells(y))
                #expect(u.count == v.count, "\(name): \(x) \(y)")
                for (p, q) in zip(u, v) {
                    #expect(p == q || abs((Double(p) ?? 0) - (Double(q) ?? 9)) <= 1e-6, "\(name): \(p), not \(q)")
                }
            }
        }
    }

    private static func cells(_ line: Substring) -> [String] { line.split(separator: ",").map(String.init) }

    /// The keys, strings and numbers of a JSON value in their order.
    private static func atoms(_ line: Substring) throws -> [String] {
        func walk(_ value: JSONValue) -> [String] {
            if let object = value.object { return object.flatMap { [$0.key] + walk($0.value) } }
            if let list = value.array { return list.flatMap(walk) }
            return [value.string ?? "\(value.double ?? .nan)"]
        }
        return walk(try JSONValue.parse(String(line)))
    }
}
