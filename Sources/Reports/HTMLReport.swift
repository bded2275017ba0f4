// `output_dir/report.html`: always whole, and never more than a copy of what the run's folder says.
//
// The page is made at the end, and until then after a logged line, if making it takes less than 1/1000 of the time that has
// passed since the last one: however much a run logs, its page costs a thousandth of its time. `tutti report RUN` makes it at
// any moment.

import Foundation
import TuttiFormats
import TuttiGround

/// Keeps the page of a run up to date.
package final class HTMLReport: Report {
    private let directory: String
    private let now: () -> ContinuousClock.Instant
    private var lastMade: ContinuousClock.Instant
    /// What the last page has cost; of the first one, a guess.
    private var cost: Duration = .milliseconds(10)
    private static let share = 1000

    /// The page of the run that writes to `directory`; `now` is the clock.
    package init(directory: String, now: @escaping () -> ContinuousClock.Instant = { .now }) {
        (self.directory, self.now) = (directory, now)
        lastMade = now()
    }

    /// Its registry entry.
    static let entry = ReportEntry(name: "html", summary: "output_dir/report.html, a page with charts") {
        HTMLReport(directory: $0.outputDirectory)
    }

    package func logged(_ line: LogLine) throws { if now() - lastMade >= cost * Self.share { try write() } }
    package func finished() throws { try write() }

    private func write() throws {
        let began = now()
        let page = RunPage([try RunRecord(path: directory)])
        try AtomicWrite.file(path: directory + "/report.html", text: page.html)
        lastMade = now()
        cost = lastMade - began
    }
}
