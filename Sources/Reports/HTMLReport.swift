// `output_dir/report.html`, made anew whenever the run evaluates, saves or ends: always whole, and never more than a copy of
// what metrics.jsonl says, so that a resumed run has nothing to cut back.

import Foundation
import TuttiFormats
import TuttiGround

/// Keeps the page of a run up to date.
package final class HTMLReport: Report {
    private let directory: String

    /// The page of the run that writes to `directory`.
    package init(directory: String) { self.directory = directory }

    /// Its registry entry.
    static let entry = ReportEntry(name: "html", summary: "output_dir/report.html, a page with charts") {
        HTMLReport(directory: $0.outputDirectory)
    }

    package func logged(_ line: LogLine) throws { if line.kind != .training { try write() } }
    package func finished() throws { try write() }

    private func write() throws {
        let page = RunPage([try RunRecord(path: directory)])
        try AtomicWrite.file(path: directory + "/report.html", text: page.html)
    }
}
