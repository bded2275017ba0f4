// Streams: the sum over nodes of what each node has summed, by messages between the ranks that have the same chunks.
//
// For a parcel every node sends its contribution to the adder, which adds them up in the order of nodes, in fp32, and
// sends the sum to all. Each node so sends and receives 2 (N - 1) / N of its part, the least that an all-reduce needs; a
// parcel crosses the network twice, whatever N is; and every float is added in one order, whatever the messages' sizes,
// so that the sum has the same bits on all ranks. Where only the adder needs the sum, it stays there: a reduce-scatter.
//
// Several parcels are in progress at once, so that both directions of a link are busy. A message is shorter than what
// Open MPI's TCP sends without asking the receiver first (64 KB): the answer would wait behind the data of the other
// direction.
//
// No deadlock: all ranks take parcels in the same order of rounds, and a rank has room for more parcels than a round has,
// so the earliest unfinished round is in progress on all its ranks.

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels

/// The sum of this rank's parcels over nodes.
final class Streams: Conversation, @unchecked Sendable {
    /// Bytes of a message at most.
    static let messageBytes = 52 << 10

    let slots: Int
    private let table: NodeTable
    private let parameters: ParameterStore
    private let wire: Wire
    private var plan: StreamPlan
    private let others: Int  // nodes but this one
    private let node: SharedNode
    /// Whether it sums over the node what it sends, parcel by parcel, when all ranks of the node have finished it; else
    /// that has been done.
    private let isEarly: Bool
    private let isTree: Bool
    /// Whether the adder sends the sum to all nodes.
    private let returnsSums: Bool

    // Fields below are touched by the thread that runs the conversation.
    private var windows: [Window]
    private var idle: [Int] = []  // free windows
    private var idleShelves: [Int] = []  // free shelves
    private var arena = Arena()
    private let shelves: UnsafeMutableRawPointer  // [shelves, others, messageBytes], contributions that arrive
    private let scratch: UnsafeMutablePointer<Float>  // [others, message], contributions in fp32
    private var sources: [UnsafePointer<Float>]  // [nodes]

    /// A parcel in progress.
    private struct Window {
        /// Room for one message each.
        let outgoing: UnsafeMutableRawPointer
        let incoming: UnsafeMutableRawPointer
        var parcel = 0
        var shelf = 0
        var receivesLeft = 0
        var sendsLeft = 0
    }

    init(
        _ parameters: ParameterStore, node: SharedNode, table: NodeTable, wire: Wire, isEarly: Bool, isTree: Bool,
        returnsSums: Bool
    ) {
        (self.parameters, self.table, self.wire, self.returnsSums) = (parameters, table, wire, returnsSums)
        (self.node, self.isEarly, self.isTree) = (node, isEarly, isTree)
        let size = Self.messageBytes
        plan = StreamPlan(table, chunks: node.chunks, capacity: size / wire.bytes)
        others = table.count - 1
        let inProgress = max(16, 2 * table.count)
        slots = inProgress * 2 * others
        var arena = Arena()
        func room(_ messages: Int) -> UnsafeMutableRawPointer {
            UnsafeMutableRawPointer(arena.floats(messages * size / 4))
        }
        windows = (0..<inProgress).map { _ in Window(outgoing: room(1), incoming: room(1)) }
        let shelfCount = inProgress / table.count + 1
        shelves = room(shelfCount * others)
        scratch = arena.floats(wire == .fp32 ? 0 : others * size / wire.bytes)
        sources = Array(repeating: UnsafePointer(scratch), count: table.count)
        swap(&self.arena, &arena)
        idle.reserveCapacity(inProgress)
        idle.append(contentsOf: 0..<inProgress)
        idleShelves.reserveCapacity(shelfCount)
        idleShelves.append(contentsOf: 0..<shelfCount)
    }

    /// Makes the parcels of `range`; the touched rows must have been collected.
    func prepare(_ range: Range<Int>) { plan.make(of: range, parameters.touched) }

