// `report_to: diagnosis`: where the model places a sample of its pairs, in `output_dir/diagnosis`: sample.json with the texts,
// step-N.json and final.json with numbers. report.html shows them. A resumed run removes those of later steps.

import Foundation
import TuttiFormats
import TuttiGround

/// Keeps the diagnoses of a run.
package final class DiagnosisReport: Report {
    private let directory: String

    /// The diagnoses of the run that writes to `directory`.
    package init(directory: String) { self.directory = directory }

    /// Its registry entry.
    static let entry = ReportEntry(
        name: "diagnosis",
        summary:
            "output_dir/diagnosis, where a sample of the pairs lies, for report.html; the sample is encoded at each "
            + "evaluation"
    ) { DiagnosisReport(directory: $0.outputDirectory) }

    /// Diagnoses.
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
}
