// Data and options that do not fit are told with their place; models that do not fit, on every rank.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels

/// Embeds every text as the same vector.
private final class ConstantModel: SentenceEncoding {
    let similarity = "cosine"
    let prompts: [String: String] = [:]
    let vector: [Float]
    private(set) var encodings = 0

    init(_ vector: [Float]) { self.vector = vector }

    func encode(_ texts: [String], prompt: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?) throws -> Embeddings
    {
        encodings += 1
        return Embeddings(rows: texts.flatMap { _ in vector }, dimension: vector.count)
    }
}

@Suite struct EvaluatorDataTests {
    private func evaluator(_ name: String, _ lines: String, _ more: JSONObject = [:]) throws -> any Evaluator {
        try withTemporaryDirectory { folder in
            try AtomicWrite.file(path: folder + "/data.jsonl", text: lines)
            var options = more
            options.set("path", .string(folder + "/data.jsonl"))
            var whole = EvaluatorOptions(place: "evaluators[0]", object: options, modelSimilarity: "cosine")
            whole.loadModel = { _ in ConstantModel([1, 0]) }
            whole.classifier = SoftmaxClassifier(classCount: 2, dimension: 2, features: .init()) {
                ([Float](repeating: 1, count: 12), nil)
            }
            return try EvaluatorRegistry.make(name: name, options: whole)
        }
    }

    private func failure(_ name: String, _ lines: String, _ more: JSONObject = [:]) -> TuttiError? {
        do {
            _ = try evaluator(name, lines, more)
            return nil
        } catch { return error as? TuttiError }
    }

    private let pair = #"{"a": "x", "b": "y", "label": 1}"#

    @Test func labelsAreClasses() {
        for name in ["BinaryClassificationEvaluator", "LabelAccuracyEvaluator"] {
            #expect(failure(name, pair) == nil)
            for label in ["2", "-1", "0.5"] {
                let error = failure(name, pair + "\n" + #"{"a": "x", "b": "y", "label": \#(label)}"#)
                #expect(error?.kind == .data && error?.problem.contains("row 2") == true, "\(error as Any)")
            }
            #expect(failure(name, #"{"a": "x", "b": "y"}"#)?.kind == .data)
        }
    }

    @Test func classifiersAreFound() throws {
        var bare = EvaluatorOptions(
            place: "evaluators[0]", object: ["path": .string("/nowhere.csv")], modelSimilarity: "cosine")
        func failure() -> TuttiError? {
            do {
                _ = try EvaluatorRegistry.make(name: "LabelAccuracyEvaluator", options: bare)
                return nil
            } catch { return error }
        }
        #expect(failure()?.subject == "evaluators[0].classifier")
        try withTemporaryDirectory { folder throws in
            let path = folder + "/loss.safetensors"
            func file(_ name: String, _ shape: [Int]) throws -> TuttiError? {
                let values = [Float](repeating: 0, count: shape.reduce(1, *))
                try values.withUnsafeBytes {
                    try SafetensorsWriter.write(path: path, tensors: [(name, .f32, shape, $0)])
                }
                bare = EvaluatorOptions(
                    place: "evaluators[0]", object: ["path": .string("/nowhere.csv"), "classifier": .string(path)],
                    modelSimilarity: "cosine")
                return failure()
            }
            #expect(try file("other.weight", [2, 6])?.problem.contains("classifier.weight") == true)
            #expect(
                try file("nli.classifier.weight", [2, 6])?.kind == .missingFile, "the head of one of several losses")
            #expect(try file("classifier.weight", [2, 7])?.kind == .data, "three blocks of a width")
            #expect(try file("classifier.weight", [2, 6])?.kind == .missingFile, "a good head, then no table")
        }
        let cut = self.failure("LabelAccuracyEvaluator", pair, ["truncate_dim": .integer(2)])
        #expect(cut?.kind == .usage && cut?.subject == "evaluators[0].truncate_dim")
    }

    @Test func combinationsNameColumns() {
        let lines = #"{"en": "a", "de": "b", "fr": " "}"#
        func failure(_ combinations: JSONValue) -> TuttiError? {
            self.failure(
                "MSEEvaluatorFromDataFrame", lines, ["combinations": combinations, "teacher_model": .string("t")])
        }
        func pairs(_ pairs: [[String]]) -> JSONValue { .array(pairs.map { .array($0.map(JSONValue.string)) }) }
        #expect(failure(pairs([["en", "de"], ["de", "en"]])) == nil)
        #expect(failure(pairs([["en", "dee"]]))?.hint?.contains("de") == true)
        #expect(failure(pairs([["en"]]))?.kind == .usage)
        #expect(failure(pairs([["en", "de"], ["en", "de"]]))?.problem.contains("twice") == true)
        #expect(failure(.string("en-de"))?.kind == .usage)
        let empty = failure(pairs([["en", "fr"]]))
        #expect(empty?.kind == .data && empty?.problem.contains("'fr'") == true)
    }

