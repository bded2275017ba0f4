// Laws are checked for every world size: the body runs on W in-process ranks, for each W of a range.

import TuttiEnsemble

/// Runs `body` on every rank of in-process ensembles of each size in `world`; the results come in rank order, per size.
///
/// - Throws: `WorldFailure`, which says in which world and on which rank `body` threw.
@discardableResult
package func withEvery<T: Sendable>(
    world: ClosedRange<Int>, _ body: @escaping @Sendable (any Ensemble) throws -> T
) throws -> [Int: [T]] {
    var results: [Int: [T]] = [:]
    for size in world {
        results[size] = try LocalEnsemble.run(world: size) { ensemble in
            do {
                return try body(ensemble)
            } catch {
                throw WorldFailure(world: size, rank: ensemble.rank, passed: Array(world.prefix { $0 < size }), error)
            }
        }
    }
    return results
}

/// The failure of a law in one of the worlds that `withEvery` runs.
package struct WorldFailure: Error, CustomStringConvertible {
    /// Ranks of the world that failed, and the rank that failed first.
    package let (world, rank): (Int, Int)
    /// The worlds that had passed before.
    package let passed: [Int]
    /// What the rank threw.
    package let error: any Error

    init(world: Int, rank: Int, passed: [Int], _ error: any Error) {
        (self.world, self.rank, self.passed, self.error) = (world, rank, passed, error)
    }

    /// One line: "rank R of a world of W (worlds of ... passed): error".
    package var description: String {
        let before = passed.isEmpty ? "" : " (worlds of \(passed.map(String.init).joined(separator: ", ")) passed)"
        return "rank \(rank) of a world of \(world)\(before): \(error)"
    }
}
