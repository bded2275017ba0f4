// Checkpoints: everything a run needs to go on as if it had never stopped.
//
// `checkpoint-N/` = the model folder + `trainer_state.json` (the reference's keys) + `optimizer.safetensors`
// (exp_avg.<name>, exp_avg_sq.<name>) + `tutti_state.json` (exact counters, surroundings, SHA-256 of every file, and a
// digest over all of that). CheckpointDraft writes it; loading walks back to the newest valid one.
//
// `format` 2 has the digest; 1, which has none, is still read. A newer one is refused.

import Foundation
import TuttiFormats
import TuttiGround

/// What the numbers of a run depend on besides its configuration.
struct Surroundings: Equatable {
    var world: Int
    var batchRows: Int
    var gemmProvider: String
    var threads: Int
    var blasCoreType: String
    /// The instructions of bf16 products, if the run has any.
    var halfProducts: String?

    func json() -> JSONObject {
        var object = JSONObject()
        object["world_size"] = .integer(Int64(world))
        object["global_train_batch_size"] = .integer(Int64(batchRows))
        object["gemm_provider"] = .string(gemmProvider)
        object["threads"] = .integer(Int64(threads))
        object["blas_core_type"] = .string(blasCoreType)
        if let halfProducts { object["half_products"] = .string(halfProducts) }
        object["tutti_version"] = .string(tuttiVersion)
        return object
    }
}

/// A valid checkpoint found on disk.
struct Checkpoint {
    /// The newest format that is read, and the one that is written.
    static let format = 2

    let path: String
    let state: TrainerState
    let surroundings: JSONObject
    /// Whether its counters are under a digest: those of format 1 are not.
    let isSealed: Bool

    /// Whether it holds what a run needs to go on, not the model alone.
    var isResumable: Bool { FileManager.default.fileExists(atPath: path + "/optimizer.safetensors") }

    // MARK: Finding

    /// The rows of the global batches of the run that wrote the checkpoint at `path`; nil where it does not say.
    static func batchRows(of path: String) -> Int? {
        do {
            let file = try JSONValue.parse(file: path + "/tutti_state.json")
            return file["surroundings"]?["global_train_batch_size"]?.int
        } catch {
            return nil
        }
    }

    /// The newest valid checkpoint of the run `identity` below `directory`; damaged ones are reported and passed over.
    ///
    /// - Parameters:
    ///   - saysUnsealed: whether one whose counters are under no digest is worth a notice.
    ///   - mending: writes a damaged file of a checkpoint anew where it can, by its name and digest.
    /// - Throws: a data error for a checkpoint that a newer version wrote: an older one beside it is not what is wanted.
    static func newest(
        in directory: String, identity: RunIdentity, saysUnsealed: Bool = true,
        mending: ((_ path: String, _ name: String, _ digest: String) -> Bool)? = nil, notice: (String) -> Void
    ) throws(TuttiError) -> Checkpoint? {
        for step in try steps(in: directory).reversed() {
            let path = "\(directory)/checkpoint-\(step)"
            let mend = mending.map { mending in { mending(path, $0, $1) } }
            guard let checkpoint = try validate(path, identity: identity, mending: mend) else {
                notice("\(path) is damaged or of another run; going back to the one before.")
                continue
            }
            if checkpoint.isResumable {
                if !checkpoint.isSealed, saysUnsealed {
                    notice("\(path) was written by an earlier version, without a digest of its counters.")
                }
                return checkpoint
            }
            notice("\(path) holds no optimizer state (save_only_model); going back to the one before.")
        }
        return nil
    }

    /// The steps of all checkpoint folders, ascending.
    static func steps(in directory: String) throws(TuttiError) -> [Int] {
        try entries(of: directory).compactMap { name in
            name.hasPrefix("checkpoint-") ? Int(name.dropFirst("checkpoint-".count)) : nil
        }.sorted()
    }

