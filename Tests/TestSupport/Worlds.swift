// Laws are checked for every world size: the body runs on W in-process ranks, for each W of a range.

import TuttiEnsemble

/// Runs `body` on every rank of in-process ensembles of each size in `world`; the results come in rank order, per size.
@discardableResult
public func withEvery<T: Sendable>(
    world: ClosedRange<Int>, _ body: @escaping @Sendable (any Ensemble) throws -> T
) throws -> [Int: [T]] {
    var results: [Int: [T]] = [:]
    for size in world { results[size] = try LocalEnsemble.run(world: size, body) }
    return results
}
