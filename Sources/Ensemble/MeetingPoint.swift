// MeetingPoint: where the threads of a `LocalEnsemble` lay out their buffers and wait for each other.
//
// A collective = post (what I bring) -> meet (all have posted) -> work on everybody's buffers -> meet (all are done).
// Posts are compared, so that ranks that call different collectives, or lengths, fail at once with both named
// instead of hanging. A rank that throws or returns early releases the ranks that wait for it.

/// What one rank brings to a collective.
struct Post {
    var operation: StaticString = "nothing"
    var kind = 0
    var count = 0
    var root = 0
    var source: UnsafeRawPointer?
    var target: UnsafeMutableRawPointer?
}

/// The shared state of W threads. Posts are written by their rank before a meeting and read by all after it.
final class MeetingPoint: @unchecked Sendable {
    let size: Int
    private let lock = SleepLock()
    private let posts: UnsafeMutableBufferPointer<Post>
    private let present: UnsafeMutableBufferPointer<Bool>
    private var arrived = 0
    private var generation = 0
    private var failure: EnsembleError?

    init(size: Int) {
        self.size = size
        posts = .allocate(capacity: size)
        posts.initialize(repeating: Post())
        present = .allocate(capacity: size)
        present.initialize(repeating: false)
    }

    deinit {
        posts.deallocate()
        present.deallocate()
    }

    subscript(rank: Int) -> Post { posts[rank] }

    /// Posts and meets; throws on every rank if the ranks do not call the same collective with the same length.
    func open(_ post: Post, rank: Int) throws(EnsembleError) {
        posts[rank] = post
        try meet(rank: rank, post.operation)
        for other in 1..<size where !agree(posts[0], posts[other]) {
            throw EnsembleError(
                operation: post.operation.description, rank: other,
                problem: "calls \(say(posts[other])) while rank 0 calls \(say(posts[0]))")
        }
    }

    /// Waits until every rank is done with the buffers of the collective that `open` began.
    func close(rank: Int) throws(EnsembleError) { try meet(rank: rank, posts[rank].operation) }

    /// Releases the ranks that wait, now and later, because `rank` threw `error`.
    func fail(rank: Int, _ error: any Error) {
        // A rank that was itself released by the first failure adds nothing.
        release(EnsembleError(operation: "", rank: rank, problem: "failed: \(error)", code: ExitCode.of(error)))
    }

    /// Releases the ranks that wait, now and later, because `rank` has returned from its body.
    func depart(rank: Int) {
        release(EnsembleError(operation: "", rank: rank, problem: "has already finished and will not take part"))
    }

    /// The ranks that have not come to the current meeting, for the watchdog.
    func absentRanks() -> [Int] {
        lock.locked { (0..<size).filter { !present[$0] } }
    }

    private func release(_ error: EnsembleError) {
        lock.locked {
            if failure == nil { failure = error }
            lock.wakeAll()
        }
    }

    private func meet(rank: Int, _ operation: StaticString) throws(EnsembleError) {
        let released: EnsembleError? = lock.locked {
            if let failure { return failure }
            let mine = generation
            present[rank] = true
            arrived += 1
            if arrived == size {
                arrived = 0
                generation += 1
                present.update(repeating: false)
                lock.wakeAll()
                return nil
            }
            while generation == mine && failure == nil { lock.wait() }
            // A meeting that took place counts, even if a rank failed right after it.
            return generation == mine ? failure : nil
        }
        if var released {
            released.operation = operation.description
            throw released
        }
    }

    private func agree(_ a: Post, _ b: Post) -> Bool { a.kind == b.kind && a.count == b.count && a.root == b.root }

    private func say(_ post: Post) -> String { "\(post.operation) of \(post.count) with root \(post.root)" }
}
