// Search, paraphrases and communities as functions, against what the reference finds in the same embeddings.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

@Suite struct SemanticSearchTests {
    private let golden: JSONObject
    private let rows: Embeddings

    init() throws {
        golden = try #require(JSONValue.parse(file: Goldens.path("evaluation/functions.json")).object)
        rows = try Self.embeddings(golden["rows"])
    }

    private static func embeddings(_ json: JSONValue?) throws -> Embeddings {
        let rows = try #require(json?.array).map { try #require($0.array).map { Float($0.double ?? .nan) } }
        return Embeddings(rows: rows.flatMap { $0 }, dimension: try #require(rows.first).count)
    }

    @Test(arguments: [SimilarityFunction.cosine, .dot])
    func aSearchFindsWhatTheReferenceFinds(_ similarity: SimilarityFunction) throws {
        let hits = semanticSearch(
            queries: try Self.embeddings(golden["queries"]), corpus: rows, topK: 4, similarity: similarity)
        let wanted = try #require(golden["searches"]?[similarity.rawValue]?.array)
        #expect(hits.count == wanted.count && hits.count == 5)
        for (found, wanted) in zip(hits, wanted) {
            let wanted = try #require(wanted.array)
            #expect(found.map(\.corpusID) == wanted.map { $0["corpus_id"]?.int })
            for (hit, wanted) in zip(found, wanted) {
                #expect(abs(Double(hit.score) - (wanted["score"]?.double ?? .nan)) < 1e-5)
            }
        }
        #expect(semanticSearch(queries: rows, corpus: rows, topK: 100)[0].count == rows.count)
    }

    @Test(arguments: [1, 7, 16, 1024])
    func communitiesAreThoseOfTheReference(batch: Int) throws {
        for case_ in try #require(golden["communities"]?.array) {
            let found = communityDetection(
                rows, threshold: Float(try #require(case_["threshold"]?.double)),
                minimumSize: try #require(case_["size"]?.int), batchSize: batch)
            let wanted = try #require(case_["found"]?.array).map { $0.array?.map { $0.int } ?? [] }
            #expect(found == wanted, "\(case_["threshold"] ?? .null)")
        }
        #expect(communityDetection(Embeddings(count: 0, dimension: 4)).isEmpty)
        #expect(communityDetection(rows, minimumSize: rows.count + 1).isEmpty)
    }

    /// Looks texts up: text n has row n.
    private final class Lookup: SentenceEncoding {
        let similarity = "cosine"
        let prompts: [String: String] = [:]
        let rows: Embeddings

        init(_ rows: Embeddings) { self.rows = rows }

        func encode(
            _ texts: [String], prompt: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?
        ) throws -> Embeddings { rows.gathering(texts.compactMap(Int.init)) }
    }

    @Test func paraphrasesAreThoseOfTheReference() throws {
        let found = try paraphraseMining(
            model: Lookup(rows), sentences: (0..<rows.count).map(String.init), neighbours: 3, limit: 20)
        let wanted = try #require(golden["pairs"]?.array).map { try #require($0.array) }
        #expect(found.count == wanted.count && found.count == 20)
        for (pair, wanted) in zip(found, wanted) {
            #expect([Int(pair.first), Int(pair.second)] == [wanted[1].int, wanted[2].int])
            #expect(abs(Double(pair.score) - (wanted[0].double ?? .nan)) < 1e-5)
        }
    }

    @Test func similaritiesAreThoseOfTheModel() throws {
        let model = try SentenceEncoder.load(Goldens.path("training/bert-sgd/model"))
        let texts = ["gulo jeri", "hafo foba jegu", "gulo fove"]
        let embeddings = try model.encode(texts)
        let all = model.similarities(embeddings, embeddings)
        #expect(all.count == 3 && all.allSatisfy { $0.count == 3 })
        for row in 0..<3 {
            #expect(abs(all[row][row] - 1) < 1e-6)
            for column in 0..<3 { #expect(abs(all[row][column] - all[column][row]) < 1e-6) }
        }
        let pairs = model.pairwiseSimilarities(embeddings, embeddings.gathering([1, 2, 0]))
        for (own, other) in zip(pairs, [all[0][1], all[1][2], all[2][0]]) { #expect(abs(own - other) < 1e-6) }
        #expect(pairs.count == 3)
    }

    /// Negatives are mined, kept, and read again by the same call.
    @Test func hardNegativesAreMinedIntoATable() throws {
        let scratch = try TemporaryDirectory()
        let model = try SentenceEncoder.load(Goldens.path("training/bert-sgd/model"))
        let rows = try loadTable(DatasetSpecification(path: Goldens.path("training/bert-sgd/rows.jsonl")))
        var options = MiningOptions()
        options.negatives = 2
        options.format = .tuple
        let output = scratch.path + "/mined.jsonl"
        let mined = try mineHardNegatives(model: model, dataset: rows, options: options, output: output)
        #expect(mined.columnNames == ["anchor", "positive", "negative_1", "negative_2"])
        #expect(mined.rowCount > 10)
        for row in 0..<mined.rowCount {
            #expect(mined.text(row: row, column: 1) != mined.text(row: row, column: 2))
        }
        let bytes = FileManager.default.contents(atPath: output)
        let again = try mineHardNegatives(model: model, dataset: rows, options: options, output: output)
        #expect(again.rowCount == mined.rowCount && FileManager.default.contents(atPath: output) == bytes)
        options.negatives = 1
        #expect(throws: TuttiError.self) {
            try mineHardNegatives(model: model, dataset: rows, options: options, output: output)
        }
        let single = try Table(columns: [("text", ["a", "b"])])
        #expect(throws: TuttiError.self) {
            try mineHardNegatives(model: model, dataset: single, output: scratch.path + "/other.csv")
        }
    }
}
