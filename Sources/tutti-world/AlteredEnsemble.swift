// AlteredEnsemble: an ensemble with a deliberate fault, for negative controls, or on other nodes than it is.

import Glibc
import TuttiEnsemble

/// Forwards everything to another ensemble, except for its fault.
final class AlteredEnsemble: MessagePassing, @unchecked Sendable {
    /// The fault.
    enum Fault {
        /// The adjoint of the gather keeps its own slice instead of summing over ranks.
        case droppedReduceScatter
        /// Ranks keep what they should send to the next one.
        case droppedRotation
        /// Sums are divided by the number of ranks.
        case dividedByRanks
        /// None, but ranks of one node exchange messages, as between nodes.
        case nodesApart
        /// Nobody waits in a barrier, to which the last rank comes late.
        case noBarrier
        /// Ranks exchange messages, and long gathers bring nothing from other ranks.
        case staleGather
        /// The last rank gets the name of memory that it cannot open.
        case strangeNode
        /// None, but rank r is on node r / 2: nodes of two ranks, the last perhaps of one.
        case pairsOfRanks
        /// The same, but the nodes do not talk to each other.
        case silentPairs
    }

    private let inner: any Ensemble
    private let fault: Fault
    private let talks: Talking
    private var queued: [UnsafeMutableBufferPointer<Float>] = []

    init(_ inner: any Ensemble, _ fault: Fault, talking: Talking = .never) {
        self.inner = inner
        self.fault = fault
        talks = talking
    }

    var rank: Int { inner.rank }
    var size: Int { inner.size }

    var computeThreads: Int { inner.computeThreads }
    var sharesNode: Bool {
        switch fault {
        case .nodesApart, .dividedByRanks, .staleGather: false
        case .pairsOfRanks, .silentPairs: inner.sharesNode && size == 2
        default: inner.sharesNode
        }
    }

    var node: Int { fault == .pairsOfRanks || fault == .silentPairs ? rank / 2 : inner.node }

    var talking: Talking { talks }

    func begin(_ conversation: any Conversation) throws {
        guard fault != .silentPairs, let inner = inner as? any MessagePassing else { return }
        try inner.begin(conversation)
    }

    func split(color: Int) throws -> any Ensemble {
        AlteredEnsemble(try inner.split(color: color), fault, talking: talks)
    }

    func barrier() throws {
        if fault != .noBarrier { return try inner.barrier() }
        if rank == size - 1 { usleep(20_000) }
    }

    func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws {
        try inner.broadcast(bytes, root: root)
        // The offer of shared memory is the one message that ends with the bracket of a namespace's name.
        if fault == .strangeNode, rank == size - 1, bytes.last == UInt8(ascii: "]") { bytes[bytes.count - 1] ^= 1 }
    }

    func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
        try inner.allReduceSum(values)
        divide(values)
    }

    func allReduceSum(_ values: UnsafeMutableBufferPointer<Double>) throws { try inner.allReduceSum(values) }

    func allReduceMax(_ values: UnsafeMutableBufferPointer<Double>) throws { try inner.allReduceMax(values) }

    func allGather(
        _ own: UnsafeRawBufferPointer, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableRawBufferPointer
    ) throws {
        try inner.allGather(own, counts: counts, into: into)
        if fault == .staleGather, into.count > 100_000 {
            let start = counts[..<rank].reduce(0, +)
            for place in into.indices where place < start || place >= start + own.count { into[place] = 0 }
        }
    }

    func reduceScatterSum(
        _ send: UnsafeBufferPointer<Float>, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableBufferPointer<Float>
    ) throws {
        try inner.reduceScatterSum(send, counts: counts, into: into)
        let own = UnsafeMutableBufferPointer(rebasing: into[..<counts[rank]])
        switch fault {
        case .nodesApart, .strangeNode, .droppedRotation, .pairsOfRanks, .silentPairs, .staleGather, .noBarrier: break
        case .dividedByRanks: divide(own)
        case .droppedReduceScatter:
            let start = counts[..<rank].reduce(0, +)
            for index in own.indices { own[index] = send[start + index] }
        }
    }

    func rotate(_ own: UnsafeRawBufferPointer, into: UnsafeMutableRawBufferPointer) throws {
        try inner.rotate(own, into: into)
        if fault == .droppedRotation { into.copyMemory(from: own) }
    }

    func beginAllReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
        try inner.beginAllReduceSum(values)
        queued.append(values)
    }

    func finishAllReduces() throws {
        try inner.finishAllReduces()
        queued.forEach(divide)
        queued.removeAll()
    }

    func abort(code: Int32, message: String) -> Never { inner.abort(code: code, message: message) }

    private func divide(_ values: UnsafeMutableBufferPointer<Float>) {
        guard fault == .dividedByRanks else { return }
        for index in values.indices { values[index] /= Float(size) }
    }
}
