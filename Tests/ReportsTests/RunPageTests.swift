// report.html: what it says, of one run and of several, and that it is well-formed and fetches nothing.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiReports

#if canImport(FoundationXML)
import FoundationXML
#endif

@Suite struct RunPageTests {
    /// A run of `steps` steps in a folder called `name`, whose loss falls from `loss`.
    private func record(
        _ scratch: TemporaryDirectory, _ name: String, steps: Int = 20, loss: Double = 2, rate: Double = 1e-4
    ) throws -> RunRecord {
        let path = scratch.path + "/" + name
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let configuration: JSONObject = [
            "model": .string("<models> & more"), "args": .object(["learning_rate": .number(rate)]),
        ]
        let run: JSONObject = ["status": .string("running"), "configuration": .object(configuration)]
        try AtomicWrite.file(path: path + "/tutti_run.json", text: JSONValue.object(run).serialized())
        let log = MetricsLog(directory: path)
        for step in stride(from: 2, through: steps, by: 2) {
            let place: JSONObject = ["step": .integer(Int64(step)), "epoch": .number(Double(step) / 10)]
            try log.logged(
                LogLine(
                    .training,
                    place.merging([
                        "loss": .number(loss / Double(step)), "loss_part": .number(0.5), "grad_norm": .number(1),
                        "learning_rate": .number(rate), "tokens_per_second": .number(1000),
                        "seconds": .object(["forward": .number(0.25), "backward": .number(0.5)]),
                    ])))
            let score = step == 12 ? 0.9 : 0.5
            try log.logged(LogLine(.evaluation, place.merging(["eval_dev_accuracy": .number(score)])))
        }
        return try RunRecord(path: path)
    }

    /// The elements of the page by their names; fails where the page is not well-formed.
    private func elements(_ html: String) throws -> [String: Int] {
        final class Counter: NSObject, XMLParserDelegate {
            var counts: [String: Int] = [:]
            func parser(
                _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
                attributes: [String: String]
            ) { counts[name, default: 0] += 1 }
        }
        let counter = Counter()
        let parser = XMLParser(data: Data(html.replacing("<!DOCTYPE html>", with: "").utf8))
        parser.delegate = counter
        #expect(parser.parse(), "line \(parser.lineNumber): \(parser.parserError.map { "\($0)" } ?? "")")
        return counter.counts
    }

