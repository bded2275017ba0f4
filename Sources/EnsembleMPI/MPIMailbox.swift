// MPIMailbox: messages between single ranks through MPI, on the thread that owns it.

import CTuttiMPI
import Glibc
import Synchronization
import TuttiEnsemble

/// How a conversation waits: asleep between looks as long as the main thread computes on the same core, else spinning,
/// as MPI does.
final class Patience: Sendable {
    /// Whether the conductor shares its core with a computation.
    let sharesCore = Atomic<Bool>(false)
    /// Whether the main thread waits for the conversation.
    let mainWaits = Atomic<Bool>(false)

    /// Microseconds of sleep between two looks. In that time a link of 10 Gbit/s carries less than sockets hold.
    static let nap: UInt32 = 200

    /// Whether to sleep between looks.
    var sleeps: Bool { sharesCore.load(ordering: .relaxed) && !mainWaits.load(ordering: .relaxed) }
}

/// The mailbox of the conductor; one conversation uses it at a time.
final class MPIMailbox: Mailbox {
    /// MPI's code of a call that failed.
    struct Failure: Error {
        let code: Int32
    }

    private let patience: Patience
    private var communicator: Int32 = 0
    private var slots = 0
    private var done = UnsafeMutableBufferPointer<Int32>(start: nil, count: 0)

    init(_ patience: Patience) { self.patience = patience }

    deinit { done.deallocate() }

    /// The mailbox for a conversation of `slots` messages among the ranks of `communicator`.
    func opened(slots: Int, communicator: Int32) throws(Failure) -> MPIMailbox {
        (self.slots, self.communicator) = (slots, communicator)
        if done.count < slots {
            done.deallocate()
            done = .allocate(capacity: slots)
        }
        try check(tutti_mpi_slots(Int32(slots)))
        return self
    }

    func send(_ bytes: UnsafeRawBufferPointer, to rank: Int, tag: Int, slot: Int) throws {
        try check(
            tutti_mpi_send(communicator, bytes.baseAddress, Int32(bytes.count), Int32(rank), Int32(tag), Int32(slot)))
    }

    func receive(_ bytes: UnsafeMutableRawBufferPointer, from rank: Int, tag: Int, slot: Int) throws {
        try check(
            tutti_mpi_receive(
                communicator, bytes.baseAddress, Int32(bytes.count), Int32(rank), Int32(tag), Int32(slot)))
    }

    func completed(waits: Bool, _ body: (UnsafeBufferPointer<Int32>) throws -> Void) throws {
        var count: Int32 = 0
        repeat {
            let spins = waits && !patience.sleeps
            try check(tutti_mpi_completed(Int32(slots), spins ? 1 : 0, done.baseAddress, &count))
            if count > 0 || !waits { break }
            usleep(Patience.nap)
        } while true
        try body(UnsafeBufferPointer(rebasing: done[..<Int(count)]))
    }

    func pause() { usleep(patience.sleeps ? Patience.nap : Patience.nap / 10) }

    private func check(_ code: Int32) throws(Failure) {
        if code != 0 { throw Failure(code: code) }
    }
}
