// PostOffice: messages between single ranks that are threads of one process.
//
// A message is copied when it is sent, so a send is complete at once.

import Foundation
import TuttiGround

/// The messages on their way between the ranks of a meeting point.
final class PostOffice: @unchecked Sendable {
    /// Where a message comes from, goes to, and what it is.
    struct Address: Hashable {
        var from: Int
        var to: Int
        var tag: Int
    }

    private let lock = SleepLock()
    private var waiting: [Address: [[UInt8]]] = [:]
    private var failure: TuttiError?
    private var gone: [Int: TuttiError] = [:]

    /// Releases the ranks that wait for messages, now and later: all, or those that wait for rank `gone`.
    func fail(_ error: TuttiError, gone rank: Int?) {
        lock.locked {
            if let rank {
                gone[rank] = error
            } else if failure == nil {
                failure = error
            }
            lock.wakeAll()
        }
    }

    func send(_ bytes: UnsafeRawBufferPointer, to address: Address) {
        lock.locked {
            waiting[address, default: []].append(Array(bytes))
            lock.wakeAll()
        }
    }

    /// Hands the oldest message of each address of `wanted` to `receive`, with its place there; if there is none at all
    /// and `waits`, sleeps until one comes.
    func collect(
        _ wanted: [Address], waits: Bool, _ receive: (_ place: Int, _ bytes: [UInt8]) -> Void
    ) throws(TuttiError) {
        let cause: TuttiError? = lock.locked {
            while true {
                var isAny = false
                for (place, address) in wanted.enumerated() {
                    guard let oldest = waiting[address]?.first else { continue }
                    waiting[address]?.removeFirst()
                    receive(place, oldest)
                    isAny = true
                }
                if isAny || !waits { return nil }
                if let failure = failure ?? wanted.lazy.compactMap({ self.gone[$0.from] }).first { return failure }
                lock.wait()
            }
        }
        if let cause { throw cause }
    }
}

/// The mailbox of one rank that is a thread.
final class LocalMailbox: Mailbox {
    private struct Receive {
        var slot: Int
        var address: PostOffice.Address
        var bytes: UnsafeMutableRawBufferPointer
    }

    private let rank: Int
    private let office: PostOffice
    private var receives: [Receive] = []
    private var sent: [Int32] = []
    private var done: [Int32] = []

    init(rank: Int, office: PostOffice) {
        self.rank = rank
        self.office = office
    }

    func send(_ bytes: UnsafeRawBufferPointer, to rank: Int, tag: Int, slot: Int) {
        office.send(bytes, to: PostOffice.Address(from: self.rank, to: rank, tag: tag))
        sent.append(Int32(slot))
    }

    func receive(_ bytes: UnsafeMutableRawBufferPointer, from rank: Int, tag: Int, slot: Int) {
        let address = PostOffice.Address(from: rank, to: self.rank, tag: tag)
        receives.append(Receive(slot: slot, address: address, bytes: bytes))
    }

    func completed(waits: Bool, _ body: (UnsafeBufferPointer<Int32>) throws -> Void) throws {
        done = sent
        sent.removeAll()
        var arrived: Set<Int> = []
        try office.collect(receives.map(\.address), waits: waits && done.isEmpty && !receives.isEmpty) { place, bytes in
            let receive = receives[place]
            precondition(
                bytes.count == receive.bytes.count, "a message of \(bytes.count) bytes, not \(receive.bytes.count)")
            receive.bytes.copyBytes(from: bytes)
            done.append(Int32(receive.slot))
            arrived.insert(place)
        }
        receives = receives.enumerated().filter { !arrived.contains($0.offset) }.map(\.element)
        try done.withUnsafeBufferPointer(body)
    }

    func pause() { usleep(100) }
}

/// A conversation of one rank, which may run on a thread of its own.
final class Talk: @unchecked Sendable {
    private let conversation: any Conversation
    private let mailbox: LocalMailbox
    private var thread: RankThread?
    private var failure: (any Error)?

    init(_ conversation: any Conversation, _ mailbox: LocalMailbox) {
        (self.conversation, self.mailbox) = (conversation, mailbox)
    }

    /// Begins on another thread; where the system refuses one, in `finish`.
    func start() { thread = RankThread { self.run() } }

    /// Returns when the conversation has ended.
    func finish() throws {
        if let thread { thread.join() } else { run() }
        if let failure { throw failure }
    }

    private func run() { do { try conversation.run(mailbox) } catch { failure = error } }
}
