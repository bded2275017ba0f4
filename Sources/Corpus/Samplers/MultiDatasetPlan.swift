// The batches of an epoch over several data sets: whose turn it is, and which of its batches comes.
//
// A batch never mixes data sets, and the plan is a pure function of the data sets' own plans, the mixing, the seed and
// the epoch, so all ranks work on the same data set at every step. One data set is the plain case of every mixing.
// Reference: ProportionalBatchSampler and RoundRobinBatchSampler of sentence-transformers 6.2; `temperature` is ours,
// after the sampling of languages in multilingual models (Conneau et al. 2020, arXiv:1911.02116).

import Foundation
import TuttiGround

/// How the batches of several data sets take turns.
public enum DatasetMixing: Sendable, Equatable {
    /// Every batch of every data set, in random order.
    case proportional
    /// One batch of each in turn, until the shortest has no more.
    case roundRobin
    /// Each batch from a data set drawn with a probability that goes as rows^(1 / T); as many batches as there are.
    case temperature(Double)

    /// The names in a configuration with what they do, in the order of the documentation.
    package static let described = [
        (name: "proportional", summary: "every batch of every data set, in random order"),
        (name: "round_robin", summary: "one batch of each in turn, until the shortest has no more"),
        (
            name: "temperature",
            summary: "each batch from a data set drawn with a probability that goes as rows^(1 / T), T being "
                + "multi_dataset_temperature; as many batches as there are"
        ),
    ]

    /// The names in a configuration.
    package static var names: [String] { described.map(\.name) }

    /// The name in a configuration.
    package var name: String {
        switch self {
        case .proportional: "proportional"
        case .roundRobin: "round_robin"
        case .temperature: "temperature"
        }
    }
}

/// The batches of an epoch over several data sets, in order.
package struct MultiDatasetPlan: Sendable, Equatable {
    /// A batch of one of the data sets.
    package struct Place: Sendable, Equatable {
        /// The data set's number.
        package let dataset: Int32
        /// The batch's number in the data set's plan.
        package let batch: Int32
    }

    /// The batches of every data set; several passes over one stand one after the other.
    package let plans: [EpochPlan]
    /// The batches of the epoch.
    package let order: [Place]
    /// Rows of every data set that are in no batch of this epoch's first pass over it.
    package let leftOut: [Int]

    /// The number of batches.
    package var batchCount: Int { order.count }

    /// The data set of batch `index`.
    package func dataset(_ index: Int) -> Int { Int(order[index].dataset) }

    /// The rows of batch `index`, in the table of its data set.
    package func rows(_ index: Int) -> ArraySlice<Int32> { plans[dataset(index)].batch(Int(order[index].batch)) }
}

/// Mixes the batches of `count` data sets.
///
/// - Parameter plan: the batches of a data set in its n-th pass of this epoch, from zero; only `temperature` asks for
///   more than one pass.
package func planDatasets(
    _ mixing: DatasetMixing, count: Int, epoch: Int, seed: UInt64, plan: (_ dataset: Int, _ pass: Int) -> EpochPlan
) -> MultiDatasetPlan {
    precondition(count > 0, "planDatasets: no data set")
    let firsts = (0..<count).map { plan($0, 0) }
    // Purpose 2 of the seed's streams is the order of data sets.
    var generator = CounterRandom(seed: seed, epoch: UInt32(truncatingIfNeeded: epoch), purpose: 2)
    var plans = firsts
    var passes = [Int](repeating: 1, count: count)
    var drawn = [Int](repeating: 0, count: count)
    var order: [MultiDatasetPlan.Place] = []
    for dataset in turns(mixing, among: firsts, generator: &generator) {
        if drawn[dataset] == plans[dataset].batchCount {
            let next = plan(dataset, passes[dataset])
            // Where texts repeat too often a pass may have no batch; the first, which has some, then comes again.
            plans[dataset].append(next.batchCount > 0 ? next : firsts[dataset])
            passes[dataset] += 1
        }
        order.append(.init(dataset: Int32(dataset), batch: Int32(drawn[dataset])))
        drawn[dataset] += 1
    }
    let leftOut = firsts.indices.map { dataset in
        let first = firsts[dataset]
        return first.leftOut + first.rows.count - first.batchOffsets[min(drawn[dataset], first.batchCount)]
    }
    return MultiDatasetPlan(plans: plans, order: order, leftOut: leftOut)
}

/// The data set of every batch of the epoch.
private func turns(
    _ mixing: DatasetMixing, among plans: [EpochPlan], generator: inout CounterRandom
) -> [Int] {
    let all = plans.indices.flatMap { repeatElement($0, count: plans[$0].batchCount) }
    switch mixing {
    case .proportional:
        return generator.permutation(of: all.count).map { all[Int($0)] }
    case .roundRobin:
        let shortest = plans.map(\.batchCount).min() ?? 0
        return (0..<shortest).flatMap { _ in plans.indices }
    case .temperature(let temperature):
        let weights = drawingWeights(plans.map(\.rows.count), temperature: temperature)
        let total = weights.reduce(0, +)
        return all.map { _ in
            var place = generator.number(below: total)
            var dataset = 0
            while place >= weights[dataset] {
                place -= weights[dataset]
                dataset += 1
            }
            return dataset
        }
    }
}

/// Whole numbers that go as `rows`^(1 / T), the largest 2^24: so coarse that a last bit of pow, which may differ
/// between machines of a cluster, does not reach them.
private func drawingWeights(_ rows: [Int], temperature: Double) -> [UInt64] {
    precondition(temperature > 0, "drawingWeights: a temperature of \(temperature)")
    let largest = Double(rows.max() ?? 1)
    return rows.map { count in
        count == 0 ? 0 : max(1, UInt64((0x1p24 * pow(Double(count) / largest, 1 / temperature)).rounded()))
    }
}
