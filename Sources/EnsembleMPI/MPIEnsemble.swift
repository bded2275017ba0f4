// MPIEnsemble: ranks as processes started by mpirun or srun.
//
// Every call sleeps on the main thread and is made by the `Conductor`. Sums have the same bits on every rank: the
// blocking MPI_Allreduce of Open MPI adds every element in one order, whichever rank has the result first
// (`tutti-world` checks it).
//
// Environment: TUTTI_NODE_MEMORY = shared | private: whether ranks of one node may share memory; TUTTI_CORE_POLICY =
// reserved | polling | waiting (of both, rank zero's counts); TUTTI_WAIT_REPORT = seconds after which a wait is reported
// (60); TUTTI_WAIT_ABORT = seconds after which a rank that waits ends the job with exit code 75 (never).

import CTuttiMPI
import Foundation
import Synchronization
import TuttiEnsemble
import TuttiGround

/// W ranks in W processes; see `startIfLaunched()`.
public final class MPIEnsemble: MessagePassing, ProcessEnsemble, @unchecked Sendable {
    /// This rank, `0 ..< size`.
    public var rank: Int { ranks.rank }

    /// The number of ranks.
    public var size: Int { ranks.size }

    /// Where the ranks run, and the resulting threads; equal on all ranks.
    package private(set) var topology: Topology

    /// Whether the ranks may share memory.
    public var sharesNode: Bool { topology.sharesNode }

    /// The cores that this rank has to itself, minus one if the conductor has its own.
    public var computeThreads: Int { topology.computeThreads }

    /// The MPI library.
    package var library: String { MPILibrary.version }

    /// The node of this rank: the ranks that can share memory according to MPI.
    public var node: Int { topology.places[rank].node }

    private let ranks: MPIRanks
    private let worldRank: Int
    private let conductor: Conductor
    private let host: String
    private let watchdog: Watchdog
    /// What this rank is doing.
    package let activity: RankActivity

    /// The host of each rank.
    package var hosts: [String] { topology.places.map(\.host) }

    /// Whether a launcher of this MPI started this process, so that other ranks may wait for it.
    public static var isLaunched: Bool {
        let environment = ProcessInfo.processInfo.environment
        return Launcher.openMPI.contains { environment[$0] != nil }
    }

    /// Starts MPI if a launcher's variables are set; nil = this process runs alone.
    ///
    /// Collective among the launched processes; call it once.
    /// - Throws: a usage error if the environment is inconsistent: tasks of Slurm or torchrun without MPI, the launcher
    ///   of another MPI, an unknown core policy; code 75 if MPI cannot start.
    public static func startIfLaunched() throws -> MPIEnsemble? {
        let environment = ProcessInfo.processInfo.environment
        guard case .ranks(let expected) = try Launcher.detect(environment) else { return nil }
        let ensemble = try MPIEnsemble(environment)
        if let expected, expected != ensemble.size {
            throw TuttiError(
                .usage, "start MPI", "", "the launcher started \(expected) ranks, but MPI sees \(ensemble.size)",
                hint: "Start with the mpirun of the MPI library that this program was built with.",
                rank: ensemble.rank)
        }
        try ensemble.learnTopology(environment)
        return ensemble
    }

    private init(_ environment: [String: String]) throws {
        let conductor = Conductor()
        let world = conductor.start()
        if world.code != 0 { throw mpiError(world.code, "start MPI", rank: world.rank) }
        self.conductor = conductor
        ranks = MPIRanks(rank: world.rank, size: world.size)
        worldRank = world.rank
        MPIEnsemble.running.withLock { $0 = conductor }
        tutti_mpi_at_exit { MPIEnsemble.finalizeAtExit() }
        let place = Topology.ownPlace()
        host = place.host
        topology = Topology(places: [place], library: "")
        let who = "rank \(world.rank) on \(place.host)"
        watchdog = Watchdog(
            who: who, limit: try Self.seconds("TUTTI_WAIT_REPORT", environment, rank: world.rank) ?? 60,
            abortLimit: try Self.seconds("TUTTI_WAIT_ABORT", environment, rank: world.rank),
            report: { FileHandle.standardError.write(Data("\($0)\n".utf8)) },
            onAbort: { line in
                FileHandle.standardError.write(Data("\(line): aborting\n".utf8))
                tutti_mpi_abort(TuttiError.Kind.retryable.rawValue)
            })
        activity = RankActivity(watchdog)
    }