    @Test func aRunIsShownWithItsBestMarked() throws {
        let scratch = try TemporaryDirectory()
        let html = RunPage([try record(scratch, "first")]).html
        let counts = try elements(html)
        // Loss with its part, norm, rate; the metric; tokens a second, phases.
        #expect(counts["svg"] == 6)
        #expect(counts["figcaption"] == 6)
        #expect(html.contains("<title>best: 0.9 at step 12</title>"))
        #expect(html.contains("<td>0.9</td><td>12</td>"))
        #expect(html.contains("&lt;models&gt; &amp; more") && !html.contains("<models>"))
        for address in ["http://", "https://", "src=", "@import", "url("] { #expect(!html.contains(address)) }
    }

    @Test func severalRunsAreSideBySide() throws {
        let scratch = try TemporaryDirectory()
        let runs = [try record(scratch, "a"), try record(scratch, "b", steps: 10, loss: 4, rate: 2e-4)]
        let html = RunPage(runs).html
        _ = try elements(html)
        #expect(html.contains("<th scope=\"row\">args.learning_rate</th><td>0.0001</td><td>0.0002</td>"))
        #expect(!html.contains("<th scope=\"row\">model</th><td>&lt;models&gt; &amp; more</td><td>"))  // equal
        #expect(html.contains("aria-label=\"loss: a from 1 to 0.1; b from 2 to 0.4\""))
    }

    @Test func aLongRunStaysASmallPage() throws {
        let scratch = try TemporaryDirectory()
        let html = RunPage([try record(scratch, "long", steps: 20_000)]).html
        _ = try elements(html)
        #expect(html.utf8.count < 200_000)
    }

    /// Of a log that is too long for memory only some lines of steps are read, and every evaluation.
    @Test func aLogThatIsTooLongIsThinned() throws {
        let scratch = try TemporaryDirectory()
        let whole = try record(scratch, "long", steps: 2000)
        let size = try MappedFile(path: scratch.path + "/long/metrics.jsonl").bytes.count
        let thinned = try RunRecord(path: scratch.path + "/long", bytesRead: size / 4)
        #expect(whole.training.count == 1000 && whole.evaluations.count == 1000)
        #expect(thinned.training.count == 200 && thinned.evaluations == whole.evaluations)
        #expect(try RunRecord(path: scratch.path + "/long", bytesRead: size + 1).training == whole.training)
    }

    /// A run without lines, as after its first second.
    @Test func aRunWithoutLinesHasAPage() throws {
        let scratch = try TemporaryDirectory()
        let html = RunPage([try record(scratch, "empty", steps: 0)]).html
        let counts = try elements(html)
        #expect(counts["svg"] == nil)
        #expect(html.contains("&lt;models&gt;"))
    }

    /// Rows, lengths, cut and repeated texts of the data; of a stream only that it is one.
    @Test func theDataAreDescribed() throws {
        let scratch = try TemporaryDirectory()
        let run = try record(scratch, "described", steps: 4)
        var data = DataSummary(name: "pairs & more", use: "training")
        (data.rows, data.rowsMeasured, data.rowsCompared) = (50_000, 100, 10_000)
        data.columns = [
            .init(name: "a<b", unit: "tokens", least: 3, mean: 17.25, most: 64, cutShare: 0.0314, repeatedShare: 0.25)
        ]
        try DataSummary.write([data, DataSummary(name: "lines", use: "evaluation")], in: run.path)
        let html = RunPage([try RunRecord(path: run.path)]).html
        _ = try elements(html)
        #expect(
            html.contains(
                "pairs &amp; more, training: 50000 rows; lengths of the first 100, repeated texts of the first 10000"))
        let cells = ["tokens", "3", "17.25", "64", "3.1 %", "25 %"].map { "<td>\($0)</td>" }.joined()
        #expect(html.contains("<th scope=\"row\">a&lt;b</th>" + cells))
        #expect(html.contains("lines, evaluation: a stream"))
        #expect(!RunPage([try record(scratch, "old", steps: 4)]).html.contains("<h2>Data</h2>"))
    }

    /// The page is made when that takes less than a thousandth of the time since the last one, and at the end.
    @Test func theReportIsKeptUpToDate() throws {
        let scratch = try TemporaryDirectory()
        let run = try record(scratch, "kept")
        var (time, reads) = (ContinuousClock.now, 0)
        let report = HTMLReport(directory: run.path) {
            reads += 1
            return time
        }
        let page = run.path + "/report.html"
        func isMade() throws -> Bool {
            defer { try? FileManager.default.removeItem(atPath: page) }
            return FileManager.default.fileExists(atPath: page)
        }
        let line = LogLine(.training, ["step": .integer(1)])
        try report.logged(line)
        #expect(try !isMade())
        time += .seconds(11)
        try report.logged(line)
        #expect(try String(contentsOfFile: page, encoding: .utf8) == RunPage([run]).html)
        #expect(try isMade())
        // By this clock that took no time: the next line has the next page.
        try report.logged(line)
        #expect(try isMade())
        try report.finished()
        #expect(try isMade())
    }

    /// A page that takes long is made seldom.
    @Test func aSlowPageIsMadeSeldom() throws {
        let scratch = try TemporaryDirectory()
        let run = try record(scratch, "slow")
        var time = ContinuousClock.now
        // Each look at the clock takes 20 ms: so does a page.
        let report = HTMLReport(directory: run.path) {
            time += .milliseconds(20)
            return time
        }
        let page = run.path + "/report.html"
        var made = 0
        for _ in 0..<100 {
            time += .seconds(1)
            try report.logged(LogLine(.training, ["step": .integer(1)]))
            if FileManager.default.fileExists(atPath: page) {
                made += 1
                try FileManager.default.removeItem(atPath: page)
            }
        }
        #expect(made == 5)  // after 10 s, then every 20 s
    }
}
