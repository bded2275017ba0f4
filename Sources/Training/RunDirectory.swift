// The output directory of a run: whose run it is, and whether it is new, unfinished or done.
//
// `tutti_run.json` holds the resolved configuration and digests of all that decides the result (configuration, data,
// start weights), under a digest of its own. The same run started again resumes or says that it is finished; any other run is refused.

import Foundation
import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels

/// What starting a run in its output directory means.
enum RunStart: String, Codable, Sendable {
    case fresh, resume, finished
}

/// What rank zero has found in the output directory.
struct FoundRun: Codable, Sendable {
    let start: RunStart
    let identity: RunIdentity
    /// Whether it is finished and goes on for longer.
    let isContinued: Bool
}

/// The identity of a run, kept in its output directory.
struct RunDirectory: Sendable {
    /// The newest format of `tutti_run.json` that is read, and the one that is written. Format 1 named no inputs and had
    /// no digest of its own.
    private static let format = 2

    let path: String
    let configuration: JSONValue
    let inputs: [RunInput]
    let batch: KeptBatch
    /// The last step of the run.
    let lastStep: Int
    /// Rows of a step.
    let rowsOfStep: Int
    private(set) var identity: RunIdentity
    /// Whether the directory holds this run as it was finished after fewer steps.
    private(set) var isContinued = false
    /// Whether a notice has said that an earlier version began the run.
    private(set) var isToldOfEarlierVersion = false
    /// Held by rank zero while the run goes on.
    private(set) var lock: FolderLock?

    private var file: String { path + "/tutti_run.json" }

    /// - Parameters:
    ///   - configuration: the resolved configuration, `--set` applied.
    ///   - inputs: digests of the data sets and start weights.
    ///   - batch: the rows of its global batches.
    ///   - lastStep: its last step, which says whether a finished run can go on.
    ///   - rowsOfStep: the rows of a step.
    init(
        path: String, configuration: JSONValue, inputs: [RunInput], batch: KeptBatch, lastStep: Int, rowsOfStep: Int
    ) {
        (self.lastStep, self.rowsOfStep) = (lastStep, rowsOfStep)
        self.path = path
        self.configuration = configuration
        self.inputs = inputs
        self.batch = batch
        identity = RunIdentity(configuration: configuration, inputs: inputs)
    }

    /// Takes the directory for this process, creating it if need be. Rank zero only.
    ///
    /// A directory that this run must not touch is refused at once; one that another process writes to, after a wait.
    /// - Parameter onLoss: called from another thread when another process has taken the directory over.
    mutating func take(
        overwrite: Bool, times: FolderLock.Times, notice: (String) -> Void, onLoss: @escaping @Sendable () -> Void
    ) throws(TuttiError) {
        if !FileManager.default.fileExists(atPath: file) {
            try checkIsFree()
        } else if !overwrite {
            var copy = self
            if try copy.compare(readFile()) == .finished { return }  // nothing will be written
        }
        try create()
        lock = try FolderLock(
            path: path + "/tutti_run.lock", purpose: "run \(identity.current.prefix(12))", times: times,
            waiting: notice, onLoss: onLoss)
    }

    /// Returns if this process may still write to the directory. Rank zero only.
    func checkIsHeld() throws(TuttiError) { try lock?.check() }

    /// Gives the directory up.
    mutating func release() {
        lock?.release()
        lock = nil
    }

    /// Creates or inspects the run in the directory. Rank zero only, after `take`.
    ///
    /// - Parameter notice: gets what a user should know of an earlier version's run.
    /// - Throws: exit 64 if the directory holds another run or other files, unless `overwrite`; 65 if it holds a run that
    ///   cannot be read.
    mutating func start(overwrite: Bool, notice: (String) -> Void) throws(TuttiError) -> RunStart {
        let files = FileManager.default
        if overwrite, files.fileExists(atPath: file) {
            try removeRun()
        } else if files.fileExists(atPath: file) {
            let found = try readFile()
            let start = try compare(found)
            if isContinued {
                notice("\(path) holds this run, finished after fewer steps: it goes on to step \(lastStep).")
                try write(finished: false)
            } else if found["format"] == nil {
                isToldOfEarlierVersion = true
                notice(
                    "\(path) holds a run that an earlier version began. Its configuration is this one; that its data "
                        + "and start weights are the same cannot be checked, and its checkpoints have no digest of "
                        + "their counters.")
                if start != .finished { try write(finished: false) }
            } else if start == .resume, let before = KeptBatch(found), before != batch {
                try write(finished: false)  // nothing was kept of the steps with the larger one
            }
            return start
        }
        try checkIsFree()
        try write(finished: false)
        return .fresh
    }

    /// What is in the directory, in words; nothing is written. Rank zero only.
    ///
    /// - Throws: as `start`.
    func contents(overwrite: Bool) throws(TuttiError) -> String {
        guard FileManager.default.fileExists(atPath: file) else {
            try checkIsFree()
            return "nothing: the run starts from the beginning"
        }
        if overwrite { return "a run that --overwrite deletes" }
        var copy = self
        if try copy.compare(readFile()) == .finished { return "this run, finished" }
        let steps = try entries(of: path).compactMap { name in
            name.hasPrefix("checkpoint-") ? Int(name.dropFirst("checkpoint-".count)) : nil
        }
        return "this run, unfinished: "
            + (steps.max().map { "it resumes from checkpoint-\($0)" } ?? "without a checkpoint yet")
    }

