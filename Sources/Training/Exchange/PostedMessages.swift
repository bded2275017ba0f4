// PostedMessages: a conversation whose messages are all known when it begins.
//
// They are cut into pieces that Open MPI's TCP sends without asking the receiver first (see Streams), and posted in the
// order in which they were added, a limited number at once.
//
// No deadlock, if every rank adds its messages in an order that one order of all messages implies: the earliest of all that
// are incomplete is then in progress on both of its ranks. Messages between two ranks match in their order.

import TuttiEnsemble

/// Messages to and from other ranks.
final class PostedMessages: Conversation, @unchecked Sendable {
    private struct Piece {
        var bytes: UnsafeMutableRawBufferPointer
        var rank: Int
    }

    let slots = 2 * PostedMessages.window
    private static let window = 64  // messages in each direction at once
    private let tag: Int
    private var sends: [Piece] = []
    private var receives: [Piece] = []
    private var freeSends: [Int32] = []
    private var freeReceives: [Int32] = []

    /// No messages yet.
    ///
    /// - Parameter tag: no other conversation that may run at the time on another rank has it.
    init(tag: Int) {
        self.tag = tag
        freeSends.reserveCapacity(Self.window)
        freeReceives.reserveCapacity(Self.window)
    }

    /// Forgets all messages.
    func clear() {
        sends.removeAll(keepingCapacity: true)
        receives.removeAll(keepingCapacity: true)
    }

    /// Adds a message to `rank`, whose bytes must not change until the conversation has ended.
    func send(_ bytes: UnsafeMutableRawBufferPointer, to rank: Int) { Self.cut(bytes, rank, into: &sends) }

    /// Adds a message of exactly as many bytes from `rank`.
    func receive(_ bytes: UnsafeMutableRawBufferPointer, from rank: Int) { Self.cut(bytes, rank, into: &receives) }

    func run(_ mailbox: any Mailbox) throws {
        freeSends.removeAll(keepingCapacity: true)
        freeReceives.removeAll(keepingCapacity: true)
        for slot in 0..<Int32(Self.window) {
            freeSends.append(slot)
            freeReceives.append(slot + Int32(Self.window))
        }
        var (sent, received, open) = (0, 0, 0)
        while true {
            while received < receives.count, let slot = freeReceives.popLast() {
                let piece = receives[received]
                try mailbox.receive(piece.bytes, from: piece.rank, tag: tag, slot: Int(slot))
                (received, open) = (received + 1, open + 1)
            }
            while sent < sends.count, let slot = freeSends.popLast() {
                let piece = sends[sent]
                try mailbox.send(UnsafeRawBufferPointer(piece.bytes), to: piece.rank, tag: tag, slot: Int(slot))
                (sent, open) = (sent + 1, open + 1)
            }
            if open == 0 { return }
            try mailbox.completed(waits: true) { done in
                for slot in done {
                    if slot < Self.window { freeSends.append(slot) } else { freeReceives.append(slot) }
                }
                open -= done.count
            }
        }
    }

    private static func cut(_ bytes: UnsafeMutableRawBufferPointer, _ rank: Int, into pieces: inout [Piece]) {
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + Streams.messageBytes)
            pieces.append(Piece(bytes: UnsafeMutableRawBufferPointer(rebasing: bytes[start..<end]), rank: rank))
            start = end
        }
    }
}

/// The tags of conversations between nodes. Those of Streams end at 32 times the longest period of a NodeTable.
enum ExchangeTag {
    static let values = 32_001
    static let rows = 32_002
    static let state = 32_003
}
