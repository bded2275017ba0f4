// MPICall: one collective as a value that one thread passes to another, and its execution.
//
// The calls take 32-bit counts, so long messages are split into pieces of at most 2^28 values. Any MPI failure becomes
// one error with MPI's own text. Nothing allocates.

import CTuttiMPI
import TuttiEnsemble
import TuttiGround

/// A communicator, and this rank in it.
struct MPIRanks: Sendable {
    /// Its number in CTuttiMPI; 0 = all ranks.
    var communicator: Int32 = 0
    var rank = 0
    var size = 1
}

/// A collective with its arguments; the pointers belong to the caller, who sleeps until it is done.
struct MPICall: @unchecked Sendable {
    enum Kind {
        case none, barrier, broadcast, sumFloats, sumDoubles, maxDoubles, gather, reduceScatter, rotate
        case split, node, converse, finalize
    }

    var kind: Kind
    /// The participating ranks.
    var ranks = MPIRanks()
    var operation: StaticString
    var source: UnsafeRawPointer?
    var target: UnsafeMutableRawPointer?
    var count = 0  // bytes or values, by kind
    var counts: UnsafeBufferPointer<Int>?  // of each rank: bytes or values, by kind
    var root = 0
    /// What to run, for `converse`.
    var conversation: (any Conversation)?

    static let none = MPICall(kind: .none, operation: "nothing")

    /// Maximum values of one piece: their bytes still fit 32 bits.
    static let pieceLimit = 1 << 28
}

/// Executes calls on the thread that owns MPI, and keeps the text of an error until the caller reads it.
struct MPIExecutor: ~Copyable {
    private let lengths: UnsafeMutablePointer<Int32>  // [W]
    private let starts: UnsafeMutablePointer<Int32>  // [W]
    private let nothing: UnsafeMutablePointer<Double>  // an address for empty buffers
    private let mailbox: MPIMailbox

    /// An executor for the calls of at most `size` ranks.
    init(size: Int, patience: Patience) {
        mailbox = MPIMailbox(patience)
        lengths = .allocate(capacity: size)
        starts = .allocate(capacity: size)
        nothing = .allocate(capacity: 1)
    }

    deinit {
        lengths.deallocate()
        starts.deallocate()
        nothing.deallocate()
    }

    /// MPI's code for the whole call: 0, or that of the first piece that failed.
    func execute(_ call: MPICall) -> Int32 {
        let target = call.target ?? UnsafeMutableRawPointer(nothing)
        let source = call.source ?? UnsafeRawPointer(nothing)
        let comm = call.ranks.communicator
        switch call.kind {
        case .none: return 0
        case .finalize: return tutti_mpi_finalize()
        case .converse: return converse(call.conversation, among: call.ranks)
        case .split: return tutti_mpi_split(comm, Int32(call.root), target.assumingMemoryBound(to: Int32.self))
        case .node: return tutti_mpi_node(target.assumingMemoryBound(to: Int32.self))
        case .barrier: return tutti_mpi_barrier(comm)
        case .broadcast:
            return pieces(call.count) { tutti_mpi_broadcast(comm, target + $0, $1, Int32(call.root)) }
        case .sumFloats:
            let values = target.assumingMemoryBound(to: Float.self)
            return pieces(call.count) { tutti_mpi_sum_floats(comm, values + $0, $1) }
        case .sumDoubles:
            let values = target.assumingMemoryBound(to: Double.self)
            return pieces(call.count) { tutti_mpi_sum_doubles(comm, values + $0, $1) }
        case .maxDoubles:
            let values = target.assumingMemoryBound(to: Double.self)
            return pieces(call.count) { tutti_mpi_max_doubles(comm, values + $0, $1) }
        case .gather: return gather(source, call.counts, into: target, among: call.ranks)
        case .reduceScatter:
            let values = target.assumingMemoryBound(to: Float.self)
            return reduceScatter(
                source.assumingMemoryBound(to: Float.self), call.counts, into: values, among: call.ranks)
        case .rotate:
            let (rank, size) = (call.ranks.rank, call.ranks.size)
            let (next, previous) = (Int32((rank + 1) % size), Int32((rank + size - 1) % size))
            return pieces(call.count) { tutti_mpi_rotate_bytes(comm, source + $0, target + $0, $1, next, previous) }
        }
    }

    private func converse(_ conversation: (any Conversation)?, among ranks: MPIRanks) -> Int32 {
        guard let conversation else { return 0 }
        do {
            try conversation.run(mailbox.opened(slots: conversation.slots, communicator: ranks.communicator))
            return 0
        } catch let failure as MPIMailbox.Failure {
            return failure.code
        } catch {
            preconditionFailure("a conversation throws what its mailbox throws, not \(error)")
        }
    }

    private func pieces(_ count: Int, _ body: (Int, Int32) -> Int32) -> Int32 {
        var start = 0
        while start < count {
            let length = min(count - start, MPICall.pieceLimit)
            let code = body(start, Int32(length))
            if code != 0 { return code }
            start += length
        }
        return 0
    }

    private func gather(
        _ own: UnsafeRawPointer, _ counts: UnsafeBufferPointer<Int>?, into all: UnsafeMutableRawPointer,
        among ranks: MPIRanks
    ) -> Int32 {
        guard let counts else { return 0 }
        let (comm, rank) = (ranks.communicator, ranks.rank)
        let total = counts.reduce(0, +)
        if total == 0 { return 0 }
        if total <= Int(Int32.max) {
            setLengths(counts)
            return tutti_mpi_gather_bytes(comm, own, lengths[rank], all, lengths, starts)
        }
        // Too long for 32-bit displacements: every rank broadcasts its part, in pieces.
        var start = 0
        for root in counts.indices {
            if root == rank { (all + start).copyMemory(from: own, byteCount: counts[root]) }
            let code = pieces(counts[root]) { tutti_mpi_broadcast(comm, all + start + $0, $1, Int32(root)) }
            if code != 0 { return code }
            start += counts[root]
        }
        return 0
    }

    private func reduceScatter(
        _ send: UnsafePointer<Float>, _ counts: UnsafeBufferPointer<Int>?, into own: UnsafeMutablePointer<Float>,
        among ranks: MPIRanks
    ) -> Int32 {
        guard let counts else { return 0 }
        let comm = ranks.communicator
        let total = counts.reduce(0, +)
        if total == 0 { return 0 }
        if total <= MPICall.pieceLimit {
            setLengths(counts)
            return tutti_mpi_reduce_scatter_floats(comm, send, own, lengths)
        }
        var start = 0
        for root in counts.indices {
            let code = pieces(counts[root]) {
                tutti_mpi_sum_floats_at(comm, send + start + $0, own + $0, $1, Int32(root))
            }
            if code != 0 { return code }
            start += counts[root]
        }
        return 0
    }

    private func setLengths(_ counts: UnsafeBufferPointer<Int>) {
        var start = 0
        for other in counts.indices {
            lengths[other] = Int32(counts[other])
            starts[other] = Int32(start)
            start += counts[other]
        }
    }
}

/// The typed error of an MPI code.
func mpiError(_ code: Int32, _ operation: StaticString, rank: Int, host: String? = nil) -> TuttiError {
    let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
        buffer.initialize(repeating: 0)
        guard let start = buffer.baseAddress else { return "" }
        tutti_mpi_error_text(code, start, Int32(buffer.count))
        return String(cString: start)
    }
    var error = TuttiError(.retryable, operation.description, "", "MPI error \(code): \(text)", rank: rank)
    error.host = host
    return error
}
