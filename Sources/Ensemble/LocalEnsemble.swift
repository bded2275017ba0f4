// LocalEnsemble: ranks as threads of one process: the plain run (W = 1) and a stand-in for MPI in tests (W > 1).
//
// With W = 1 collectives do nothing. With W > 1 each rank sums its own slice of the values over all ranks, in rank
// order, and writes it to all of them: one addition order, so the same bits on every rank and in every run.
// No collective allocates.
//
// Unsafe: buffers of all threads are accessed through `MeetingPoint`, only between its two meetings.

import Foundation
import TuttiGround

/// W ranks in one process; see `single()` and `run(world:_:)`.
public final class LocalEnsemble: MessagePassing, @unchecked Sendable {
    /// This rank, `0 ..< size`.
    public let rank: Int

    /// The number of ranks.
    public var size: Int { meeting.size }

    /// Whether the ranks may share memory: threads always could, so the test chooses the nodes.
    public var sharesNode: Bool { size > 1 && meeting.members.allSatisfy { nodes[$0] == node } }

    /// The simulated node of this rank.
    public var node: Int { nodes[meeting.members[rank]] }

    private let meeting: MeetingPoint
    private let nodes: [Int]  // of all ranks of the run
    private let waitLimit: Double
    private let watchdog: Watchdog?
    private var splits = 0
    // Touched by this rank's thread only.
    private var queue: [UnsafeMutableBufferPointer<Float>] = []
    private var conversations: [Talk] = []

    private init(
        rank: Int, meeting: MeetingPoint, nodes: [Int], waitLimit: Double, talking: Talking = .never
    ) {
        self.talking = talking
        self.rank = rank
        self.meeting = meeting
        self.nodes = nodes
        self.waitLimit = waitLimit
        queue.reserveCapacity(64)
        watchdog =
            meeting.size == 1
            ? nil
            : Watchdog(who: "rank \(meeting.members[rank])", limit: waitLimit) { line in
                let absent = meeting.absentRanks().map(String.init).joined(separator: ", ")
                FileHandle.standardError.write(Data("\(line) (not there: rank \(absent))\n".utf8))
            }
    }

    /// The plain run: one rank, no threads, free collectives.
    public static func single() -> LocalEnsemble {
        LocalEnsemble(rank: 0, meeting: MeetingPoint(members: [0]), nodes: [0], waitLimit: 0)
    }

    /// Runs `body` on `world` threads, each with its own rank, and returns their results in rank order.
    ///
    /// - Parameter sharesNode: false = the ranks exchange messages, as if each ran on its own node.
    /// - Throws: as `run(nodes:waitLimit:_:)`.
    public static func run<T: Sendable>(
        world: Int, sharesNode: Bool = true, waitLimit: Double = 60,
        _ body: @escaping @Sendable (any Ensemble) throws -> T
    ) throws -> [T] {
        precondition(world > 0, "LocalEnsemble.run: \(world) ranks")
        return try run(nodes: (0..<world).map { sharesNode ? 0 : $0 }, waitLimit: waitLimit, body)
    }

    /// Runs `body` on a thread for each of `nodes`, as if that rank ran on that node, and returns the results in rank
    /// order.
    ///
    /// - Parameters:
    ///   - nodes: the node of each rank, any numbers.
    ///   - waitLimit: seconds after which a rank that waits in a collective is reported on standard error.
    /// - Throws: the error of the rank that failed first. The other ranks leave the collective they wait in, or the
    ///   next one, with an error that names that rank.
    public static func run<T: Sendable>(
        nodes: [Int], waitLimit: Double = 60, _ body: @escaping @Sendable (any Ensemble) throws -> T
    ) throws -> [T] {
        try run(nodes: nodes, talking: .never, waitLimit: waitLimit, body)
    }