    /// The checkpoint at `path` if everything in it is whole and it belongs to the run `identity`, or to any if nil.
    ///
    /// - Parameter mending: writes a damaged file anew where it can, by its name and digest.
    /// - Throws: a data error if its format is newer than this version knows.
    static func validate(
        _ path: String, identity: RunIdentity?, mending: ((_ name: String, _ digest: String) -> Bool)? = nil
    ) throws(TuttiError) -> Checkpoint? {
        let source = path + "/tutti_state.json"
        var found: JSONObject?
        do { found = try JSONValue.parse(file: source).object } catch { return nil }
        guard let object = found else { return nil }
        try checkFormat(object, knownFormat: format, operation: "resume", source: source)
        do {
            let isSealed = object["digest"] != nil
            guard isSealed ? sealIsWhole(object) : object["format"]?.int == 1,
                let owner = object["identity"]?.string, identity?.accepts(owner) ?? true,
                let expected = object["sha256"]?.object,
                let state = object["state"]?.object, let surroundings = object["surroundings"]?.object
            else { return nil }
            for (name, digest) in expected {
                guard let digest = digest.string else { return nil }
                guard holds(path + "/" + name, digest) || mending?(name, digest) ?? false else { return nil }
            }
            let reference = try JSONValue.parse(file: path + "/trainer_state.json").object
            let history = (reference?["log_history"]?.array ?? []).compactMap(\.object)
            var counters = try TrainerState(resume: state, history: history, source: source)
            counters.callbackStates = reference?["stateful_callbacks"]?.object ?? JSONObject()
            return Checkpoint(path: path, state: counters, surroundings: surroundings, isSealed: isSealed)
        } catch {
            return nil
        }
    }

    // MARK: Rotating

    /// Deletes the oldest checkpoints beyond `limit`; the best one is never deleted.
    ///
    /// As the reference: with a limit of one, the newest is kept beside the best. Steps after `upTo`, the one just
    /// saved, are those of a damaged checkpoint that the run went back from: they do not count.
    static func rotate(in directory: String, upTo step: Int, limit: Int?, best: String?) throws(TuttiError) {
        guard let limit else { return }
        var names = try steps(in: directory).filter { $0 <= step }.map { "checkpoint-\($0)" }
        var keep = limit
        if let best, let index = names.firstIndex(of: best), index < names.count - 1 {
            names.remove(at: index)
            names.insert(best, at: max(0, names.count - 1))
            if limit == 1 { keep = 2 }
        }
        guard names.count > keep else { return }
        for name in names.prefix(names.count - keep) where name != best { try remove(directory + "/" + name) }
    }

    /// Deletes a checkpoint; it is renamed first, so that a crash leaves no half of it under its name.
    static func remove(_ path: String) throws(TuttiError) {
        let doomed = path + ".tmp"
        do {
            if FileManager.default.fileExists(atPath: doomed) { try FileManager.default.removeItem(atPath: doomed) }
            try FileManager.default.moveItem(atPath: path, toPath: doomed)
            try FileManager.default.removeItem(atPath: doomed)
        } catch {
            throw TuttiError(.retryable, "delete an old checkpoint", path, "\(error.localizedDescription)")
        }
    }

    /// Deletes what a killed save or deletion left behind, and puts back what a killed replacement had put aside.
    static func removeUnfinished(in directory: String) throws(TuttiError) {
        for name in try entries(of: directory) where name.hasPrefix("checkpoint-") {
            if name.hasSuffix(".tmp") { try AtomicWrite.removeTree(directory + "/" + name) }
            if name.hasSuffix(".old") { try AtomicWrite.recover(finalPath: directory + "/" + name.dropLast(4)) }
        }
    }

    // MARK: Digests

    /// Whether the file at `path` can be read and has this digest.
    private static func holds(_ path: String, _ digest: String) -> Bool {
        do throws(TuttiError) { return try sha256(of: path) == digest } catch { return false }
    }

    /// SHA-256 of every file below `directory`, by its path there.
    static func digests(of directory: String) throws(TuttiError) -> JSONObject {
        var object = JSONObject()
        guard let names = FileManager.default.enumerator(atPath: directory) else { return object }
        for name in names.allObjects.compactMap({ $0 as? String }).sorted() {
            var isDirectory: ObjCBool = false
            let path = directory + "/" + name
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), !isDirectory.boolValue
            else { continue }
            object[name] = .string(try sha256(of: path))
        }
        return object
    }

    /// Hexadecimal SHA-256 of a file.
    static func sha256(of path: String) throws(TuttiError) -> String {
        let file = try MappedFile(path: path)
        return withExtendedLifetime(file) { Digest.of(file.bytes).hexadecimal }
    }
}
