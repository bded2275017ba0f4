// The files of diagnoses: output_dir/diagnosis/sample.json, step-N.json and final.json.

import Foundation
import TuttiFormats
import TuttiGround

/// Reads and writes the diagnoses of a run.
enum DiagnosisFiles {
    /// Below output_dir.
    static let folder = "diagnosis"
    private static let sampleName = "sample.json", finalName = "final.json"

    /// The files of diagnoses in the run's folder with their steps; nil for the final one.
    static func names(in directory: String) throws -> [(name: String, step: Int?)] {
        let path = directory + "/" + folder
        guard FileManager.default.fileExists(atPath: path) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: path).compactMap { name in
            if name == finalName { return (name, nil) }
            guard name.hasPrefix("step-"), name.hasSuffix(".json"), let step = Int(name.dropFirst(5).dropLast(5)) else {
                return nil
            }
            return (name, step)
        }
    }

    /// Writes a diagnosis, and its sample if that is not there or another one.
    static func write(_ diagnosis: ContrastiveDiagnosis, of sample: DiagnosisSample, in directory: String) throws {
        let path = directory + "/" + folder
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let text = JSONValue.object(sample.json).serialized()
        let file = path + "/" + sampleName
        if FileManager.default.contents(atPath: file).map({ String(decoding: $0, as: UTF8.self) }) != text {
            try AtomicWrite.file(path: file, text: text)
        }
        let name = diagnosis.isFinal ? finalName : "step-\(diagnosis.step).json"
        try AtomicWrite.file(path: path + "/" + name, text: JSONValue.object(diagnosis.json).serialized())
    }

    /// The sample and its diagnoses, by their steps, the final one last; nil where there are none.
    ///
    /// Throws: `.data` naming a file that is no JSON. One of another sample is left out.
    static func read(in directory: String) throws(TuttiError) -> (
        sample: DiagnosisSample, diagnoses: [ContrastiveDiagnosis]
    )? {
        let path = directory + "/" + folder
        guard FileManager.default.fileExists(atPath: path + "/" + sampleName),
            let sample = try JSONValue.parse(file: path + "/" + sampleName).object.flatMap(DiagnosisSample.init)
        else { return nil }
        var diagnoses: [ContrastiveDiagnosis] = []
        let names: [(name: String, step: Int?)]
        do { names = try self.names(in: directory) } catch { throw TuttiError(error) }
        for (name, _) in names {
            guard let json = try JSONValue.parse(file: path + "/" + name).object,
                let diagnosis = ContrastiveDiagnosis(json, of: sample)
            else { continue }
            diagnoses.append(diagnosis)
        }
        return (sample, diagnoses.sorted { ($0.isFinal ? 1 : 0, $0.step) < ($1.isFinal ? 1 : 0, $1.step) })
    }
}