    /// Ids may be hub ids: the slash stays in the keys and is an underscore in the file's name.
    @Test func idsNeedNotBeNamesOfFiles() throws {
        let made = try evaluator("BinaryClassificationEvaluator", pair, ["id": .string("org/name"), "columns": .null])
        try withTemporaryDirectory { folder in
            let context = EvaluationContext(outputDirectory: folder)
            let metrics = try made.evaluate(
                model: ConstantModel([1, 0]), ensemble: LocalEnsemble.single(), context: context)
            #expect(metrics.allSatisfy { $0.key.hasPrefix("org/name_") })
            let files = try FileManager.default.contentsOfDirectory(atPath: folder + "/eval")
            #expect(files == ["binary_classification_evaluation_org_name_results.csv"])
        }
        let long = failure("TripletEvaluator", pair, ["id": .string(String(repeating: "n", count: 129))])
        #expect(long?.kind == .usage && long?.subject == "evaluators[0].id")
    }

    @Test func tablesAreReadAsTheirOptionsSay() throws {
        try withTemporaryDirectory { folder throws in
            let path = folder + "/dev.tsv"
            try AtomicWrite.file(path: path, text: "\"x,\" he said\tNaN\t1\n\"y\tz\t0\n")
            let options: JSONObject = [
                "path": .string(path), "quote": .string("none"),
                "header": .array([.string("a"), .string("b"), .string("label")]),
            ]
            var whole = EvaluatorOptions(place: "e", object: options, modelSimilarity: "cosine")
            var notices: [String] = []
            whole.notice = { notices.append($0) }
            _ = try EvaluatorRegistry.make(name: "BinaryClassificationEvaluator", options: whole)
            #expect(notices.count == 1 && notices[0].contains("1 text like NaN"))
        }
        let wrong = failure("BinaryClassificationEvaluator", pair, ["quote": .string("none")])
        #expect(wrong?.kind == .usage && wrong?.problem.contains("JSON") == true)
        let word = failure("BinaryClassificationEvaluator", pair, ["delimiter": .string("ab")])
        #expect(word?.subject == "evaluators[0].delimiter")
    }

    /// The keys of a training data set say which rows an evaluator takes, in the same order and with the same notices.
    @Test func rowsAreChosenAsInTraining() throws {
        try withTemporaryDirectory { folder throws in
            let rows = (0..<6).map { row in
                let one = row == 1 ? "" : "t\(row % 5)"
                return #"{"one": "\#(one)", "two": "u", "gold": 0.\#(row % 5)}"# + "\n"
            }
            for (name, lines) in [("train", rows[..<1]), ("test", rows[0...])] {
                try AtomicWrite.file(path: "\(folder)/\(name).jsonl", text: lines.joined())
            }
            func table(_ more: JSONObject) throws -> (scores: [Double], notices: [String]) {
                let base: JSONObject = [
                    "path": .string(folder), "split": .string("test"), "rename": .object(["gold": .string("score")]),
                ]
                var settings = TableSettings()
                try DatasetSpecification.options.read(base.merging(more), into: &settings.dataset)
                var notices: [String] = []
                var options = EvaluatorOptions(place: "e", object: [:], modelSimilarity: "cosine")
                options.notice = { notices.append($0) }
                let table = try options.table(settings, textColumns: 2, meaning: "")
                #expect(table.columnNames == ["one", "two"])
                // What an evaluator makes of the same options.
                var whole = EvaluatorOptions(place: "e", object: base.merging(more), modelSimilarity: "cosine")
                whole.notice = { _ in }
                _ = try EvaluatorRegistry.make(name: "EmbeddingSimilarityEvaluator", options: whole)
                return (try table.scores(), notices)
            }
            #expect(try table([:]).scores == [0, 0.1, 0.2, 0.3, 0.4, 0])
            #expect(try table(["rows": .string("2:4")]).scores == [0.2, 0.3])
            let filtered = try table(["filter": .array([.string("empty"), .string("duplicate")])])
            #expect(filtered.scores == [0, 0.2, 0.3, 0.4])
            #expect(filtered.notices.contains { $0.contains("leaves out 2 of 6 rows") }, "\(filtered.notices)")
            func refused(_ more: JSONObject) -> TuttiError? {
                do {
                    _ = try table(more)
                    return nil
                } catch { return error as? TuttiError }
            }
            #expect(refused(["split": .string("dev")])?.kind == .usage)
            #expect(refused(["rows": .string("9:")])?.kind == .data)
        }
        let shuffled = failure("TripletEvaluator", pair, ["shuffle": .bool(true)])
        #expect(shuffled?.kind == .usage && shuffled?.subject == "evaluators[0].shuffle")
        let nameless = failure("TripletEvaluator", pair, ["header": .bool(false)])
        #expect(nameless?.kind == .usage && nameless?.subject == "evaluators[0].header")
    }

