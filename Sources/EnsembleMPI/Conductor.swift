// Conductor: the one thread that owns MPI. It initializes MPI, makes every call and finalizes it.
//
// Why one thread: MPI without locks (FUNNELED), and sums that overlap with the main thread's computation. Why not
// MPI_Iallreduce: in Open MPI 4.1 it picks a slow algorithm and progresses only inside other MPI calls; a blocking
// MPI_Allreduce on its own thread is faster and really overlaps with the computation.
//
// A rank blocked inside MPI spins on its core. With a spare core the conductor sums buckets as they arrive; on a full
// node it starts them only when the main thread sleeps in `finish` (`CorePolicy`). The main thread always sleeps while
// it waits. Submitting a call or a bucket does not allocate.
//
// Reference: Horovod, operations.cc (one background thread owns MPI).

import CTuttiMPI
import TuttiEnsemble

/// The thread that owns MPI and its two inputs: one call at a time, and a queue of buckets.
final class Conductor: @unchecked Sendable {
    /// This process, as reported by MPI.
    struct World: Sendable {
        var rank = 0
        var size = 1
        var code: Int32 = 0
    }

    private struct Bucket {
        var values: UnsafeMutablePointer<Float>?
        var count: Int
        var ranks: MPIRanks
    }

    // Everything below is guarded by `lock`.
    private let lock = SleepLock()
    private var world: World?
    private var call = MPICall.none
    private var callIsPending = false
    private var code: Int32 = 0
    private var buckets: [Bucket] = []
    private var summed = 0  // buckets taken so far
    private var bucketIsRunning = false
    private var bucketCode: Int32 = 0
    private var mainWaits = false
    private var sumsAtOnce = false
    private var boundCPU: Int?
    private var thread: RankThread?

    /// Starts the thread, which initializes MPI; returns when MPI is initialized.
    func start() -> World {
        lock.locked { buckets.reserveCapacity(256) }
        guard let thread = RankThread({ self.conduct() }) else { return World(code: -1) }
        return lock.locked {
            self.thread = thread
            while true {
                if let world { return world }
                lock.wait()
            }
        }
    }

    /// Whether buckets are summed as they arrive, and on which CPU.
    func setPolicy(sumsAtOnce: Bool, boundCPU: Int?) {
        lock.locked {
            self.sumsAtOnce = sumsAtOnce
            self.boundCPU = boundCPU
        }
    }

    /// Submits a call and sleeps until it is done; returns MPI's code.
    func perform(_ next: MPICall) -> Int32 {
        lock.locked {
            precondition(buckets.isEmpty, "\(next.operation) while buckets are queued; call finishAllReduces first")
            precondition(!callIsPending, "\(next.operation) while another thread waits in \(call.operation)")
            call = next
            callIsPending = true
            lock.wakeAll()
            while callIsPending { lock.wait() }
            return code
        }
    }

    /// Queues a bucket to sum over `ranks`.
    func queue(_ values: UnsafeMutableBufferPointer<Float>, among ranks: MPIRanks) {
        lock.locked {
            buckets.append(Bucket(values: values.baseAddress, count: values.count, ranks: ranks))
            if sumsAtOnce { lock.wakeAll() }
        }
    }

    /// Sleeps until every queued bucket is summed; returns the first code that is not 0.
    func finish() -> Int32 {
        lock.locked {
            if buckets.isEmpty { return 0 }
            mainWaits = true
            lock.wakeAll()
            while summed < buckets.count || bucketIsRunning { lock.wait() }
            mainWaits = false
            buckets.removeAll(keepingCapacity: true)
            summed = 0
            defer { bucketCode = 0 }
            return bucketCode
        }
    }

    /// Whether no call is in progress and nothing is queued.
    var isIdle: Bool { lock.locked { buckets.isEmpty && !callIsPending } }

    /// Finalizes MPI and waits for the thread to end.
    func finalize() -> Int32 {
        let code = perform(MPICall(kind: .finalize, operation: "finalize"))
        let ended = lock.locked {
            defer { thread = nil }
            return thread
        }
        ended?.join()
        return code
    }

    private func conduct() {
        var started = World()
        started.code = tutti_mpi_start()
        var (rank, size): (Int32, Int32) = (0, 1)
        if started.code == 0 { started.code = tutti_mpi_rank(0, &rank) }
        if started.code == 0 { started.code = tutti_mpi_size(0, &size) }
        (started.rank, started.size) = (Int(rank), Int(size))
        lock.locked {
            world = started
            lock.wakeAll()
        }
        if started.code != 0 { return }
        let executor = MPIExecutor(size: started.size)
        while true {
            let next = nextCall()
            let answer = executor.execute(next.call)
            lock.locked {
                if next.isBucket {
                    bucketIsRunning = false
                    if bucketCode == 0 { bucketCode = answer }
                } else {
                    code = answer
                    callIsPending = false
                }
                lock.wakeAll()
            }
            if next.call.kind == .finalize { return }
        }
    }

    private func nextCall() -> (call: MPICall, isBucket: Bool) {
        lock.locked {
            while true {
                if let cpu = boundCPU {
                    boundCPU = nil
                    // Staying unbound only costs speed.
                    _ = tutti_bind_thread(Int32(cpu))
                }
                if summed < buckets.count && (sumsAtOnce || mainWaits) {
                    let bucket = buckets[summed]
                    summed += 1
                    bucketIsRunning = true
                    // After an error the rest is skipped.
                    let kind: MPICall.Kind = bucketCode == 0 ? .sumFloats : .none
                    let target = UnsafeMutableRawPointer(bucket.values)
                    let call = MPICall(
                        kind: kind, ranks: bucket.ranks, operation: "allReduceSum", target: target, count: bucket.count)
                    return (call, true)
                }
                if callIsPending { return (call, false) }
                lock.wait()
            }
        }
    }
}