    private func learnTopology(_ environment: [String: String]) throws {
        // Rank zero's environment decides for all: that of other hosts may differ.
        var wanted = ""
        if isRoot {
            let policy = try choice(CorePolicy.self, "TUTTI_CORE_POLICY", environment)
            let memory = try choice(MemoryPolicy.self, "TUTTI_NODE_MEMORY", environment)
            wanted = "\(policy?.rawValue ?? "automatic") \((memory ?? .shared).rawValue)"
        }
        let words = try broadcast(wanted).split(separator: " ").map(String.init)
        let policy = words.first.flatMap(CorePolicy.init)
        let memory = words.last.flatMap(MemoryPolicy.init) ?? .shared
        var place = topology.places[0]
        place.node = Int(try number(of: MPICall(kind: .node, operation: "find the ranks of a node")))
        let own = try JSONEncoder().encode(place)
        let places = try gather([UInt8](own)).map { try JSONDecoder().decode(RankPlace.self, from: Data($0)) }
        let library = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            buffer.initialize(repeating: 0)
            guard let start = buffer.baseAddress else { return "" }
            tutti_mpi_version(start, Int32(buffer.count))
            return String(cString: start)
        }
        topology = Topology(places: places, library: library, chosen: policy, memory: memory)
        conductor.setPolicy(topology.policy, boundCPU: topology.conductorCPU(rank: rank))
    }

    /// A subset of the ranks of `whole`.
    private init(_ ranks: MPIRanks, of whole: MPIEnsemble, topology: Topology) {
        self.ranks = ranks
        self.topology = topology
        (worldRank, conductor, host, watchdog) = (whole.worldRank, whole.conductor, whole.host, whole.watchdog)
        activity = whole.activity
    }

    /// A new ensemble of the ranks with the same `color`: another communicator of the same conductor.
    public func split(color: Int) throws -> any Ensemble {
        precondition(color >= 0 && color <= Int(Int32.max), "split: color \(color)")
        let colors = try gatherCounts(color)
        let members = colors.indices.filter { colors[$0] == color }
        let communicator = try number(of: MPICall(kind: .split, operation: "split", root: color))
        let part = MPIRanks(
            communicator: communicator, rank: members.prefix { $0 < rank }.count, size: members.count)
        return MPIEnsemble(part, of: self, topology: topology.part(members))
    }

    /// Ends MPI; no collective may follow, and a second call does nothing. Collective.
    ///
    /// It runs automatically if a program exits with code 0 without calling it: mpirun treats a rank that exits without
    /// it as failed.
    public func finalize() {
        let isRunning = MPIEnsemble.running.withLock { running in
            defer { running = nil }
            return running != nil
        }
        if isRunning { _ = conductor.finalize() }
    }

    /// What to finalize when the process exits.
    private static let running = Mutex(Conductor?.none)

    private static func finalizeAtExit() {
        let forgotten = running.withLock { running in
            defer { running = nil }
            return running
        }
        if let forgotten, forgotten.isIdle { _ = forgotten.finalize() }
    }

    /// Returns when every rank has called it.
    public func barrier() throws {
        try perform(MPICall(kind: .barrier, operation: "barrier"))
    }

    /// Overwrites `bytes` with those of rank `root`.
    public func broadcast(_ bytes: UnsafeMutableRawBufferPointer, root: Int) throws {
        precondition((0..<size).contains(root), "broadcast: root \(root) of \(size) ranks")
        let target = bytes.baseAddress
        try perform(MPICall(kind: .broadcast, operation: "broadcast", target: target, count: bytes.count, root: root))
    }

    /// Replaces each value with its sum over ranks.
    public func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
        let target = UnsafeMutableRawPointer(values.baseAddress)
        try perform(MPICall(kind: .sumFloats, operation: "allReduceSum", target: target, count: values.count))
    }

    /// Replaces each value with its sum over ranks.
    public func allReduceSum(_ values: UnsafeMutableBufferPointer<Double>) throws {
        let target = UnsafeMutableRawPointer(values.baseAddress)
        try perform(MPICall(kind: .sumDoubles, operation: "allReduceSum", target: target, count: values.count))
    }

    /// Replaces each value with its maximum over ranks.
    public func allReduceMax(_ values: UnsafeMutableBufferPointer<Double>) throws {
        let target = UnsafeMutableRawPointer(values.baseAddress)
        try perform(MPICall(kind: .maxDoubles, operation: "allReduceMax", target: target, count: values.count))
    }

    /// Concatenates the bytes of all ranks on every rank.
    public func allGather(
        _ own: UnsafeRawBufferPointer, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableRawBufferPointer
    ) throws {
        precondition(counts.count == size, "allGather: \(counts.count) counts for \(size) ranks")
        precondition(own.count == counts[rank], "allGather: \(own.count) bytes of rank \(rank), counts \(counts[rank])")
        precondition(into.count >= counts.reduce(0, +), "allGather: the ranks' bytes do not fit \(into.count)")
        try perform(
            MPICall(
                kind: .gather, operation: "allGather", source: own.baseAddress, target: into.baseAddress,
                counts: counts))
    }

    /// Sums `send` over ranks; each rank gets its own slice.
    public func reduceScatterSum(
        _ send: UnsafeBufferPointer<Float>, counts: UnsafeBufferPointer<Int>, into: UnsafeMutableBufferPointer<Float>
    ) throws {
        precondition(counts.count == size, "reduceScatterSum: \(counts.count) counts for \(size) ranks")
        precondition(send.count == counts.reduce(0, +), "reduceScatterSum: \(send.count) values, counts differ")
        precondition(into.count >= counts[rank], "reduceScatterSum: \(counts[rank]) values into \(into.count)")
        try perform(
            MPICall(
                kind: .reduceScatter, operation: "reduceScatterSum", source: UnsafeRawPointer(send.baseAddress),
                target: UnsafeMutableRawPointer(into.baseAddress), counts: counts))
    }

    /// Receives the bytes of the previous rank.
    public func rotate(_ own: UnsafeRawBufferPointer, into: UnsafeMutableRawBufferPointer) throws {
        precondition(into.count >= own.count, "rotate: \(own.count) bytes into \(into.count)")
        try perform(
            MPICall(
                kind: .rotate, operation: "rotate", source: own.baseAddress, target: into.baseAddress,
                count: own.count))
    }

    /// Queues a sum over ranks; see `CorePolicy` for when it runs.
    public func beginAllReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
        let target = UnsafeMutableRawPointer(values.baseAddress)
        conductor.queue(
            MPICall(
                kind: .sumFloats, ranks: ranks, operation: "allReduceSum", target: target, count: values.count))
    }

    /// As the core policy says.
    package var talking: Talking { topology.talking }

    /// Queues a conversation; see `CorePolicy` for when it runs.
    package func begin(_ conversation: any Conversation) {
        conductor.queue(
            MPICall(kind: .converse, ranks: ranks, operation: "exchange", conversation: conversation))
    }

    /// Sleeps until every queued bucket holds its sum.
    public func finishAllReduces() throws {
        let operation: StaticString = "finishAllReduces"
        watchdog.enter(operation)
        defer { watchdog.leave() }
        let code = conductor.finish()
        if code != 0 { throw mpiError(code, operation, rank: worldRank, host: host) }
    }

    /// Prints rank, host and reason to standard error, and ends all ranks with exit code `code`.
    public func abort(code: Int32, message: String) -> Never {
        FileHandle.standardError.write(Data("rank \(worldRank) on \(host): \(message)\n".utf8))
        end(code: code)
    }

    /// Ends all ranks with exit code `code`, from any thread.
    package func end(code: Int32) -> Never {
        // Not passed to the conductor: it may be blocked in the collective that will never complete.
        tutti_mpi_abort(code)
        exit(code)
    }

    private func perform(_ call: MPICall) throws {
        var call = call
        call.ranks = ranks
        watchdog.enter(call.operation)
        defer { watchdog.leave() }
        let code = conductor.perform(call)
        if code != 0 { throw mpiError(code, call.operation, rank: worldRank, host: host) }
    }

    /// The number returned by a call.
    private func number(of call: MPICall) throws -> Int32 {
        var (call, number) = (call, Int32(0))
        try withUnsafeMutablePointer(to: &number) {
            call.target = UnsafeMutableRawPointer($0)
            try perform(call)
        }
        return number
    }

    /// The policy named by a variable; nil if it is not set.
    private func choice<Policy: RawRepresentable<String> & CaseIterable>(
        _: Policy.Type, _ name: String, _ environment: [String: String]
    ) throws -> Policy? {
        guard let text = environment[name], !text.isEmpty else { return nil }
        if let policy = Policy(rawValue: text) { return policy }
        let known = Policy.allCases.map(\.rawValue).joined(separator: ", ")
        throw TuttiError(
            .usage, "start MPI", name, "unknown policy \"\(text)\"", hint: "Known: \(known).", rank: rank)
    }

    private static func seconds(_ name: String, _ environment: [String: String], rank: Int) throws -> Double? {
        guard let text = environment[name], !text.isEmpty else { return nil }
        guard let value = Double(text), value.isFinite else {
            throw TuttiError(
                .usage, "start MPI", name, "\"\(text)\" is not a number of seconds", rank: rank)
        }
        return value
    }
}