    func run(_ mailbox: any Mailbox) throws {
        var next = 0
        while true {
            while next < plan.parcels.count, hasRoom(for: plan.parcels[next]), isReady(plan.parcels[next]) {
                try start(next, mailbox)
                next += 1
            }
            let inProgress = windows.count - idle.count
            if next == plan.parcels.count, inProgress == 0 { return }
            let awaitsComputation = next < plan.parcels.count && hasRoom(for: plan.parcels[next])
            var isIdle = true
            if inProgress > 0 {
                try mailbox.completed(waits: !awaitsComputation) { done in
                    isIdle = done.isEmpty
                    for slot in done { try complete(Int(slot), mailbox) }
                }
            }
            if isIdle, awaitsComputation { mailbox.pause() }
        }
    }

    // ---- one parcel ------------------------------------------------------------------------------------------------

    private func hasRoom(for parcel: Parcel) -> Bool {
        !idle.isEmpty && (parcel.adder != table.node || !idleShelves.isEmpty)
    }

    private func isReady(_ parcel: Parcel) -> Bool { !isEarly || node.hasFinished(parcel.bounds.upperBound) }

    /// Posts the first messages of a parcel.
    private func start(_ number: Int, _ mailbox: any Mailbox) throws {
        let parcel = plan.parcels[number]
        let place = idle.removeLast()
        windows[place].parcel = number
        if isEarly { plan.forEachStretch(of: parcel, parameters.touched, node.sumStretch) }
        if parcel.adder == table.node {
            let shelf = idleShelves.removeLast()
            windows[place].shelf = shelf
            windows[place].receivesLeft = others
            for other in 0..<others {
                try mailbox.receive(
                    UnsafeMutableRawBufferPointer(start: slice(shelf, other), count: parcel.count * wire.bytes),
                    from: peer(other, parcel), tag: tag(parcel, isSum: false), slot: slot(place, other))
            }
        } else {
            windows[place].receivesLeft = returnsSums ? 1 : 0
            windows[place].sendsLeft = 1
            let adder = table.rank(of: parcel.adder, group: parcel.group)
            if returnsSums {
                try mailbox.receive(
                    UnsafeMutableRawBufferPointer(start: windows[place].incoming, count: parcel.count * wire.bytes),
                    from: adder, tag: tag(parcel, isSum: true), slot: slot(place, 0))
            }
            try mailbox.send(
                payload(parcel, windows[place]), to: adder, tag: tag(parcel, isSum: false), slot: slot(place, 1))
        }
    }

    /// Takes the next step of the parcel whose message in `slot` is complete.
    private func complete(_ slot: Int, _ mailbox: any Mailbox) throws {
        let place = slot / (2 * others)
        let message = slot % (2 * others)
        let parcel = plan.parcels[windows[place].parcel]
        if parcel.adder == table.node {
            if message >= others {
                windows[place].sendsLeft -= 1
                if windows[place].sendsLeft == 0 { idle.append(place) }
                return
            }
            windows[place].receivesLeft -= 1
            guard windows[place].receivesLeft == 0 else { return }
            addUp(parcel, shelf: windows[place].shelf)
            idleShelves.append(windows[place].shelf)
            if !returnsSums, wire == .fp32 { return idle.append(place) }
            let sum = payload(parcel, windows[place])
            if wire == .bf16 { unpack(parcel, from: windows[place].outgoing) }  // the same bits as everywhere
            if !returnsSums { return idle.append(place) }
            windows[place].sendsLeft = others
            for other in 0..<others {
                try mailbox.send(
                    sum, to: peer(other, parcel), tag: tag(parcel, isSum: true), slot: self.slot(place, others + other))
            }
        } else {
            if message == 0 { windows[place].receivesLeft = 0 } else { windows[place].sendsLeft = 0 }
            guard windows[place].receivesLeft == 0, windows[place].sendsLeft == 0 else { return }
            if returnsSums { unpack(parcel, from: windows[place].incoming) }
            idle.append(place)
        }
    }