    /// The same; `talking` says whether conversations have threads of their own.
    package static func run<T: Sendable>(
        nodes: [Int], talking: Talking, waitLimit: Double = 60,
        _ body: @escaping @Sendable (any Ensemble) throws -> T
    ) throws -> [T] {
        let world = nodes.count
        if world == 1 { return [try body(single())] }
        let meeting = MeetingPoint(members: Array(0..<world))
        let outcome = Outcome<T>(size: world)
        var threads: [RankThread] = []
        for rank in 0..<world {
            let thread = RankThread {
                let ensemble = LocalEnsemble(
                    rank: rank, meeting: meeting, nodes: nodes, waitLimit: waitLimit, talking: talking)
                do {
                    outcome.succeed(rank, try body(ensemble))
                    meeting.depart(rank: rank)
                } catch {
                    outcome.fail(error)
                    meeting.fail(rank: rank, error)
                }
            }
            guard let thread else {
                let error = TuttiError(.retryable, "start", "", "the system refuses another thread", rank: rank)
                outcome.fail(error)
                meeting.fail(rank: rank, error)
                break
            }
            threads.append(thread)
        }
        threads.forEach { $0.join() }
        return try outcome.results()
    }

    /// A new ensemble of the ranks with the same `color`.
    public func split(color: Int) throws -> any Ensemble {
        precondition(color >= 0, "split: color \(color)")
        let colors = try gatherCounts(color)
        let ranks = colors.indices.filter { colors[$0] == color }
        let place = ranks.prefix { $0 < rank }.count
        splits += 1
        return LocalEnsemble(
            rank: place, meeting: meeting.part(split: splits, color: color, ranks: ranks), nodes: nodes,
            waitLimit: waitLimit, talking: talking)
    }

    /// Returns when every rank has called it.
    public func barrier() throws {
        if size == 1 { return }
        try together(Post(operation: "barrier", kind: 0)) {}
    }

    /// Overwrites `bytes` with those of rank `root`.
    public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws {
        precondition((0..<size).contains(root), "broadcast: root \(root) of \(size) ranks")
        if size == 1 { return }
        let post = Post(operation: "broadcast", kind: 1, count: bytes.count, root: root, target: bytes.baseAddress)
        try together(post) {
            if rank != root, let own = bytes.baseAddress, let source = meeting[root].target {
                own.copyMemory(from: source, byteCount: bytes.count)
            }
        }
    }

