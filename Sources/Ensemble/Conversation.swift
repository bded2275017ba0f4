// Conversation: messages between single ranks, for exchanges that the collectives do not have.
//
// A conversation is run by the thread that owns the network, while the caller sleeps or computes. It posts messages in
// numbered slots and is told which of them are complete. Nothing allocates.

/// Where a conversation posts its messages.
package protocol Mailbox: AnyObject {
    /// Starts sending `bytes` to `rank`; they must not change until `slot` is complete.
    ///
    /// - Parameters:
    ///   - tag: from 0; the receiver asks for the same.
    ///   - slot: a number below the conversation's `slots`, free.
    func send(_ bytes: UnsafeRawBufferPointer, to rank: Int, tag: Int, slot: Int) throws

    /// Starts receiving exactly as many bytes as `bytes` has from `rank`; the fields are those of `send`.
    func receive(_ bytes: UnsafeMutableRawBufferPointer, from rank: Int, tag: Int, slot: Int) throws

    /// Calls `body` with the slots that have become complete, each once; they are free again.
    ///
    /// - Parameter waits: whether to wait for one if there is none.
    func completed(waits: Bool, _ body: (UnsafeBufferPointer<Int32>) throws -> Void) throws

    /// Leaves the processor for a moment, because there is nothing to do but to wait for a computation.
    func pause()
}

/// A set of messages among the ranks of an ensemble; every rank runs its own part.
package protocol Conversation: AnyObject, Sendable {
    /// Messages that it has in progress at most.
    var slots: Int { get }

    /// Posts all messages and returns when they are complete.
    func run(_ mailbox: any Mailbox) throws
}

/// Whether conversations run beside the computation of the ranks that began them.
package enum Talking: Sendable {
    /// They begin when the rank waits for them.
    case never
    /// They begin at once: there is a core for them, or the user wants it.
    case always
    /// They begin at once, on the core that computes: better where the network is slow, so both ways are to be tried.
    case whenFaster
}

/// An ensemble whose ranks can also talk to each other one by one.
package protocol MessagePassing: Ensemble {
    /// Whether conversations run beside the computation; equal on all ranks.
    var talking: Talking { get }

    /// Queues a conversation. Collective: `finishAllReduces` returns when all queued ones have ended, and no other
    /// collective may be called before.
    func begin(_ conversation: any Conversation) throws
}
