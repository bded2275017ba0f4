// A search finds the same, to the last bit, whatever the ranks and the chunks; and these tests would notice if not.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiModels
import TuttiObjectives

@Suite struct SearchInvarianceTests {
    /// Whole numbers from the bytes of a text, so that scores tie often; `unit` spoils that.
    private static func row(_ text: String, unit: Float = 1) -> [Float] {
        var state: UInt64 = 1469598103934665603
        return (0..<7).map { column in
            for byte in text.utf8 { state = (state ^ UInt64(byte)) &* 1_099_511_628_211 }
            state = (state ^ UInt64(column)) &* 1_099_511_628_211
            return Float(Int(state >> 40) % 5 - 2) * unit
        }
    }

    private static func collection(reversed: Bool = false) -> JudgedCollection {
        // Every third document repeats the text of another one.
        let documents = (0..<120).map { place in
            (id: "d\(reversed ? 999 - place : 100 + place)", text: "document \(place % 80)")
        }
        let queries = (0..<17).map { (id: "q\($0)", text: "question \($0)") }
        let relevant = queries.enumerated().map { place, query in
            (query: query.id, documents: (0...place % 4).map { documents[(place * 7 + $0 * 31) % 120].id })
        }
        return JudgedCollection(queries: queries, documents: documents, relevant: relevant)
    }

    /// Metrics and the bytes of the predictions.
    private static func results(
        world: Int, chunk: Int, collection: JudgedCollection = collection(),
        row: @escaping @Sendable (String, Int) -> [Float]
    ) throws -> [UInt64] {
        let all = try LocalEnsemble.run(world: world) { ensemble in
            try withTemporaryDirectory { folder in
                var settings = RetrievalSettings()
                settings.corpusChunkSize = chunk
                settings.writesPredictions = true
                var cutoffs = RetrievalCutoffs()
                cutoffs.averagePrecision = [3, 40]
                let functions = SimilarityFunction.allCases
                let evaluator = InformationRetrievalEvaluator(
                    collection, cutoffs: cutoffs, functions: functions, settings: settings)
                let metrics = try evaluator.evaluate(
                    model: StandInModel(row: row), ensemble: ensemble,
                    context: EvaluationContext(outputDirectory: folder))
                let files = functions.flatMap { function in
                    let name = "/eval/Information-Retrieval_evaluation_predictions_\(function.rawValue).jsonl"
                    return Array(FileManager.default.contents(atPath: folder + name) ?? Data())
                }
                #expect(ensemble.isRoot != files.isEmpty)
                return (metrics.map(\.value.bitPattern), files.map { UInt64($0) })
            }
        }
        for other in all.dropFirst() { #expect(other.0 == all[0].0) }
        return all[0].0 + all[0].1
    }

    @Test func retrievalDependsNeitherOnRanksNorOnChunks() throws {
        for unit: Float in [1, 0.3] {
            let plain = try Self.results(world: 1, chunk: 1000) { text, _ in Self.row(text, unit: unit) }
            for world in [1, 2, 3, 4] {
                for chunk in [1, 7, 50, 1000] {
                    let found = try Self.results(world: world, chunk: chunk) { text, _ in Self.row(text, unit: unit) }
                    #expect(found == plain, "\(world) ranks, chunks of \(chunk)")
                }
            }
        }
    }

    /// What would break the law is seen: embeddings that know their place in a chunk, ids that break ties otherwise.
    @Test func breakingTheLawIsNoticed() throws {
        let plain = try Self.results(world: 1, chunk: 1000) { text, _ in Self.row(text) }
        let placed: @Sendable (String, Int) -> [Float] = { text, place in
            Self.row(text).map { $0 + Float(place) * 1e-3 }
        }
        #expect(
            try Self.results(world: 1, chunk: 1000, row: placed) != Self.results(world: 1, chunk: 7, row: placed))
        #expect(try Self.results(world: 2, chunk: 7, row: placed) != Self.results(world: 1, chunk: 7, row: placed))
        let reversed = try Self.results(world: 1, chunk: 1000, collection: Self.collection(reversed: true)) { text, _ in
            Self.row(text)
        }
        #expect(reversed.prefix(20) != plain.prefix(20))
    }

    private static func mined(world: Int, queryChunk: Int, limit: Int) throws -> [UInt64] {
        let sentences = (0..<60).map { (id: "s\($0)", text: "sentence \($0 % 50)") }
        let duplicates = (0..<40).map { (first: "s\($0)", second: "s\(($0 * 17 + 3) % 60)") }
        var settings = ParaphraseMiningEvaluator.Settings()
        settings.size.queryChunk = queryChunk
        settings.size.limit = limit
        settings.size.neighbours = 9
        return try LocalEnsemble.run(world: world) { [settings] ensemble in
            try ParaphraseMiningEvaluator(sentences: sentences, duplicates: duplicates, settings: settings).evaluate(
                model: StandInModel { text, _ in Self.row(text) }, ensemble: ensemble, context: EvaluationContext()
            ).map(\.value.bitPattern)
        }.flatMap { $0 }.prefix(5).map { $0 }
    }

    @Test func miningDependsNeitherOnRanksNorOnChunks() throws {
        let plain = try Self.mined(world: 1, queryChunk: 1000, limit: 100)
        for world in [1, 2, 3, 4] {
            for chunk in [1, 7, 1000] {
                #expect(try Self.mined(world: world, queryChunk: chunk, limit: 100) == plain)
            }
        }
        #expect(try Self.mined(world: 2, queryChunk: 7, limit: 30) != plain)  // pairs at the cut matter
    }

    /// Four texts a, a, b, c: all pairs tie at 0 but (0, 1). Of two pairs kept, the order (-score, first, second) takes
    /// (0, 1) and (0, 2); the reference takes one that depends on the order of its heap.
    @Test func tiesAtTheCutGoToTheSmallerNumbers() throws {
        func metrics(duplicate: (String, String)) throws -> [Double] {
            let texts = ["a", "a", "b", "c"].enumerated().map { (id: "\($0.offset)", text: $0.element) }
            var settings = ParaphraseMiningEvaluator.Settings()
            settings.size.limit = 2
            let evaluator = ParaphraseMiningEvaluator(sentences: texts, duplicates: [duplicate], settings: settings)
            return try evaluator.evaluate(
                model: StandInModel { text, _ in text == "a" ? [1, 0, 0] : text == "b" ? [0, 2, 0] : [0, 0, 3] },
                ensemble: LocalEnsemble.single(), context: EvaluationContext()
            ).map(\.value)
        }
        #expect(try metrics(duplicate: ("0", "2")) == [0.5, 2 / 3, 0.5, 1, 0])
        #expect(try metrics(duplicate: ("0", "3")) == [0, 0, 0, 0, 0])
        #expect(try metrics(duplicate: ("1", "0")) == [1, 1, 1, 1, 0.5])
    }
}
