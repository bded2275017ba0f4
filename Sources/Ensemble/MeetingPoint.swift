// MeetingPoint: where the threads of a `LocalEnsemble` post their buffers and wait for each other.
//
// A collective = post (my buffer) -> meet (all have posted) -> work on all buffers -> meet (all are done).
// Posts are compared, so that ranks that call different collectives, or lengths, fail at once with both named
// instead of hanging. A rank that throws or returns early releases the ranks that wait for it.
//
// A subset of the ranks (`Ensemble.split`) has its own meeting point. A rank that throws releases all meeting points,
// because the run is over; a rank that returns early releases only its own.

import TuttiGround

/// One rank's arguments of a collective.
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
    /// The numbers of its ranks in the whole run, ascending.
    let members: [Int]
    /// The messages between its ranks.
    let mail = PostOffice()
    private let lock = SleepLock()
    private let posts: UnsafeMutableBufferPointer<Post>
    private let present: UnsafeMutableBufferPointer<Bool>
    private var arrived = 0
    private var generation = 0
    private var releases: [Release] = []
    private var parts: [Part: MeetingPoint] = [:]

    /// Why ranks that wait, now or later, cannot complete.
    private struct Release {
        var error: TuttiError
        /// Whether it affects all ranks, or only those that wait for `error.rank`.
        var endsRun: Bool
    }

    /// One color of one split.
    private struct Part: Hashable {
        var split: Int
        var color: Int
    }

    /// The meeting point of the ranks with these numbers in the whole run.
    init(members: [Int]) {
        self.members = members
        let size = members.count
        posts = .allocate(capacity: size)
        posts.initialize(repeating: Post())
        present = .allocate(capacity: size)
        present.initialize(repeating: false)
    }

    deinit {
        posts.deallocate()
        present.deallocate()
    }

    var size: Int { members.count }

    subscript(rank: Int) -> Post { posts[rank] }

    /// The meeting point of one color: the same object for the same arguments.
    ///
    /// - Parameters:
    ///   - split: counts the splits.
    ///   - ranks: those of this meeting point that are in it, ascending.
    func part(split: Int, color: Int, ranks: [Int]) -> MeetingPoint {
        lock.locked {
            let key = Part(split: split, color: color)
            if let part = parts[key] { return part }
            let part = MeetingPoint(members: ranks.map { members[$0] })
            releases.forEach(part.release)
            parts[key] = part
            return part
        }
    }

    /// Posts and meets; throws on every rank if the ranks do not call the same collective with the same length.
    func open(_ post: Post, rank: Int) throws(TuttiError) {
        posts[rank] = post
        try meet(rank: rank, post.operation)
        for other in 1..<size where !agree(posts[0], posts[other]) {
            throw TuttiError(
                .retryable, post.operation.description, "",
                "calls \(say(posts[other])) while rank \(members[0]) calls \(say(posts[0]))", rank: members[other])
        }
    }

    /// Waits until every rank is done with the buffers of the collective that `open` started.
    func close(rank: Int) throws(TuttiError) { try meet(rank: rank, posts[rank].operation) }

    /// Releases the ranks that wait, now and later, because `rank` threw `error`.
    func fail(rank: Int, _ error: any Error) {
        // A rank that was itself released by the first failure is ignored.
        let cause = TuttiError(error)
        let error = TuttiError(cause.kind, "", "", "failed: \(cause)", rank: rank)
        release(Release(error: error, endsRun: true))
    }

    /// Releases the ranks that wait, now and later, because `rank` has returned from its body.
    func depart(rank: Int) {
        let error = TuttiError(.retryable, "", "", "has already finished and will not take part", rank: rank)
        release(Release(error: error, endsRun: false))
    }

    /// The ranks of the run that have not reached the current meeting, for the watchdog.
    func absentRanks() -> [Int] {
        lock.locked { (0..<size).filter { !present[$0] }.map { members[$0] } }
    }

    private func release(_ release: Release) {
        let parts = lock.locked {
            if release.endsRun || release.error.rank.map(members.contains) == true {
                releases.append(release)
                lock.wakeAll()
                mail.fail(release.error, gone: release.endsRun ? nil : release.error.rank.flatMap(members.firstIndex))
            }
            return self.parts.values
        }
        for part in parts { part.release(release) }
    }

    private func meet(rank: Int, _ operation: StaticString) throws(TuttiError) {
        let released: TuttiError? = lock.locked {
            if let first = releases.first { return first.error }
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
            while generation == mine && releases.isEmpty { lock.wait() }
            // A completed meeting counts, even if a rank failed right after it.
            return generation == mine ? releases.first?.error : nil
        }
        if var released {
            released.operation = operation.description
            throw released
        }
    }

    private func agree(_ a: Post, _ b: Post) -> Bool { a.kind == b.kind && a.count == b.count && a.root == b.root }

    private func say(_ post: Post) -> String { "\(post.operation) of \(post.count) with root \(post.root)" }
}