    private func slot(_ place: Int, _ message: Int) -> Int { place * 2 * others + message }

    /// The rank of the other node with this number, of those that have the parcel.
    private func peer(_ other: Int, _ parcel: Parcel) -> Int {
        table.rank(of: other < table.node ? other : other + 1, group: parcel.group)
    }

    /// Sums of a later round may be ready before those of an earlier one, hence the round in the tag.
    private func tag(_ parcel: Parcel, isSum: Bool) -> Int {
        ((parcel.round % 16) * table.period + parcel.group) * 2 + (isSum ? 1 : 0)
    }

    private func slice(_ shelf: Int, _ other: Int) -> UnsafeMutableRawPointer {
        shelves + (shelf * others + other) * Self.messageBytes
    }

    // ---- numbers ---------------------------------------------------------------------------------------------------

    private var gradients: UnsafeMutablePointer<Float> {
        guard let base = parameters.gradients.baseAddress else { preconditionFailure("Streams: no gradients") }
        return base
    }

    /// Makes the arena hold the sum of all nodes' contributions, added in the order of nodes.
    private func addUp(_ parcel: Parcel, shelf: Int) {
        let capacity = Self.messageBytes / wire.bytes
        if wire == .bf16 {
            for other in 0..<others {
                Casts.widen(
                    slice(shelf, other).assumingMemoryBound(to: UInt16.self),
                    to: UnsafeMutableBufferPointer(start: scratch + other * capacity, count: parcel.count))
            }
        }
        var start = 0
        plan.forEachStretch(of: parcel, parameters.touched) { stretch in
            let own = gradients + stretch.lowerBound
            for node in sources.indices where node != table.node {
                let other = node < table.node ? node : node - 1
                let values =
                    wire == .bf16
                    ? scratch + other * capacity : slice(shelf, other).assumingMemoryBound(to: Float.self)
                sources[node] = UnsafePointer(values + start)
            }
            sources[table.node] = UnsafePointer(own)
            if isTree {
                OptimizerKernels.sumTree(sources, over: 0..<stretch.count, into: own)
            } else {
                OptimizerKernels.sum(sources, over: 0..<stretch.count, into: own)
            }
            start += stretch.count
        }
    }

    /// The parcel's floats of the arena as a message: where they lie, if they lie together, or packed.
    private func payload(_ parcel: Parcel, _ window: Window) -> UnsafeRawBufferPointer {
        if wire == .fp32, parcel.bounds.count == parcel.count {
            return UnsafeRawBufferPointer(start: gradients + parcel.bounds.lowerBound, count: parcel.count * 4)
        }
        var start = 0
        plan.forEachStretch(of: parcel, parameters.touched) { stretch in
            let values = UnsafeBufferPointer(rebasing: parameters.gradients[stretch])
            switch wire {
            case .fp32:
                let out = window.outgoing.assumingMemoryBound(to: Float.self) + start
                if let base = values.baseAddress { out.update(from: base, count: values.count) }
            case .bf16: Casts.narrow(values, to: window.outgoing.assumingMemoryBound(to: UInt16.self) + start)
            }
            start += stretch.count
        }
        return UnsafeRawBufferPointer(start: window.outgoing, count: parcel.count * wire.bytes)
    }

    /// Writes a message to the parcel's floats of the arena.
    private func unpack(_ parcel: Parcel, from message: UnsafeMutableRawPointer) {
        var start = 0
        plan.forEachStretch(of: parcel, parameters.touched) { stretch in
            let out = UnsafeMutableBufferPointer(rebasing: parameters.gradients[stretch])
            switch wire {
            case .fp32:
                out.baseAddress?.update(from: message.assumingMemoryBound(to: Float.self) + start, count: out.count)
            case .bf16: Casts.widen(message.assumingMemoryBound(to: UInt16.self) + start, to: out)
            }
            start += stretch.count
        }
    }
}
