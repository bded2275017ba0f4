// Hard negatives equal the reference's, row by row and line by line, on any number of ranks and after any interruption.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels

@Suite(.serialized) struct MiningGoldenTests {
    static let goldens = MiningGoldens()

    @Test func thereAreCases() { #expect(Self.goldens.cases.count == 27) }

    @Test(arguments: goldens.cases.indices) func rowsAndReport(_ index: Int) throws {
        let golden = Self.goldens.cases[index]
        let name = golden["name"]?.string ?? ""
        try withTemporaryDirectory { folder in
            let outcome = try Self.goldens.mine(golden, output: folder + "/mined.jsonl", world: 1)
            let wanted = golden["mined"]?.array ?? []
            let columns = golden["columns"]?.array?.compactMap(\.string) ?? []
            let lines = try String(contentsOfFile: folder + "/mined.jsonl", encoding: .utf8).split(separator: "\n")
            #expect(lines.count == wanted.count, "\(name)")
            for (line, row) in zip(lines, wanted) {
                let found = try #require(try JSONValue.parse(String(line)).object)
                #expect(found.keys == columns, "\(name)")
                for (value, cell) in zip(found.values, row.array ?? []) {
                    #expect(Self.goldens.agrees(value, cell), "\(name): \(line)")
                }
            }
            #expect(outcome.report == Self.report(golden), "\(name)")
        }
    }

    /// The reference's lines, less two that are wrong in it, which follow here from the case by hand.
    private static func report(_ golden: JSONValue) -> [String] {
        let printed = (golden["printed"]?.array ?? []).compactMap(\.string)
        return printed.drop { !$0.hasPrefix("Metric") }.compactMap { line in
            switch golden["name"]?.string {
            // Positives were counted as "skipped due to the min_score": 14 queries have one each, of which 13 are among
            // their query's five candidates. 30 of 70 candidates are left of the 43.
            case "minimum" where line.hasPrefix("Skipped"):
                return line.replacing("Skipped 43", with: "Skipped 30").replacing("61.43%", with: "42.86%")
            case "minimum" where line.hasPrefix("Could not"):
                return line.replacing("the range_max parameter", with: "the range_max and min_score parameters")
            // 19 rows with 18 distinct pairs: the repeated row was counted as a pair without negatives.
            case "pairs" where line.hasPrefix("Could not"), "pairs scores" where line.hasPrefix("Could not"):
                return nil
            case "range and margin" where line.hasPrefix("Could not"):
                return line.replacing("18 samples (20.22%)", with: "17 samples (19.32%)")
            default: return line
            }
        }
    }

    /// The same bytes on one, two and four ranks, in chunks smaller than the data and larger.
    @Test(arguments: [3, 2048]) func anyNumberOfRanks(_ chunkSize: Int) throws {
        for name in ["triplet several scores", "lists scores", "manhattan", "prompts", "beyond the corpus"] {
            let golden = try #require(Self.goldens.cases.first { $0["name"]?.string == name })
            try withTemporaryDirectory { folder in
                var bytes: [Data] = []
                for world in [1, 2, 4] {
                    let output = "\(folder)/\(world).csv"
                    _ = try Self.goldens.mine(
                        golden, output: output, world: world, adjust: { $0.chunkSize = chunkSize })
                    bytes.append(try #require(FileManager.default.contents(atPath: output)))
                }
                #expect(bytes[0].count > 100 && bytes[1] == bytes[0] && bytes[2] == bytes[0], "\(name)")
            }
        }
    }
}

/// The cases of Tests/Golden/mining.py.
struct MiningGoldens {
    let cases: [JSONValue]
    private let texts: [String]
    private let model: String

    init() {
        let file = try? JSONValue.parse(file: Goldens.path("mining/cases.json"))
        cases = file?["cases"]?.array ?? []
        texts = (file?["texts"]?.array ?? []).compactMap(\.string)
        model = TinyRun("bert-sgd").modelPath
    }

    private func text(_ value: JSONValue?) -> String { texts[value?["t"]?.int ?? 0] }

    /// Whether a value of the output is what the golden holds: texts and labels exactly, scores to rounding.
    func agrees(_ value: JSONValue, _ golden: JSONValue) -> Bool {
        switch (value, golden) {
        case (.array(let values), .array(let cells)):
            return values.count == cells.count && zip(values, cells).allSatisfy { agrees($0, $1) }
        case (.string(let found), _): return found == text(golden)
        case (.integer(let found), _): return golden.int == Int(found)
        // Half of the distances of unit vectors is rounding where two vectors are equal.
        case (.number(let found), _): return abs(found - (golden.double ?? .nan)) <= (abs(found) < 1e-3 ? 1e-3 : 2e-6)
        default: return false
        }
    }

    /// Mines a case's data on `world` ranks and returns rank zero's outcome.
    func mine(
        _ golden: JSONValue, output: String, world: Int, overwrites: Bool = false, modelDigest: String? = nil,
        observe: @escaping @Sendable (MiningProgress) throws -> Void = { _ in },
        adjust: (inout MiningOptions) -> Void = { _ in }
    ) throws -> MiningOutcome {
        let flips = golden["options"]?["anchor_column_name"]?.string == "text_b"
        let rows = (golden["rows"]?.array ?? []).map { row in (text(row.array?[0]), text(row.array?[1])) }
        let (a, b) = (rows.map(\.0), rows.map(\.1))
        let pairs = MiningPairs(
            anchors: flips ? b : a, positives: flips ? a : b, corpus: (golden["corpus"]?.array ?? []).map { text($0) })
        var options = MiningOptions(golden["options"] ?? .null)
        options.batchSize = 8
        adjust(&options)
        let miner = try HardNegativeMiner(
            pairs, options: options, anchorName: flips ? "text_b" : "text_a", positiveName: flips ? "text_a" : "text_b",
            output: output)
        let plan = (golden["printed"]?.array ?? []).compactMap(\.string)
        for line in miner.plan where !line.contains("include_positives") && !line.contains("n-tuple-scores") {
            #expect(plan.contains(line))
        }
        let (path, similarity) = (model, golden["similarity"]?.string ?? "")
        return try withGemm(.tutti) {
            try LocalEnsemble.run(world: world) { ensemble in
                let model = try SentenceEncoder.load(path)
                model.similarity = similarity
                return try miner.mine(
                    model: model, modelDigest: try modelDigest ?? model.contentDigest(), ensemble: ensemble,
                    overwrites: overwrites, observe: observe)
            }[0]
        }
    }
}

extension MiningOptions {
    /// The reference's keyword arguments.
    fileprivate init(_ arguments: JSONValue) {
        self.init()
        for (key, value) in arguments.object ?? JSONObject() {
            switch key {
            case "range_min": rangeMinimum = value.int ?? -1
            case "range_max": rangeMaximum = value.int
            case "max_score": maximumScore = value.double
            case "min_score": minimumScore = value.double
            case "absolute_margin": absoluteMargin = value.double
            case "relative_margin": relativeMargin = value.double
            case "num_negatives": negatives = value.int ?? -1
            case "include_positives": includesPositives = value.bool ?? false
            case "output_format": format = value.string.flatMap(MinedFormat.init) ?? .triplet
            case "output_scores": writesScores = value.bool ?? false
            case "query_prompt": queryPrompt = value.string
            case "corpus_prompt": documentPrompt = value.string
            case "anchor_column_name", "positive_column_name": break
            default: Issue.record("the option \(key) is not translated")
            }
        }
    }
}
