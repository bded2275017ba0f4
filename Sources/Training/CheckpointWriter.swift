// Writes checkpoints, one at a time: beside training where there is memory for a copy of everything, else at once.
//
// Beside training, saving costs a step no more than the copy. The folder appears when it is whole and durable, as always;
// a write that fails ends the run at the next line, save or end. At most one checkpoint is under way: the next save waits.

import TuttiEncoders
import TuttiGround
import TuttiModels

/// The writer of a run's checkpoints. Rank zero only.
final class CheckpointWriter {
    private let memory: TrainingMemory
    private let isWanted: Bool
    private let log: RunLog
    private var snapshot: CheckpointSnapshot?
    private var saidThatMemoryIsShort = false
    private var current: (task: BackgroundTask, path: String)?
    /// The newest checkpoint that this process has written.
    private(set) var newest: String?

    /// The writer of checkpoints of `memory`; `isWanted`: beside training.
    init(_ memory: TrainingMemory, isWanted: Bool, log: RunLog) {
        (self.memory, self.isWanted, self.log) = (memory, isWanted, log)
    }

    /// Where a checkpoint is written from: copies for the thread, or the originals.
    struct Source {
        var parameters: ParameterStore
        var state: OptimizerState
        var isCopy: Bool
    }

    /// Waits for the checkpoint under way, then copies the weights and the optimizer's state, if there is memory for that.
    ///
    /// - Throws: what writing the earlier checkpoint threw.
    func prepare() throws(TuttiError) -> Source {
        try finish()
        if isWanted, snapshot == nil { snapshot = makeSnapshot() }
        guard let snapshot else { return Source(parameters: memory.parameters, state: memory.state, isCopy: false) }
        snapshot.take(memory)
        return Source(parameters: snapshot.parameters, state: snapshot.state, isCopy: true)
    }

    private func makeSnapshot() -> CheckpointSnapshot? {
        let needed = CheckpointSnapshot.megabytes(of: memory)
        if let free = ControlGroups().freeMemory, needed > free / 2 {
            if !saidThatMemoryIsShort {
                log.notice(
                    "Checkpoints are written while training waits: a copy needs \(needed) MB, more than half of the "
                        + "\(free) MB that are free.")
            }
            saidThatMemoryIsShort = true
            return nil
        }
        return CheckpointSnapshot(of: memory)
    }

    /// Writes `draft`, whose numbers are those of `source`: beside training where they are copies.
    func write(_ draft: CheckpointDraft, from source: Source, name: String) throws(TuttiError) {
        let path = draft.directory + "/" + name
        guard source.isCopy else {
            try draft.write()
            return noteWritten(path)
        }
        // Nobody changes what the draft names: the copies are this task's until `finish`, the rest is a value or constant.
        nonisolated(unsafe) let draft = draft
        let task = BackgroundTask(name: "tutti-checkpoint") { () throws(TuttiError) in try draft.write() }
        current = (task, path)
    }

    /// Reports the checkpoint under way if it is written.
    ///
    /// - Throws: what writing it threw.
    func poll() throws(TuttiError) {
        if current?.task.hasEnded ?? false { try finish() }
    }

    /// Returns when no checkpoint is under way.
    ///
    /// - Throws: what writing the last one threw.
    func finish() throws(TuttiError) {
        guard let (task, path) = current else { return }
        current = nil
        try task.wait()
        noteWritten(path)
    }

    private func noteWritten(_ path: String) {
        newest = path
        log.tell { $0.saved(path) }
    }
}
