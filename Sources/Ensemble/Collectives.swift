// Collectives: the operations among the ranks of a run.
//
// One protocol, two implementations: `LocalEnsemble` (threads of one process; one thread is the plain run) and
// `MPIEnsemble` (processes started by mpirun). Nothing above this module knows which of the two is in use.
//
// Legend: `W` ranks (`size`), `r` this rank. "Collective" = every rank must call it, in the same order.
// SPMD rule: never call a collective inside `if isRoot`, after an early return, or after a throw that only some ranks
// take; work of rank zero goes through `onRoot { }`.
//
// Scaling law: sums are sums. No collective divides by W, and a sum has the same bits on every rank.

import Foundation

/// The ranks that run every step together.
///
/// Every method is Collective and throws a `TuttiError` that names the rank; buffers of a call must stay alive until it
/// returns (`beginAllReduceSum`: until `finishAllReduces` returns).
public protocol Ensemble: AnyObject, Sendable {
    /// This rank, `0 ..< size`.
    var rank: Int { get }

    /// The number of ranks, `W`.
    var size: Int { get }

    /// Whether several ranks, all on one node, may share memory; equal on all ranks.
    ///
    /// Then a `barrier` also orders memory: what a rank writes before it, every rank reads after it.
    var sharesNode: Bool { get }

    /// The node of this rank: the same number on the ranks of one node only.
    var node: Int { get }

    /// A new ensemble of the ranks with the same `color` as this one, in the same order.
    ///
    /// Every rank gets the ensemble of its color. The collectives of an ensemble involve only its own ranks: those of
    /// another color may call others, or none. It is valid as long as this one, and errors name ranks by their
    /// numbers in the whole run.
    ///
    /// - Parameter color: not negative.
    func split(color: Int) throws -> any Ensemble

    /// Threads that this rank should use: the cores that it has to itself.
    var computeThreads: Int { get }

    /// Returns when every rank has called it.
    func barrier() throws

    /// Overwrites `bytes` with those of rank `root`; the lengths must be equal on all ranks.
    func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws

    /// Replaces each value with its sum over ranks; the lengths must be equal on all ranks.
    func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws

    /// Replaces each value with its sum over ranks; the lengths must be equal on all ranks.
    func allReduceSum(_ values: UnsafeMutableBufferPointer<Double>) throws

    /// Replaces each value with its maximum over ranks; the lengths must be equal on all ranks.
    func allReduceMax(_ values: UnsafeMutableBufferPointer<Double>) throws

    /// Concatenates the bytes of all ranks, in rank order, on every rank.
    ///
    /// - Parameters:
    ///   - own: this rank's bytes, `counts[rank]` of them; may be empty.
    ///   - counts: bytes of every rank, `[W]`, equal on all ranks.
    ///   - into: receives `sum(counts)` bytes; must not overlap `own`.
    func allGather(
        _ own: UnsafeRawBufferPointer, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableRawBufferPointer) throws

    /// Sums `send` over ranks; each rank gets its own slice: the adjoint of `allGather`.
    ///
    /// - Parameters:
    ///   - send: `sum(counts)` values, the slices of all ranks in rank order.
    ///   - counts: values of every rank's slice, `[W]`, equal on all ranks; zeros are allowed.
    ///   - into: receives `counts[rank]` values; must not overlap `send`.
    func reduceScatterSum(
        _ send: UnsafeBufferPointer<Float>, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableBufferPointer<Float>)
        throws

    /// Sends bytes to the next rank (the last rank's to rank 0) and receives those of the previous rank.
    ///
    /// - Parameters:
    ///   - own: the same number of bytes on every rank.
    ///   - into: receives as many; must not overlap `own`.
    func rotate(_ own: UnsafeRawBufferPointer, into: UnsafeMutableRawBufferPointer) throws

    /// Queues a sum over ranks; the buckets are summed in queue order.
    ///
    /// The caller continues computing; it must not touch `values` before `finishAllReduces` returns. No other
    /// collective may be called while a bucket is queued.
    func beginAllReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws

    /// Returns when every queued bucket holds its sum over ranks, or throws the first error.
    func finishAllReduces() throws

    /// Prints the reason to standard error and ends the whole job, all ranks, with exit code `code`; not collective.
    func abort(code: Int32, message: String) -> Never
}

extension Ensemble {
    /// This rank's share of the processors, if the ranks are on one machine and nothing more is known.
    public var computeThreads: Int { max(1, ProcessInfo.processInfo.activeProcessorCount / size) }

    /// Whether this is rank zero, which reads, evaluates, prints and saves.
    public var isRoot: Bool { rank == 0 }
}