    /// Creates the directory. Rank zero only.
    private func create() throws(TuttiError) {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw TuttiError(
                .retryable, "create the output directory", path, "\(error.localizedDescription)",
                hint: "Fix permissions or space, or choose another output_dir.")
        }
    }

    /// Takes over the identity that rank zero has found; the other ranks.
    mutating func adopt(_ found: FoundRun) { (identity, isContinued) = (found.identity, found.isContinued) }

    /// Refuses a directory that holds files and no run; one that does not exist is free. Rank zero only.
    private func checkIsFree() throws(TuttiError) {
        // A kill in the very first write leaves nothing but its temporary file.
        if try !entries(of: path).allSatisfy({ $0.hasPrefix("tutti_run.") }) {
            throw TuttiError(
                .usage, "start the run", path, "the output directory holds files that are not a run of Tutti",
                hint: "Choose an empty output_dir.")
        }
    }

    /// The providers of matrix products that the run began with; nil where the file does not say. Rank zero only.
    func gemmChoice() throws(TuttiError) -> String? { try readFile()["gemm_provider"]?.string }

    /// The cache that the run's blocks of attention are made for; nil where the file does not say. Rank zero only.
    func cacheBytes() throws(TuttiError) -> Int? { try readFile()["cache_bytes"]?.int }

    /// The rows of the global batches of the run in a directory; nil where there is none, or none that can be read: what is
    /// wrong with it is said when the run starts there.
    static func keptBatch(in path: String) -> KeptBatch? {
        do {
            return KeptBatch(try JSONValue.parse(file: path + "/tutti_run.json").object ?? JSONObject())
        } catch {
            return nil
        }
    }

    /// Whether a directory holds a finished run.
    static func isFinished(in path: String) -> Bool {
        do {
            return try JSONValue.parse(file: path + "/tutti_run.json")["status"]?.string == "finished"
        } catch {
            return false
        }
    }

    /// The digest of the texts that a module of the run in a directory was computed of, where that is the run of
    /// `configuration`, perhaps shorter, and has no use for the texts any more: it is finished, or has a checkpoint.
    static func components(in path: String, of configuration: JSONValue) throws(TuttiError) -> String? {
        let file: JSONValue
        do { file = try JSONValue.parse(file: path + "/tutti_run.json") } catch { return nil }
        guard let before = file["configuration"]?.object, let now = configuration.object,
            withoutLength(before) == withoutLength(now), let identity = RunIdentity(file),
            let texts = file["inputs"]?.array?.first(where: { $0["name"]?.string == "modules" })?["sha256"]?.string
        else { return nil }
        if file["status"]?.string == "finished", before == now { return texts }
        let newest = try Checkpoint.newest(in: path, identity: identity, saysUnsealed: false) { _ in }
        return newest == nil ? nil : texts
    }

    /// Marks the run as finished. Rank zero only.
    func finish() throws(TuttiError) { try write(finished: true) }

    private func write(finished: Bool) throws(TuttiError) {
        var object = JSONObject()
        object["format"] = .integer(Int64(RunDirectory.format))
        object["status"] = .string(finished ? "finished" : "running")
        object["identity"] = .string(identity.current)
        if let earlier = identity.earlier { object["earlier_identity"] = .string(earlier) }
        object["tutti_version"] = .string(tuttiVersion)
        object["gemm_provider"] = .string(Gemm.choice.description)
        object["cache_bytes"] = .integer(Int64(Compute.cacheBytesHere))
        batch.write(to: &object)
        object["configuration"] = configuration
        object["inputs"] = .array(inputs.map(\.json))
        seal(&object)
        try AtomicWrite.file(path: file, text: JSONValue.object(object).serialized(indent: 2) + "\n")
    }

    /// The members of `tutti_run.json`, whole.
    private func readFile() throws(TuttiError) -> JSONObject {
        let hint = "Put it back, choose another output_dir, or pass --overwrite to delete that run."
        let found: JSONValue
        do {
            found = try JSONValue.parse(file: file)
        } catch {
            throw TuttiError(error.kind, error.operation, error.subject, error.problem, hint: hint)
        }
        let object = found.object ?? JSONObject()
        try checkFormat(object, knownFormat: RunDirectory.format, operation: "start the run", source: file)
        let isSealed = object["digest"] != nil || object["format"] != nil
        let isWhole = isSealed ? sealIsWhole(object) : object["identity"]?.string != nil
        guard isWhole, object["configuration"] != nil else {
            throw TuttiError(
                .data, "start the run", file, "is damaged: its digest is not that of its content", hint: hint)
        }
        return object
    }

    private mutating func compare(_ found: JSONObject) throws(TuttiError) -> RunStart {
        let theirs = found["identity"]?.string ?? ""
        let isOlder = found["format"] == nil
        if isOlder, found["configuration"]?.object.map(decisive) == configuration.object {
            // Its digests of data are another kind's: what can be compared is equal.
            identity.earlier = theirs
        } else if theirs == identity.current {
            identity.earlier = found["earlier_identity"]?.string
        } else if try continues(found) {
            (identity.earlier, isContinued) = (theirs, true)
            return .resume
        } else {
            let changed = changedInputs(found)
            let isOwn = found["configuration"] == configuration && !changed.isEmpty && changed.allSatisfy(\.isCached)
            throw isOwn
                ? TuttiError(
                    .data, "start the run", path, "\(difference(found)) from when the run began",
                    hint: "Nothing was changed: put the files back to go on, choose another output_dir, or pass "
                        + "--overwrite to delete that run.")
                : TuttiError(
                    .usage, "start the run", path, "the output directory holds another run: \(difference(found))",
                    hint: "Choose another output_dir, or pass --overwrite to delete that run.")
        }
        return found["status"]?.string == "finished" ? .finished : .resume
    }

    /// Whether the run that is there is finished, differs in its length alone, and has a checkpoint before the new end.
    ///
    /// - Throws: a usage error where more rows of a stream cannot follow those that it has trained on; a data error where
    ///   they do not.
    private func continues(_ found: JSONObject) throws(TuttiError) -> Bool {
        guard found["status"]?.string == "finished", let theirs = found["configuration"]?.object,
            let own = configuration.object, withoutLength(theirs) == withoutLength(own),
            let newest = try Checkpoint.steps(in: path).last, newest < lastStep,
            let before = found["inputs"]?.array, before.count == inputs.count
        else { return false }
        for (input, before) in zip(inputs, before) where input.json != before {
            guard let stream = input.stream, before["name"]?.string == input.name, let rows = before["rows"]?.int else {
                return false
            }
            try check(stream, digest: before["sha256"]?.string, rows: rows, steps: newest)
        }
        return true
    }

    /// Refuses a stream that does not go on where the run that is there has left it, after `steps` steps over its first
    /// `rows` rows.
    private func check(
        _ stream: (table: Table, source: ReadStream), digest: String?, rows: Int, steps: Int
    ) throws(TuttiError) {
        func refuse(_ kind: TuttiError.Kind, _ problem: String, _ hint: String) -> TuttiError {
            TuttiError(
                kind, "start the run", path, "holds this run, finished, and it cannot go on for longer: \(problem)",
                hint: hint)
        }
        if let obstacle = stream.source.obstacle { throw refuse(.usage, obstacle.problem, obstacle.hint) }
        guard steps * rowsOfStep <= rows else {
            throw refuse(
                .usage, "it went over its \(rows) rows again, which are no longer the end of train_dataset",
                "Choose another output_dir.")
        }
        let first = stream.table.rowCount < rows ? nil : stream.table.selecting(Array(0..<rows)).contentDigest()
        guard first == digest else {
            throw refuse(
                .data, "the first \(rows) rows of train_dataset are not those that it was trained on",
                "Put the file back, or choose another output_dir.")
        }
    }

    /// In what this run and the one that is there differ.
    private func difference(_ found: JSONObject) -> String {
        let keys = RunDifferences(before: found["configuration"] ?? .null, now: configuration)
        if !keys.lines.isEmpty {
            let theirs = found["configuration"]?.object.map(withoutLength)
            let isLonger = theirs != nil && theirs == configuration.object.map(withoutLength)
            return keys.summary + (isLonger ? ", and only a finished run with a checkpoint can go on for longer" : "")
        }
        let others = changedInputs(found).map { input in
            input.name == "model" ? "the start weights of \"model\"" : "the content of \"\(input.name)\""
        }
        return "\(others.isEmpty ? "its data" : others.joined(separator: " and ")) differ\(others.count > 1 ? "" : "s")"
    }

    /// The inputs that are not those of the run that is there.
    private func changedInputs(_ found: JSONObject) -> [RunInput] {
        var before: [String: String] = [:]
        for input in found["inputs"]?.array ?? [] {
            if let name = input["name"]?.string { before[name] = input["sha256"]?.string }
        }
        return inputs.filter { before[$0.name] != $0.digest }
    }

    /// What a run writes beside its checkpoints.
    private static let written: Set<String> = [
        "metrics.jsonl", "metrics.csv", "mlflow.jsonl", "mlflow.json", "report.html", "tutti_data.json", "diagnosis",
        "runs",
        "wandb", "final", "final-push", "eval",
    ]

    /// Deletes what a run writes, and nothing else.
    private func removeRun() throws(TuttiError) {
        let files = FileManager.default
        do {
            for name in try files.contentsOfDirectory(atPath: path) {
                var plain = name
                for ending in [".tmp", ".old"] where plain.hasSuffix(ending) { plain.removeLast(ending.count) }
                let isCheckpoint = plain.hasPrefix("checkpoint-") && Int(plain.dropFirst("checkpoint-".count)) != nil
                if isCheckpoint || RunDirectory.written.contains(plain) {
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
