// `output_dir/report.html`, made anew whenever the run evaluates, saves or ends: always whole, and never more than a copy of
// what the run's folder says.
//
// Diagnoses of the model are kept in output_dir/diagnosis: sample.json with the texts, step-N.json and final.json with numbers.
// A resumed run removes those of later steps.

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

    /// Diagnoses, for the section on embeddings.
    package var details: ReportDetails { .diagnosis }

    package func rewind(to step: Int, evaluationIsDue: Bool) throws {
        let point = RewindPoint(step, evaluationIsDue: evaluationIsDue)
        let folder = directory + "/" + DiagnosisFiles.folder
        for (name, ofStep) in try DiagnosisFiles.names(in: directory)
        where ofStep.map({ !point.keeps(step: $0) { _ in false } }) ?? true {
            try FileManager.default.removeItem(atPath: folder + "/" + name)
        }
    }

    package func diagnosed(_ diagnosis: ContrastiveDiagnosis, of sample: DiagnosisSample) throws {
        try DiagnosisFiles.write(diagnosis, of: sample, in: directory)
    }

    package func logged(_ line: LogLine) throws { if line.kind != .training { try write() } }
    package func finished() throws { try write() }

    private func write() throws {
        let page = RunPage([try RunRecord(path: directory)])
        try AtomicWrite.file(path: directory + "/report.html", text: page.html)
    }
}
