// Checkpoints: everything a run needs to go on as if it had never stopped.
//
// `checkpoint-N/` = the model folder + `trainer_state.json` (the reference's keys) + `optimizer.safetensors`
// (exp_avg.<name>, exp_avg_sq.<name>) + `tutti_state.json` (exact counters, surroundings, SHA-256 of every file).
// Written as `checkpoint-N.tmp`, synced, renamed; loading walks back to the newest valid one.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiModels

/// What the numbers of a run depend on besides its configuration.
struct Surroundings: Equatable {
    var world: Int
    var batchRows: Int
    var gemmProvider: String
    var threads: Int
    var blasCoreType: String

    func json() -> JSONObject {
        var object = JSONObject()
        object["world_size"] = .integer(Int64(world))
        object["global_train_batch_size"] = .integer(Int64(batchRows))
        object["gemm_provider"] = .string(gemmProvider)
        object["threads"] = .integer(Int64(threads))
        object["blas_core_type"] = .string(blasCoreType)
        object["tutti_version"] = .string(tuttiVersion)
        return object
    }
}

/// A valid checkpoint found on disk.
struct Checkpoint {
    let path: String
    let state: TrainerState
    let surroundings: JSONObject

    // MARK: Writing

    /// Writes `checkpoint-<step>` below `directory`. Rank zero only.
    static func write(
        directory: String, model: SentenceEncoder, card: String, optimizer: OptimizerState?, state: TrainerState,
        arguments: TrainingArguments, surroundings: Surroundings, identity: String
    ) throws(TuttiError) -> String {
        let name = "checkpoint-\(state.globalStep)"
        let path = directory + "/" + name
        if FileManager.default.fileExists(atPath: path) {
            if validate(path, identity: identity) != nil { return name }
            try remove(path)  // damaged: it would stand in the way of the rename
        }
        do {
            try AtomicWrite.directory(finalPath: path) { temporary in
                try model.save(to: temporary, card: card)
                try LossFile.save(to: temporary, from: model.encoder.parameters)
                if let optimizer {
                    try optimizer.save(to: temporary + "/optimizer.safetensors", layout: model.encoder.layout)
                }
                let reference = state.referenceJSON(arguments: arguments, batchRows: surroundings.batchRows)
                try AtomicWrite.file(
                    path: temporary + "/trainer_state.json", text: reference.serialized(indent: 2) + "\n")
                var object = JSONObject()
                object["format"] = .integer(1)
                object["identity"] = .string(identity)
                object["surroundings"] = .object(surroundings.json())
                object["state"] = .object(state.resumeJSON())
                object["sha256"] = .object(try digests(of: temporary))
                try AtomicWrite.file(
                    path: temporary + "/tutti_state.json",
                    text: JSONValue.object(object).serialized(indent: 2) + "\n")
            }
        } catch let error as TuttiError {
            throw error
        } catch {
            throw TuttiError(.retryable, "write a checkpoint", path, "\(error)")
        }
        return name
    }

    // MARK: Finding

    /// The newest valid checkpoint of the run `identity` below `directory`; damaged ones are reported and passed over.
    static func newest(
        in directory: String, identity: String, notice: (String) -> Void
    ) throws(TuttiError) -> Checkpoint? {
        for step in try steps(in: directory).reversed() {
            let path = "\(directory)/checkpoint-\(step)"
            guard let checkpoint = validate(path, identity: identity) else {
                notice("\(path) is damaged or of another run; going back to the one before.")
                continue
            }
            if FileManager.default.fileExists(atPath: path + "/optimizer.safetensors") { return checkpoint }
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

    /// The checkpoint at `path` if every file of it is whole.
    static func validate(_ path: String, identity: String) -> Checkpoint? {
        do {
            let source = path + "/tutti_state.json"
            guard let object = try JSONValue.parse(file: source).object,
                object["identity"]?.string == identity,
                let expected = object["sha256"]?.object,
                let state = object["state"]?.object, let surroundings = object["surroundings"]?.object
            else { return nil }
            for (name, digest) in expected {
                guard let digest = digest.string, try sha256(of: path + "/" + name) == digest else { return nil }
            }
            let reference = try JSONValue.parse(file: path + "/trainer_state.json").object
            let history = (reference?["log_history"]?.array ?? []).compactMap(\.object)
            return Checkpoint(
                path: path, state: try TrainerState(resume: state, history: history, source: source),
                surroundings: surroundings)
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

    /// Deletes what a killed save or deletion left behind.
    static func removeUnfinished(in directory: String) throws(TuttiError) {
        for name in try entries(of: directory) where name.hasPrefix("checkpoint-") && name.hasSuffix(".tmp") {
            try AtomicWrite.removeTree(directory + "/" + name)
        }
    }

    // MARK: Digests

    private static func digests(of directory: String) throws(TuttiError) -> JSONObject {
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
