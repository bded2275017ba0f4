// Instructions for products of rounded operands that all ranks of a run have.

import TuttiEnsemble

/// The slowest of what is fastest on each rank, `own` on this one; nil where a rank has none. Collective.
package func commonProducts<Products: CaseIterable & Equatable>(
    _ own: Products?, among ensemble: any Ensemble
) throws -> Products? where Products.AllCases == [Products] {
    let all = Products.allCases
    let place = own.flatMap { all.firstIndex(of: $0) } ?? -1
    let missing = try ensemble.agree(code: Int32(all.count - 1 - place))  // the largest of all ranks
    let slowest = all.count - 1 - Int(missing)
    return slowest < 0 ? nil : all[slowest]
}
