// A lock on an output folder: only one process writes to it, even if others run on hosts that share it over NFS.
//
// What: a file with its owner and a counter, the heartbeat, which a thread of the owner increments every few seconds.
// It is created with link(2), which is atomic on NFS too; flock is not available everywhere.
// A dead owner does not keep it. If its process can be looked up (same machine, same pid namespace), the lock is taken
// over as soon as the process is gone, even if its pid was reused; otherwise after a time without a heartbeat, measured
// by the waiting process's own clock, so that clocks need not agree.
// One process at a time takes over: it holds a second lock file meanwhile and checks again that the owner is still the
// one that was found dead.
// A suspended owner may find that another has taken over: it has lost the folder and must stop writing.

import Foundation
import TuttiGround

/// A lock that this process holds on a folder, until `release` or the end of the process.
package final class FolderLock: @unchecked Sendable {
    /// Durations, in seconds.
    package struct Times: Sendable {
        /// Between two heartbeats.
        package var beat = 5.0
        /// Without a heartbeat, until an owner that cannot be looked up counts as dead.
        package var stale = 30.0
        /// How long a start waits for the lock.
        package var patience = 60.0

        package init() {}
    }

    private let path: String
    private let file: LockFile
    private let times: Times
    private let onLoss: @Sendable () -> Void
    private let writing = NSLock()
    private let state = NSCondition()
    // Guarded by `state`.
    private var isReleased = false
    private var loss: TuttiError?
    private var seen = 0.0

    /// Takes the lock file at `path`, waiting for another owner as long as `times` allow.
    ///
    /// - Parameters:
    ///   - purpose: the owner's activity, for people who read the file.
    ///   - setting: the option by which a user chooses the folder.
    ///   - what: the folder in messages.
    ///   - waiting: gets one line if another process holds the lock.
    ///   - onLoss: called from the lock's own thread when another process has taken over.
    /// - Throws: `.usage` naming the owner if it does not release the lock in time; `.retryable` if it cannot be created.
    package init(
        path: String, purpose: String, setting: String = "output_dir", what: String = "the output directory",
        times: Times = Times(),
        waiting: (String) -> Void = { _ in }, onLoss: @escaping @Sendable () -> Void
    ) throws(TuttiError) {
        self.path = path
        self.times = times
        self.onLoss = onLoss
        file = LockFile(path: path, purpose: purpose)
        try FolderLock.take(file, setting: setting, what: what, times: times, waiting: waiting)
        seen = FolderLock.now()
        let thread = Thread { self.keepBeating() }
        thread.stackSize = 256 << 10
        thread.start()
    }

    /// Releases the lock; a second call does nothing.
    package func release() {
        state.lock()
        let (wasReleased, isLost) = (isReleased, loss != nil)
        isReleased = true
        state.broadcast()
        state.unlock()
        guard !wasReleased else { return }
        writing.lock()
        defer { writing.unlock() }
        if isLost { file.close() } else { file.remove() }
    }

    /// Returns if the lock is still held; call this before writing.
    ///
    /// - Throws: `.retryable` once another process has taken over.
    package func check() throws(TuttiError) {
        state.lock()
        let (known, age) = (loss, FolderLock.now() - seen)
        state.unlock()
        if let known { throw known }
        // The thread has not checked for long: this process may have been suspended.
        if age > 3 * times.beat, let found = look() { throw found }
    }

    /// The loop of the lock's own thread: check, and increment the heartbeat.
    private func keepBeating() {
        while true {
            state.lock()
            if !isReleased { _ = state.wait(until: Date(timeIntervalSinceNow: times.beat)) }
            let isOver = isReleased
            state.unlock()
            if isOver { return }
            if look() != nil { return onLoss() }
            // Not under `state`: a hanging file system must not block the run.
            writing.lock()
            file.raiseBeat()
            writing.unlock()
        }
    }

    /// Checks whether this process still holds the lock; returns the loss, if any.
    private func look() -> TuttiError? {
        var found = file.look()
        state.lock()
        defer { state.unlock() }
        if isReleased || loss != nil { return loss }
        if case .absent = found {
            // Deleted by hand: create it again, unless the folder is gone or another process was faster.
            do { if try file.create() { found = file.look() } } catch {}
        }
        switch found {
        case .unknown: break  // a file system that does not respond now may respond later
        case .content(let content) where content.owner == file.owner: seen = FolderLock.now()
        case .absent, .content:
            var taker = "another process"
            if case .content(let content) = found, let owner = content.owner { taker = "\(owner)" }
            if case .absent = found { taker = "whoever deleted the lock" }
            loss = TuttiError(
                .retryable, "keep the output directory", path, "\(taker) has taken it over",
                hint: "This run stops without writing anything more; run the same command again when the other ends.")
        }
        return loss
    }

    private static func take(
        _ file: LockFile, setting: String, what: String, times: Times, waiting: (String) -> Void
    ) throws(TuttiError) {
        let began = now()
        var seen: (content: LockContent, since: Double)?
        var hasSaid = false
        let turn = LockFile(path: file.path + ".turn", purpose: "taking over")
        var seenTurn: (content: LockContent, since: Double)?
        while try !file.create() {
            var owner: LockOwner?
            if case .content(let content) = file.look() {
                if seen?.content != content { seen = (content, now()) }
                owner = content.owner
                let isStale = seen.map { now() - $0.since >= times.stale } ?? false
                if owner?.isDead == true || isStale {
                    if try file.takeOver(from: content, turn: turn) { return }
                    // A process that died while taking over does not keep its turn.
                    if case .content(let other) = turn.look() {
                        if seenTurn?.content != other { seenTurn = (other, now()) }
                        let isStale = seenTurn.map { now() - $0.since >= times.stale } ?? false
                        if other.owner?.isDead == true || isStale { unlink(turn.path) }
                    }
                }
            }
            let name = owner.map { "\($0)" } ?? "another process"
            if now() - began >= times.patience {
                throw TuttiError(
                    .usage, "start the run", file.path, "\(name) is writing to this directory",
                    hint: "Wait for it or stop it, or choose another \(setting).")
            }
            if !hasSaid {
                waiting("\(name) is writing to \(what); waiting for it, \(Int(times.patience)) s at most.")
                hasSaid = true
            }
            Thread.sleep(forTimeInterval: min(0.5, times.stale / 10))
        }
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