    /// Replaces each value with its sum over ranks.
    public func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
        try reduceInPlace(values, "allReduceSum", kind: 2) { sum, other, count in
            for index in 0..<count { sum[index] += other[index] }
        }
    }

    /// Replaces each value with its sum over ranks.
    public func allReduceSum(_ values: UnsafeMutableBufferPointer<Double>) throws {
        try reduceInPlace(values, "allReduceSum", kind: 3) { sum, other, count in
            for index in 0..<count { sum[index] += other[index] }
        }
    }

    /// Replaces each value with its maximum over ranks.
    public func allReduceMax(_ values: UnsafeMutableBufferPointer<Double>) throws {
        try reduceInPlace(values, "allReduceMax", kind: 4) { largest, other, count in
            for index in 0..<count { largest[index] = max(largest[index], other[index]) }
        }
    }

    /// Concatenates the bytes of all ranks on every rank.
    public func allGather(
        _ own: UnsafeRawBufferPointer, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableRawBufferPointer
    ) throws {
        let total = checkedTotal(counts, "allGather")
        precondition(own.count == counts[rank], "allGather: \(own.count) bytes of rank \(rank), counts \(counts[rank])")
        precondition(into.count >= total, "allGather: \(total) bytes into \(into.count)")
        if size == 1 {
            into.copyMemory(from: own)
            return
        }
        try together(Post(operation: "allGather", kind: 5, count: total, source: own.baseAddress)) {
            var start = 0
            for other in 0..<size {
                if let source = meeting[other].source, let base = into.baseAddress, counts[other] > 0 {
                    (base + start).copyMemory(from: source, byteCount: counts[other])
                }
                start += counts[other]
            }
        }
    }

    /// Sums `send` over ranks; each rank gets its own slice.
    public func reduceScatterSum(
        _ send: UnsafeBufferPointer<Float>, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableBufferPointer<Float>
    ) throws {
        let total = checkedTotal(counts, "reduceScatterSum")
        let own = counts[rank]
        precondition(send.count == total, "reduceScatterSum: \(send.count) values, counts add up to \(total)")
        precondition(into.count >= own, "reduceScatterSum: \(own) values into \(into.count)")
        if size == 1 {
            _ = into.update(fromContentsOf: send)
            return
        }
        let source = UnsafeRawPointer(send.baseAddress)
        try together(Post(operation: "reduceScatterSum", kind: 6, count: total, source: source)) {
            let start = counts[..<rank].reduce(0, +)
            guard own > 0, let sum = into.baseAddress else { return }
            for other in 0..<size {
                guard let source = meeting[other].source?.assumingMemoryBound(to: Float.self) else { continue }
                if other == 0 {
                    sum.update(from: source + start, count: own)
                } else {
                    for index in 0..<own { sum[index] += source[start + index] }
                }
            }
        }
    }

    /// Receives the bytes of the previous rank.
    public func rotate(_ own: UnsafeRawBufferPointer, into: UnsafeMutableRawBufferPointer) throws {
        precondition(into.count >= own.count, "rotate: \(own.count) bytes into \(into.count)")
        if size == 1 {
            into.copyMemory(from: own)
            return
        }
        try together(Post(operation: "rotate", kind: 7, count: own.count, source: own.baseAddress)) {
            if let source = meeting[(rank + size - 1) % size].source, let base = into.baseAddress {
                base.copyMemory(from: source, byteCount: own.count)
            }
        }
    }

    /// Queues a sum over ranks, computed in `finishAllReduces`.
    public func beginAllReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
        if size > 1 { queue.append(values) }
    }

    /// As the test chooses.
    package let talking: Talking

    /// Queues a conversation: on a thread of its own, or for `finishAllReduces`.
    package func begin(_ conversation: any Conversation) {
        let talk = Talk(conversation, LocalMailbox(rank: rank, office: meeting.mail))
        if talking != .never { talk.start() }
        conversations.append(talk)
    }

    /// Sums the queued buckets in order, then runs the conversations.
    public func finishAllReduces() throws {
        defer {
            queue.removeAll(keepingCapacity: true)
            conversations.removeAll(keepingCapacity: true)
        }
        for values in queue { try allReduceSum(values) }
        if conversations.isEmpty { return }
        watchdog?.enter("exchange")
        defer { watchdog?.leave() }
        for talk in conversations { try talk.finish() }
    }

    /// Prints the reason to standard error and ends the process.
    public func abort(code: Int32, message: String) -> Never {
        FileHandle.standardError.write(
            Data("\(nodes.count > 1 ? "rank \(meeting.members[rank]): " : "")\(message)\n".utf8))
        exit(code)
    }

    private func together(_ post: Post, _ work: () -> Void) throws {
        watchdog?.enter(post.operation)
        defer { watchdog?.leave() }
        try meeting.open(post, rank: rank)
        work()
        try meeting.close(rank: rank)
    }

    /// Rank r combines slice r of all ranks, in rank order, in the buffer of rank 0, and copies it to all.
    @inline(__always)
    private func reduceInPlace<Element: BitwiseCopyable>(
        _ values: UnsafeMutableBufferPointer<Element>, _ operation: StaticString, kind: Int,
        _ combine: (UnsafeMutablePointer<Element>, UnsafePointer<Element>, Int) -> Void
    ) throws {
        if size == 1 { return }
        try together(Post(operation: operation, kind: kind, count: values.count, target: values.baseAddress)) {
            let start = values.count * rank / size
            let count = values.count * (rank + 1) / size - start
            guard count > 0 else { return }
            let slice = { (other: Int) in
                self.meeting[other].target.map { $0.assumingMemoryBound(to: Element.self) + start }
            }
            guard let sum = slice(0) else { return }
            for other in 1..<size {
                if let values = slice(other) { combine(sum, values, count) }
            }
            for other in 1..<size { slice(other)?.update(from: sum, count: count) }
        }
    }

    private func checkedTotal(_ counts: UnsafeBufferPointer<Int>, _ operation: String) -> Int {
        precondition(counts.count == size, "\(operation): \(counts.count) counts for \(size) ranks")
        return counts.reduce(0, +)
    }
}

/// The results of W threads and the first error.
private final class Outcome<T: Sendable>: @unchecked Sendable {
    private let lock = SleepLock()
    private var values: [T?]
    private var error: (any Error)?

    init(size: Int) { values = Array(repeating: nil, count: size) }

    func succeed(_ rank: Int, _ value: T) { lock.locked { values[rank] = value } }

    func fail(_ error: any Error) { lock.locked { if self.error == nil { self.error = error } } }

    func results() throws -> [T] {
        try lock.locked {
            if let error { throw error }
            return values.compactMap { $0 }
        }
    }
}
