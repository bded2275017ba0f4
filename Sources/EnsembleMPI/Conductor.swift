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

/// The thread that owns MPI and its two inputs: one call at a time, and a queue of buckets and conversations.
final class Conductor: @unchecked Sendable {
    /// This process, as reported by MPI.
    struct World: Sendable {
        var rank = 0
        var size = 1
        var code: Int32 = 0
    }

    // Everything below is guarded by `lock`.
    private let lock = SleepLock()
    private var world: World?
    private var call = MPICall.none
    private var callIsPending = false
    private var code: Int32 = 0
    private var queued: [MPICall] = []  // buckets and conversations
    private var taken = 0  // of them, so far
    private var queuedIsRunning = false
    private var queuedCode: Int32 = 0
    private var mainWaits = false
    private var policy = CorePolicy.waiting
    private let patience = Patience()
    private var boundCPU: Int?
    private var thread: RankThread?

    /// Starts the thread, which initializes MPI; returns when MPI is initialized.
    func start() -> World {
        lock.locked { queued.reserveCapacity(256) }
        guard let thread = RankThread({ self.conduct() }) else { return World(code: -1) }
        return lock.locked {
            self.thread = thread
            while true {
                if let world { return world }
                lock.wait()
            }
        }
    }

    /// When queued calls run, and on which CPU.
    func setPolicy(_ policy: CorePolicy, boundCPU: Int?) {
        patience.sharesCore.store(policy != .reserved, ordering: .relaxed)
        lock.locked {
            self.policy = policy
            self.boundCPU = boundCPU
        }
    }

    /// Submits a call and sleeps until it is done; returns MPI's code.
    func perform(_ next: MPICall) -> Int32 {
        lock.locked {
            precondition(queued.isEmpty, "\(next.operation) while buckets are queued; call finishAllReduces first")
            precondition(!callIsPending, "\(next.operation) while another thread waits in \(call.operation)")
            call = next
            callIsPending = true
            lock.wakeAll()
            while callIsPending { lock.wait() }
            return code
        }
    }

    /// Queues a bucket to sum, or a conversation.
    func queue(_ call: MPICall) {
        lock.locked {
            queued.append(call)
            if policy != .waiting { lock.wakeAll() }
        }
    }

    /// Sleeps until every queued call is done; returns the first code that is not 0.
    func finish() -> Int32 {
        lock.locked {
            if queued.isEmpty { return 0 }
            mainWaits = true
            patience.mainWaits.store(true, ordering: .relaxed)
            lock.wakeAll()
            while taken < queued.count || queuedIsRunning { lock.wait() }
            mainWaits = false
            patience.mainWaits.store(false, ordering: .relaxed)
            queued.removeAll(keepingCapacity: true)
            taken = 0
            defer { queuedCode = 0 }
            return queuedCode
        }
    }

    /// Whether no call is in progress and nothing is queued.
    var isIdle: Bool { lock.locked { queued.isEmpty && !callIsPending } }

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
        let executor = MPIExecutor(size: started.size, patience: patience)
        while true {
            let next = nextCall()
            let answer = executor.execute(next.call)
            lock.locked {
                if next.isQueued {
                    queuedIsRunning = false
                    if queuedCode == 0 { queuedCode = answer }
                } else {
                    code = answer
                    callIsPending = false
                }
                lock.wakeAll()
            }
            if next.call.kind == .finalize { return }
        }
    }

    private func nextCall() -> (call: MPICall, isQueued: Bool) {
        lock.locked {
            while true {
                if let cpu = boundCPU {
                    boundCPU = nil
                    // Staying unbound only costs speed.
                    _ = tutti_bind_thread(Int32(cpu))
                }
                if taken < queued.count, mainWaits || policy.runs(queued[taken].kind) {
                    // After an error the rest is skipped.
                    let call = queuedCode == 0 ? queued[taken] : .none
                    taken += 1
                    queuedIsRunning = true
                    return (call, true)
                }
                if callIsPending { return (call, false) }
                lock.wait()
            }
        }
    }
}