    /// Samples with lists come from a folder, under other names, and a part of them.
    @Test func samplesAreChosenToo() throws {
        try withTemporaryDirectory { folder throws in
            let lines = ["b", "b", "b", ""].enumerated().map { row, negative in
                let negatives = negative.isEmpty ? "[]" : "[\"\(negative)\"]"
                return #"{"q": "q\#(row)", "positive": ["a"], "negative": \#(negatives)}"# + "\n"
            }
            try AtomicWrite.file(path: folder + "/test.jsonl", text: lines.joined())
            try AtomicWrite.file(path: folder + "/train.jsonl", text: "not JSON\n")
            func failure(_ more: JSONObject) -> TuttiError? {
                let base: JSONObject = [
                    "path": .string(folder), "split": .string("test"), "rename": .object(["q": .string("query")]),
                ]
                do {
                    _ = try EvaluatorRegistry.make(
                        name: "RerankingEvaluator",
                        options: EvaluatorOptions(place: "e", object: base.merging(more), modelSimilarity: "cosine"))
                    return nil
                } catch { return error }
            }
            #expect(failure([:]) == nil)
            #expect(failure(["rows": .string("3:")])?.problem.contains("no sample") == true, "the last has no negative")
            #expect(failure(["rows": .string("4:")])?.problem.contains("has 4 rows") == true)
            #expect(failure(["rename": .null])?.problem.contains("no \"query\"") == true)
            #expect(failure(["split": .string("train")])?.kind == .data)
            #expect(failure(["filter": .array([.string("empty")])])?.subject == "e.filter")
        }
    }

    @Test func unknownPrecisionsAreTold() {
        let error = failure("EmbeddingSimilarityEvaluator", pair, ["precision": .string("unary")])
        #expect(error?.kind == .usage && error?.hint?.contains("binary") == true)
    }

    /// The teacher encodes once; a model of another width is an error of every rank, not of rank zero alone.
    @Test func teachersEncodeOnce() throws {
        for world in [1, 2] {
            let outcomes = try LocalEnsemble.run(world: world) { ensemble -> [String] in
                let teacher = ConstantModel([3, 4])
                let evaluator = MSEEvaluator(sources: ["a", "b"], targets: ["c", "d"], teacher: teacher)
                let context = EvaluationContext()
                for _ in 0..<2 {
                    let metrics = try evaluator.evaluate(
                        model: ConstantModel([1, 4]), ensemble: ensemble, context: context)
                    #expect(metrics.map(\.value) == [-200])
                }
                #expect(teacher.encodings == 1)
                do {
                    _ = try evaluator.evaluate(model: ConstantModel([1, 4, 1]), ensemble: ensemble, context: context)
                    return []
                } catch let error as TuttiError { return [error.problem] }
            }
            #expect(outcomes.allSatisfy { $0.first?.contains("2 dimensions") == true }, "\(outcomes)")
        }
    }

    /// What is not a number has no accuracy, whichever class, text or pair it would fall to.
    @Test func divergedModelsHaveNoMetrics() throws {
        let texts = ["a", "b"]
        let values = try LocalEnsemble.run(world: 1) { ensemble -> [Double] in
            let model = ConstantModel([.nan, 1])
            let evaluators: [any Evaluator] = [
                BinaryClassificationEvaluator(firsts: texts, seconds: texts, isSimilar: [true, false]),
                TranslationEvaluator(sources: texts, targets: texts),
                LabelAccuracyEvaluator(
                    firsts: texts, seconds: texts, labels: [0, 0],
                    classifier: SoftmaxClassifier(classCount: 2, dimension: 2, features: .init()) {
                        ([Float](repeating: 1, count: 12), nil)
                    }),
                MSEEvaluator(sources: texts, targets: texts, teacher: ConstantModel([1, 0])),
                EmbeddingSimilarityEvaluator(firsts: texts, seconds: texts, scores: [0, 1], precision: .int8),
                RerankingEvaluator([RerankingSample(query: "a", positives: ["a"], negatives: ["b"])]),
            ]
            return try evaluators.flatMap {
                try $0.evaluate(model: model, ensemble: ensemble, context: EvaluationContext()).map(\.value)
            }
        }
        #expect(values[0].count == 8 + 3 + 1 + 1 + 2 + 3 && values[0].allSatisfy(\.isNaN), "\(values)")
    }

    /// The head is read at every evaluation, so that a run's own loss is judged as it is now.
    @Test func liveHeadsAreReadAnew() throws {
        let texts = ["a", "b", "c"]
        var bias: [Float] = [1, 0]
        nonisolated(unsafe) let head = SoftmaxClassifier(classCount: 2, dimension: 1, features: .init()) {
            ([Float](repeating: 0, count: 6), bias)
        }
        nonisolated(unsafe) let evaluator = LabelAccuracyEvaluator(
            firsts: texts, seconds: texts, labels: [0, 1, 1], classifier: head)
        func accuracy() throws -> [Double] {
            try LocalEnsemble.run(world: 1) { ensemble in
                try evaluator.evaluate(
                    model: ConstantModel([1]), ensemble: ensemble, context: EvaluationContext()
                ).map(\.value)
            }.flatMap { $0 }
        }
        #expect(try accuracy() == [1.0 / 3])
        bias = [0, 1]
        #expect(try accuracy() == [2.0 / 3])
    }
}
