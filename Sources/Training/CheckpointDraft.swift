// A checkpoint that is to be written: everything that goes into its folder, as it was at its step.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiModels

/// What a checkpoint holds, and how its folder is made. Rank zero only.
struct CheckpointDraft {
    /// The folder of the run.
    var directory: String
    var model: SentenceEncoder
    /// The values to write, in the layout of the model's own and of the losses'.
    var parameters: ParameterStore
    /// README.md.
    var card: String
    /// Makes the file of the optimizer's state at the path that it gets; nil = none is kept.
    var optimizer: ((String) throws(TuttiError) -> Void)?
    /// A file from which `optimizer` makes its own; removed in any case.
    var gathered: String?
    var state: TrainerState
    var arguments: TrainingArguments
    var surroundings: Surroundings
    var identity: RunIdentity
    /// An earlier checkpoint of the run: tokenizer files become hard links to its own.
    var earlier: String?

    private var path: String { "\(directory)/checkpoint-\(state.globalStep)" }

    /// Writes `checkpoint-<step>`, unless it is there already, and deletes older ones beyond the limit.
    func write() throws(TuttiError) {
        defer {
            // What cannot be removed now is removed by the next start.
            if let gathered { do throws(TuttiError) { try AtomicWrite.removeTree(gathered) } catch {} }
        }
        if try !isThere() { try writeFolder() }
        try Checkpoint.rotate(
            in: directory, upTo: state.globalStep, limit: arguments.saveTotalLimit, best: state.bestCheckpoint)
    }

    /// Whether a whole one that knows as much is there; a damaged one would stand in the way and is removed.
    private func isThere() throws(TuttiError) -> Bool {
        guard FileManager.default.fileExists(atPath: path) else { return false }
        guard let there = try Checkpoint.validate(path, identity: identity) else {
            try Checkpoint.remove(path)
            return false
        }
        return there.state.evaluationIsDue == state.evaluationIsDue && there.state.isStopped == state.isStopped
            && (there.isResumable || optimizer == nil)
    }

    private func writeFolder() throws(TuttiError) {
        do {
            try AtomicWrite.directory(finalPath: path) { temporary in
                try model.save(to: temporary, card: card, parameters: parameters, earlier: earlier)
                try LossFile.save(to: temporary, from: parameters)
                try optimizer?(temporary + "/optimizer.safetensors")
                let reference = state.referenceJSON(arguments: arguments, batchRows: surroundings.batchRows)
                try AtomicWrite.file(
                    path: temporary + "/trainer_state.json", text: reference.serialized(indent: 2) + "\n")
                var object = JSONObject()
                object["format"] = .integer(Int64(Checkpoint.format))
                object["identity"] = .string(identity.current)
                object["surroundings"] = .object(surroundings.json())
                object["state"] = .object(state.resumeJSON())
                object["sha256"] = .object(try Checkpoint.digests(of: temporary))
                seal(&object)
                try AtomicWrite.file(
                    path: temporary + "/tutti_state.json",
                    text: JSONValue.object(object).serialized(indent: 2) + "\n")
            }
        } catch let error as TuttiError {
            throw error
        } catch {
            throw TuttiError(.retryable, "write a checkpoint", path, "\(error)")
        }
    }
}
