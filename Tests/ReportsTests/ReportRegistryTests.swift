// The registry of reports is open: one written outside the package is found by its name.

import Testing
import TuttiFormats
import TuttiGround
import TuttiReports

/// A report from outside, with nothing but a name.
private final class Postcard: Report {
    let address: String
    init(_ context: ReportContext) { address = "\(context.runName ?? "?")@\(context.outputDirectory)" }
}

@Suite struct ReportRegistryTests {
    @Test func metricsAreKnown() throws {
        let report = try ReportRegistry.entry(named: "metrics").make(ReportContext(outputDirectory: "runs/a"))
        #expect((report as? MetricsLog)?.path == "runs/a/metrics.jsonl")
    }

    @Test func aReportFromOutsideIsFound() throws {
        ReportRegistry.add(ReportEntry(name: "postcard", summary: "a card a run") { Postcard($0) })
        let entry = try ReportRegistry.entry(named: "postcard")
        let made = try entry.make(ReportContext(outputDirectory: "runs/a", runName: "first"))
        #expect((made as? Postcard)?.address == "first@runs/a")
    }

    @Test func anUnknownNameIsAUsageErrorWithTheNearestOne() {
        let error = #expect(throws: TuttiError.self) { _ = try ReportRegistry.entry(named: "metric") }
        #expect(error?.kind == .usage)
        #expect(error?.hint?.contains("metrics") == true)
    }
}
