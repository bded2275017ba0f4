// The output directory of a run: whose run it is, and whether it is new, unfinished or done.
//
// `tutti_run.json` holds the resolved configuration and a digest of all that decides the result (configuration, data,
// start weights). The same run started again resumes or says that it is finished; any other run is refused.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels

/// What starting a run in its output directory means.
enum RunStart: String, Codable, Sendable {
    case fresh, resume, finished
}

/// The identity of a run, kept in its output directory.
struct RunDirectory {
    let path: String
    /// Hexadecimal SHA-256 of everything that decides the run's result.
    let identity: String
    let configuration: JSONValue

    private var file: String { path + "/tutti_run.json" }

    /// - Parameters:
    ///   - configuration: the resolved configuration, `--set` applied.
    ///   - inputs: digests of the data sets and start weights.
    init(path: String, configuration: JSONValue, inputs: [String]) {
        self.path = path
        self.configuration = configuration
        var digest = Digest()
        digest.update(utf8: configuration.serialized(sortKeys: true))
        for input in inputs { digest.update(utf8: "\n" + input) }
        identity = digest.hexadecimal
    }

    /// Creates or inspects the directory. Rank zero only.
    ///
    /// - Throws: exit 64 if the directory holds another run or other files, unless `overwrite`.
    func start(overwrite: Bool) throws(TuttiError) -> RunStart {
        let files = FileManager.default
        if overwrite, files.fileExists(atPath: file) {
            try removeRun()
        } else if files.fileExists(atPath: file) {
            return try compare(JSONValue.parse(file: file))
        }
        // A kill in the very first write leaves nothing but its temporary file.
        if try !entries(of: path).allSatisfy({ $0.hasPrefix("tutti_run.json") }) {
            throw TuttiError(
                .usage, "start the run", path, "the output directory holds files that are not a run of Tutti",
                hint: "Choose an empty output_dir.")
        }
        do {
            try files.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw TuttiError(
                .retryable, "create the output directory", path, "\(error.localizedDescription)",
                hint: "Fix permissions or space, or choose another output_dir.")
        }
        try write(finished: false)
        return .fresh
    }

    /// The providers of matrix products that the run began with; nil where the file does not say. Rank zero only.
    func gemmChoice() throws(TuttiError) -> String? { try JSONValue.parse(file: file).object?["gemm_provider"]?.string }

    /// Marks the run as finished. Rank zero only.
    func finish() throws(TuttiError) { try write(finished: true) }

    private func write(finished: Bool) throws(TuttiError) {
        var object = JSONObject()
        object["status"] = .string(finished ? "finished" : "running")
        object["identity"] = .string(identity)
        object["tutti_version"] = .string(tuttiVersion)
        object["gemm_provider"] = .string(Gemm.choice.description)
        object["configuration"] = configuration
        try AtomicWrite.file(path: file, text: JSONValue.object(object).serialized(indent: 2) + "\n")
    }

    private func compare(_ found: JSONValue) throws(TuttiError) -> RunStart {
        guard found.object?["identity"]?.string == identity else {
            throw TuttiError(
                .usage, "start the run", path, "the output directory holds another run: \(difference(found))",
                hint: "Choose another output_dir, or pass --overwrite to delete that run.")
        }
        return found.object?["status"]?.string == "finished" ? .finished : .resume
    }

    /// The first top-level key in which the two configurations differ.
    private func difference(_ found: JSONValue) -> String {
        let theirs = found.object?["configuration"]?.object ?? JSONObject()
        let ours = configuration.object ?? JSONObject()
        for key in ours.keys + theirs.keys where ours[key] != theirs[key] {
            let before = theirs[key]?.serialized() ?? "absent"
            let now = ours[key]?.serialized() ?? "absent"
            return "\"\(key)\" was \(before.prefix(120)) and is \(now.prefix(120))"
        }
        return "its data or start weights differ"
    }

    /// Deletes what a run writes, and nothing else.
    private func removeRun() throws(TuttiError) {
        let files = FileManager.default
        do {
            for name in try files.contentsOfDirectory(atPath: path) {
                var plain = name
                for ending in [".tmp", ".old"] where plain.hasSuffix(ending) { plain.removeLast(ending.count) }
                let isCheckpoint = plain.hasPrefix("checkpoint-") && Int(plain.dropFirst("checkpoint-".count)) != nil
                if isCheckpoint || ["metrics.jsonl", "final", "eval"].contains(plain) {
                    try files.removeItem(atPath: path + "/" + name)
                }
            }
            try files.removeItem(atPath: file)  // last: until then the folder is known as a run
        } catch {
            throw TuttiError(.retryable, "overwrite a run", path, "\(error.localizedDescription)")
        }
    }
}

/// The names in a folder; none where there is no folder.
func entries(of directory: String) throws(TuttiError) -> [String] {
    guard FileManager.default.fileExists(atPath: directory) else { return [] }
    do {
        return try FileManager.default.contentsOfDirectory(atPath: directory)
    } catch {
        throw TuttiError(.usage, "read a folder", directory, error.localizedDescription)
    }
}
