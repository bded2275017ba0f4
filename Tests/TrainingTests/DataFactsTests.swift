// What a run tells of its data: tutti_data.json, and the page and card that are made of the same numbers.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiTraining

@Suite(.serialized) struct DataFactsTests {
    private let model = Goldens.path("training/bert-sgd/model")

    /// Trains two steps; `reports` is report_to, `length` the tokens that texts are cut to.
    private func train(_ output: String, reports: JSONValue? = nil, length: Int64 = 24) throws -> TrainingInputs {
        var args: JSONObject = ["max_steps": .integer(2)]
        args["report_to"] = reports
        let rows = Goldens.path("training/bert-sgd/rows.jsonl")
        let configuration = try GoldenRun.configuration(
            model: model, output, args: args,
            more: [
                "max_seq_length": .integer(length),
                "eval_dataset": .object([
                    "path": .string(rows), "columns": .array([.string("anchor"), .string("negative_1")]),
                ]),
            ])
        let ensemble = LocalEnsemble.single()
        let inputs = try TrainingInputs(configuration, ensemble: ensemble)
        #expect(try Trainer(inputs, ensemble: ensemble).train() == .finished)
        return inputs
    }

    @Test func lengthsCutAndRepeatedTextsAreThoseOfTheData() throws {
        try withTemporaryDirectory { folder in
            let inputs = try train(folder + "/run", length: 6)
            let whole = try SentenceEncoder.load(model)
            let json = try JSONValue.parse(file: folder + "/run/tutti_data.json")
            let sets = try #require(json["datasets"]?.array)
            #expect(sets.map { $0["use"]?.string } == ["training", "evaluation"])
            var cuts = 0
            for (set, data) in zip(sets, inputs.trainDatasets + inputs.evalDatasets) {
                let table = data.table
                #expect(set["rows"]?.int == table.rowCount && set["rows_compared"]?.int == table.rowCount)
                let columns = try #require(set["columns"]?.array)
                #expect(columns.map { $0["name"]?.string } == table.columnNames)
                for (place, column) in columns.enumerated() {
                    let texts = table.texts(column: place)
                    let first = texts.prefix(try #require(set["rows_measured"]?.int))
                    let lengths = first.map { whole.readers[0].ids(of: $0).count }
                    let kept = lengths.map { min($0, 6) }
                    cuts += lengths.count { $0 > 6 }
                    #expect(column["unit"] == .string("tokens"))
                    #expect(column["min"]?.int == kept.min() && column["max"]?.int == kept.max())
                    let mean = Double(kept.reduce(0, +)) / Double(kept.count)
                    #expect(abs((column["mean"]?.double ?? -1) - mean) < 1e-9)
                    let cut = Double(lengths.count { $0 > 6 }) / Double(lengths.count)
                    #expect(abs((column["cut_share"]?.double ?? -1) - cut) < 1e-9)
                    let repeated = Double(texts.count - Set(texts).count) / Double(texts.count)
                    #expect(abs((column["repeated_share"]?.double ?? -1) - repeated) < 1e-9)
                }
            }
            #expect(cuts > 10)
        }
    }

    /// Every run has a page, unless report_to names other reports.
    @Test func aPageIsMadeUnlessOtherReportsAreNamed() throws {
        try withTemporaryDirectory { folder in
            let cases: [(String, JSONValue?, Bool)] = [
                ("default", nil, true), ("null", .null, true), ("none", .string("none"), false),
                ("csv", .array([.string("csv")]), false), ("both", .array([.string("csv"), .string("html")]), true),
            ]
            for (name, reports, isMade) in cases {
                let output = "\(folder)/\(name)"
                _ = try train(output, reports: reports)
                let files = FileManager.default
                #expect(files.fileExists(atPath: output + "/report.html") == isMade, "\(name)")
                #expect(files.fileExists(atPath: output + "/metrics.csv") == ["csv", "both"].contains(name), "\(name)")
                #expect(files.fileExists(atPath: output + "/tutti_data.json"))
                // Diagnoses cost encodings, and are made only where they are asked for.
                #expect(!files.fileExists(atPath: output + "/diagnosis"))
                guard isMade else { continue }
                let page = try String(contentsOfFile: output + "/report.html", encoding: .utf8)
                #expect(page.contains("<td>finished</td>") && page.contains("<h2>Data</h2>"))
            }
        }
    }
}
