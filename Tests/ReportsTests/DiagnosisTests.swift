// Diagnoses of a model in files and on the page of a run.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiReports

@Suite struct DiagnosisTests {
    private let sample = DiagnosisSample(
        source: "pairs.csv", anchors: ["a <b>", "second", "third"], candidates: ["A", "B", "C & D", "E"],
        positives: [0, 1, 2])

    private func diagnosis(_ step: Int, _ ranks: [Int]) -> ContrastiveDiagnosis {
        ContrastiveDiagnosis(
            step: step, alignment: 0.5, uniformity: -2, similarities: [0.9, 0.5, 0.25], hardest: [0.1, 0.75, 0.5],
            ranks: ranks, doubts: [.init(row: 1, candidate: 3, similarity: 0.75)])
    }

    private func folder(_ scratch: TemporaryDirectory) throws -> String {
        let run: JSONObject = ["status": .string("running"), "configuration": .object(JSONObject())]
        try AtomicWrite.file(path: scratch.path + "/tutti_run.json", text: JSONValue.object(run).serialized())
        return scratch.path
    }

    private func names(_ path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/diagnosis").sorted()
    }

    @Test func whatIsStoredIsReadAgain() throws {
        let read = try #require(DiagnosisSample(sample.json))
        #expect(read == sample)
        #expect(ContrastiveDiagnosis(diagnosis(3, [1, 2, 4]).json, of: sample) == diagnosis(3, [1, 2, 4]))
        // Of another sample, or damaged.
        let other = DiagnosisSample(source: "", anchors: ["a"], candidates: ["b"], positives: [0])
        #expect(ContrastiveDiagnosis(diagnosis(3, [1, 2, 4]).json, of: other) == nil)
        #expect(ContrastiveDiagnosis(diagnosis(3, [1, 0, 4]).json, of: sample) == nil)
        var damaged = sample.json
        damaged["positives"] = .array([.integer(0), .integer(1), .integer(9)])
        #expect(DiagnosisSample(damaged) == nil)
    }

    @Test func thePageShowsWhatChangedAndWhatIsInDoubt() throws {
        let scratch = try TemporaryDirectory()
        let path = try folder(scratch)
        let report = DiagnosisReport(directory: path)
        #expect(report.details == .diagnosis && HTMLReport(directory: path).details.isEmpty)
        try report.diagnosed(diagnosis(0, [3, 1, 2]), of: sample)
        try report.diagnosed(diagnosis(5, [1, 2, 2]), of: sample)
        var last = diagnosis(5, [1, 2, 2])
        last.isFinal = true
        try report.diagnosed(last, of: sample)
        try HTMLReport(directory: path).finished()
        let html = try String(contentsOfFile: path + "/report.html", encoding: .utf8)
        #expect(html.contains("<h2>Embeddings</h2>") && html.contains("3 rows of pairs.csv, 4 candidates for each"))
        #expect(html.contains("<th scope=\"col\">final (step 5)</th>"))
        // The first row rose from 3 to 1, the second fell from 1 to 2, the third stayed.
        #expect(html.contains("a &lt;b&gt;</th><td>A</td><td>3</td><td>1</td>"))
        #expect(html.contains("second</th><td>B</td><td>1</td><td>2</td>"))
        #expect(!html.contains("third</th>"))
        #expect(html.contains("second</th><td>E</td><td>0.75</td><td>B</td><td>0.5</td>"))
        // Similarity, rank, alignment, uniformity, two distributions.
        #expect(html.components(separatedBy: "<svg").count - 1 == 6)
    }

    /// A resumed run removes what an earlier process found of later steps.
    @Test func diagnosesAreCutBack() throws {
        let scratch = try TemporaryDirectory()
        let path = try folder(scratch)
        let report = DiagnosisReport(directory: path)
        try report.rewind(to: -1, evaluationIsDue: false)  // nothing there
        for step in [0, 5, 10] { try report.diagnosed(diagnosis(step, [1, 1, 1]), of: sample) }
        var last = diagnosis(10, [1, 1, 1])
        last.isFinal = true
        try report.diagnosed(last, of: sample)
        #expect(try names(path) == ["final.json", "sample.json", "step-0.json", "step-10.json", "step-5.json"])
        try report.rewind(to: 10, evaluationIsDue: false)
        #expect(try names(path) == ["sample.json", "step-0.json", "step-10.json", "step-5.json"])
        try report.rewind(to: 10, evaluationIsDue: true)
        #expect(try names(path) == ["sample.json", "step-0.json", "step-5.json"])
        try report.rewind(to: 4, evaluationIsDue: true)
        #expect(try names(path) == ["sample.json", "step-0.json"])
        try report.rewind(to: -1, evaluationIsDue: false)
        #expect(try names(path) == ["sample.json"])
    }

    /// Chromium shows the page without messages, at 400 and 1400 pixels, light and dark, and prints it.
    @Test(
        .enabled(
            if: ProcessInfo.processInfo.environment["TUTTI_PEER"].map { !$0.isEmpty } ?? false,
            "launch/test --real has a browser"))
    func realBrowserShowsThePage() throws {
        let peer = try #require(ProcessInfo.processInfo.environment["TUTTI_PEER"], "TUTTI_PEER is not set")
        let scratch = try TemporaryDirectory()
        let path = try folder(scratch)
        let log = MetricsLog(directory: path)
        for step in 1...40 {
            let place: JSONObject = ["step": .integer(Int64(step)), "epoch": .number(Double(step) / 10)]
            try log.logged(
                LogLine(
                    .training,
                    place.merging([
                        "loss": .number(2 / Double(step)), "grad_norm": .number(1e-9 * Double(step)),
                        "learning_rate": .number(1e-5), "tokens_per_second": .number(123_456),
                        "share_of_peak": .number(0.75), "peak_memory": .integer(1 << 31),
                        "seconds": .object(["forward": .number(0.25), "backward": .number(0.5)]),
                    ])))
            try log.logged(
                LogLine(.evaluation, place.merging(["eval_a_data_set_with_a_long_name_cosine_accuracy": .number(0.5)])))
        }
        let word = String(repeating: "unbreakable", count: 20)
        let long = DiagnosisSample(
            source: "a/" + word + ".csv", anchors: [word, "second", "third"], candidates: [word, "B", word + "!", "E"],
            positives: [0, 1, 2])
        let report = DiagnosisReport(directory: path)
        for step in [0, 20, 40] { try report.diagnosed(diagnosis(step, [3 - step / 20, 1, 2]), of: long) }
        var data = DataSummary(name: word + ".csv", use: "training")
        (data.rows, data.rowsMeasured, data.rowsCompared) = (1_000_000, 100, 10_000)
        data.columns = ["anchor", word].map {
            .init(name: $0, unit: "tokens", least: 3, mean: 91.5, most: 512, cutShare: 0.25, repeatedShare: 0.001)
        }
        try DataSummary.write([data, DataSummary(name: "stream.jsonl", use: "evaluation")], in: path)
        try HTMLReport(directory: path).finished()
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Golden/check_report_page.py").path
        let python = Process()
        python.executableURL = URL(fileURLWithPath: "\(peer)/bin/python")
        python.arguments = [script, path + "/report.html", path + "/pictures"]
        try python.run()
        python.waitUntilExit()
        #expect(python.terminationStatus == 0, "\(script) failed")
    }
}
