// The rules of mining on texts whose similarities are known by hand: directions in a plane.
//
// Several are what the reference had wrong in some version: see each test.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels

/// Embeds a text as the direction, in degrees, that its first word spells: "60 a" has cosine 0.5 with "0 b".
private final class PlaneModel: SentenceEncoding {
    let similarity = "cosine"
    let prompts: [String: String] = [:]

    func encode(
        _ texts: [String], prompt: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?
    ) throws -> Embeddings {
        Embeddings(
            rows: texts.flatMap { text -> [Float] in
                let word = text.split(separator: " ").first
                guard let degrees = word.flatMap({ Double($0) }) else { return [.nan, .nan] }
                return [Float(3 * cos(degrees * .pi / 180)), Float(3 * sin(degrees * .pi / 180))]
            }, dimension: 2)
    }
}

@Suite(.serialized) struct MiningRuleTests {
    /// The objects of the output, and the outcome.
    private func mine(
        _ rows: [(String, String)], corpus: [String] = [], world: Int = 1, _ adjust: (inout MiningOptions) -> Void
    ) throws -> (rows: [JSONObject], outcome: MiningOutcome) {
        try withTemporaryDirectory { folder in
            var options = MiningOptions()
            options.chunkSize = 4
            options.batchSize = 3
            adjust(&options)
            let miner = try HardNegativeMiner(
                MiningPairs(anchors: rows.map(\.0), positives: rows.map(\.1), corpus: corpus), options: options,
                anchorName: "a", positiveName: "p", output: folder + "/mined.jsonl")
            let outcome = try withGemm(.tutti) {
                try LocalEnsemble.run(world: world) { ensemble in
                    try miner.mine(model: PlaneModel(), modelDigest: "", ensemble: ensemble)
                }[0]
            }
            let lines = try String(contentsOfFile: folder + "/mined.jsonl", encoding: .utf8).split(separator: "\n")
            return (try lines.map { try #require(try JSONValue.parse(String($0)).object) }, outcome)
        }
    }

    private func negatives(_ rows: [JSONObject], of anchor: String) -> [String] {
        rows.filter { $0["a"]?.string == anchor }.compactMap { $0["negative"]?.string }
    }

    /// Version 5.1 took the scores of other queries once the numbers of positives differed.
    @Test func marginsLookAtTheQueryOfTheCandidate() throws {
        // "0 q" has positives of cosine 1/2 and 0.94, "200 q" has one of cosine 0.98.
        let rows = [("0 q", "60 p"), ("0 q", "20 p"), ("200 q", "210 p")]
        let corpus = ["55 n", "70 n", "205 n", "225 n"]
        let found = try mine(rows, corpus: corpus) {
            $0.absoluteMargin = 0.1
            $0.negatives = 1
        }.rows
        // Of "0 q": cos 55 = 0.57 and cos 70 = 0.34, where 0.5 - 0.1 bounds. Of "200 q": cos 5 = 0.996, cos 25 = 0.906
        // and 0.98 - 0.1; next comes cos 130.
        #expect(negatives(found, of: "0 q") == ["70 n", "70 n"])
        #expect(negatives(found, of: "200 q") == ["70 n"])
        #expect(found.map { $0["p"]?.string } == ["60 p", "20 p", "210 p"])
    }

    /// A share of a negative score must lower the bound: 5.1 multiplied, which raised it.
    @Test func relativeMarginOfNegativeScores() throws {
        // The positive has cosine -0.5; less a fifth of its magnitude is -0.6: cos 110 = -0.34 and cos 125 = -0.57 are
        // too close, cos 135 = -0.71 is not.
        let result = try mine([("0 q", "120 p")], corpus: ["110 n", "125 n", "135 n"]) { $0.relativeMargin = 0.2 }
        #expect(negatives(result.rows, of: "0 q") == ["135 n"])
        #expect(result.outcome.statistics["skipped"]?["relative_margin"]?["skipped"]?.int == 2)
    }

    /// The reference counts positives and empty places among what min_score skipped.
    @Test func filtersCountWhatTheyStrikeOut() throws {
        let result = try mine([("0 q", "10 p")], corpus: ["20 n", "30 n", "70 n", "80 n", "-85 n"]) {
            $0.maximumScore = 0.9  // strikes out 20
            $0.minimumScore = 0.1  // strikes out -85
            $0.negatives = 2
        }
        #expect(negatives(result.rows, of: "0 q") == ["30 n", "70 n"])
        let skipped = result.outcome.statistics["skipped"]
        #expect(skipped?["max_score"]?["skipped"]?.int == 1 && skipped?["min_score"]?["skipped"]?.int == 1)
        // 2 x 10 + 1 places of the range and one for the positive; then one fewer.
        #expect(skipped?["max_score"]?["ratio"]?.double == 1.0 / 22)
        #expect(skipped?["min_score"]?["ratio"]?.double == 1.0 / 21)
        #expect(result.outcome.report.contains("Skipped 1 potential negatives (4.76%) due to the min_score of 0.1."))
    }

    /// As in the reference, range_max + most positives candidates are searched, and the range counts those that remain:
    /// positives take no place in it, but nothing follows for what a score strikes out.
    @Test func rangesCountWhatRemains() throws {
        let corpus = (1...9).map { "\($0 * 10) n" }
        func mined(_ maximumScore: Double?) throws -> [String] {
            let found = try mine([("0 q", "15 p")], corpus: corpus) {
                $0.maximumScore = maximumScore
                $0.rangeMinimum = 2
                $0.rangeMaximum = 5
                $0.negatives = 3
            }.rows
            return negatives(found, of: "0 q")
        }
        // Six are searched: 10, the positive, 20, 30, 40, 50. Two are skipped.
        #expect(try mined(nil) == ["30 n", "40 n", "50 n"])
        #expect(try mined(0.98) == ["40 n", "50 n"])  // 10 is struck out before two are skipped
    }

    /// Equal similarities: the document that came first wins, on any number of ranks and whatever lies on them.
    @Test func tiesGoToTheFirst() throws {
        let corpus = (0..<23).map { "30 n\($0)" } + ["40 n"]
        for world in 1...4 {
            let found = try mine([("0 q", "5 p"), ("180 q", "175 p")], corpus: corpus, world: world) { _ in }.rows
            #expect(negatives(found, of: "0 q") == ["30 n0", "30 n1", "30 n2"])
        }
    }

    @Test func randomNegativesComeFromTheWindowAndTheSeed() throws {
        let rows = (0..<6).map { ("\($0) q", "\($0) p") }
        let corpus = (1...30).map { "\($0 * 2 + 10) n" }
        func draw(_ seed: UInt64, world: Int = 1) throws -> [[String]] {
            let found = try mine(rows, corpus: corpus, world: world) {
                $0.sampling = .random
                $0.seed = seed
                $0.rangeMinimum = 5  // the other positives, at first
                $0.rangeMaximum = 25
            }.rows
            return rows.map { negatives(found, of: $0.0) }
        }
        let drawn = try draw(1)
        #expect(try draw(1, world: 3) == drawn && draw(2) != drawn)
        #expect(Set(drawn).count > 1, "queries draw apart")
        for (negatives, row) in zip(drawn, rows) {
            let angles = negatives.compactMap { Int($0.prefix { $0 != " " }) }
            #expect(Set(negatives).count == 3 && angles == angles.sorted(), "the most similar first")
            #expect(angles.allSatisfy { $0 >= 12 && $0 <= 50 }, "\(row.0): \(angles)")
        }
        // Fewer candidates than negatives: all of them.
        let few = try mine([("0 q", "5 p")], corpus: ["20 n", "10 n"]) { $0.sampling = .random }.rows
        #expect(negatives(few, of: "0 q") == ["10 n", "20 n"])
    }

    /// Version 5.1 gave the scores of other pairs to the positives of queries after one with several.
    @Test func labeledPairsAlign() throws {
        let rows = [("0 q", "60 p"), ("0 q", "0 p"), ("90 q", "150 p"), ("0 q", "60 p")]
        let result = try mine(rows, corpus: ["180 n"]) {
            $0.format = .labeledPair
            $0.writesScores = true
            $0.negatives = 1
        }
        let found = result.rows.map { (($0["p"]?.string ?? ""), $0["score"]?.double ?? .nan) }
        #expect(found.map(\.0) == ["60 p", "0 p", "150 p", "150 p", "60 p"])
        for (pair, score) in zip(found, [0.5, 1, -0.866025, 0.5, 0.866025]) { #expect(abs(pair.1 - score) < 1e-6) }
        // The repeated row is no pair of its own that lacks negatives.
        #expect(result.outcome.statistics["missing_samples"]?.int == 0)
    }

    /// Positives and candidates of equal score tie exactly, so that a margin of zero keeps what is not closer.
    @Test func aMarginOfZero() throws {
        let result = try mine([("37 q", "61 p")], corpus: ["13 n", "12 n"]) {
            $0.absoluteMargin = 0
            $0.includesPositives = true
            $0.writesScores = true
            $0.negatives = 2
        }
        let row = try #require(result.rows.first)
        // cos 24 of the positive, cos 25 of "12 n"; "13 n" at the other side is as close up to rounding of its vector.
        #expect(row["negative_1"]?.string == "61 p" || row["negative_2"]?.string == "61 p")
        let scores = try #require(row["scores"]?.array).compactMap(\.double)
        let place = row["negative_1"]?.string == "61 p" ? 1 : 2
        #expect(scores[place] == scores[0])
    }

    @Test func textsThatAreNoNumbersAreNeverChosen() throws {
        let found = try mine([("0 q", "10 p")], corpus: ["x n", "50 n", "y n", "70 n"]) { _ in }.rows
        #expect(negatives(found, of: "0 q") == ["50 n", "70 n"])
    }

    /// Texts are told apart by their bytes, as tokenizers may do.
    @Test func equivalentSpellingsAreTwoTexts() {
        let pairs = MiningPairs(
            anchors: ["caf\u{E9}", "cafe\u{301}"], positives: ["a", "a"], corpus: ["b", "a", "b"])
        #expect(pairs.queries.count == 2 && pairs.documents == ["b", "a"] && pairs.maximumPositives == 1)
    }

    @Test func impossibleOptionsAreRefused() {
        func problem(_ adjust: (inout MiningOptions) -> Void, output: String = "x.csv", name: String = "a") -> String {
            var options = MiningOptions()
            adjust(&options)
            do throws(TuttiError) {
                _ = try HardNegativeMiner(
                    MiningPairs(anchors: ["q"], positives: ["p"]), options: options, anchorName: name,
                    positiveName: "p", output: output)
                return ""
            } catch {
                return error.kind == .usage ? "\(error.subject) \(error.problem)" : "\(error)"
            }
        }
        #expect(problem { $0.negatives = 0 }.contains("num_negatives must be at least 1"))
        #expect(problem { $0.rangeMinimum = -1 }.contains("range_min must be at least 0"))
        #expect(problem { $0.batchSize = 0 }.contains("batch_size"))
        #expect(problem { ($0.rangeMinimum, $0.rangeMaximum) = (5, 5) }.contains("must be less than range_max, 5"))
        #expect(problem { ($0.rangeMinimum, $0.rangeMaximum) = (3, 5) }.contains("only 2 candidates remain"))
        #expect(problem { $0.negatives = .max }.contains("beyond any ranking"))
        #expect(problem { $0.maximumScore = .nan }.contains("max_score is no number"))
        #expect(problem({ _ in }, output: "x.parquet").contains("must be .csv or .jsonl"))
        #expect(problem({ _ in }, name: "negative").contains("column 'negative'"))
        #expect(problem { _ in } == "")
    }
}
