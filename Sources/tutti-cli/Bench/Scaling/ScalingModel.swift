// ScalingModel: what a step costs as a function of ranks, nodes, threads, rows and tokens, fitted to measured worlds.
//
// A step is work + loss + exchange + optimizer, one fit each, on the times of that part alone: so the exchange is never
// explained by the products. Every term is a cost that somebody can name, times a count that is known without measuring.
// The slowest of W ranks sets the pace: work grows by the expected maximum of W normal draws of the measured spread.

import Foundation
import TuttiFormats

/// What the counts of a step depend on.
struct StepShape: Sendable {
    var ranks: Int
    var nodes: Int
    var threads: Int
    var batchSize: Int
    /// Tokens a rank.
    var tokens: Double
    var candidates: Int
    var width: Int
    var parameters: Int
    var wireBytes: Int
    var isPrivate: Bool
    /// Cores that work on a node at the same time.
    var busyCores: Int

    /// The shape of a world's steps, or of those of one rank alone or in the crowd.
    init(_ record: WorldRecord, _ times: PartTimes, ranks: Int, nodes: Int, busyRanks: Int) {
        (self.ranks, self.nodes, threads) = (ranks, nodes, record.threads)
        (batchSize, tokens) = (record.batchSize, times.tokens)
        (candidates, width, parameters) = (record.candidates, record.width, record.parameters)
        (wireBytes, isPrivate, busyCores) = (record.wireBytes, record.isPrivate, busyRanks * record.threads)
    }

    init(world record: WorldRecord) {
        self.init(record, record.world, ranks: record.ranks, nodes: record.nodes, busyRanks: record.ranksPerNode)
    }

    /// Ranks that share one copy of values and state.
    var sharers: Double { isPrivate ? 1 : Double((ranks + nodes - 1) / nodes) }
    /// Those between which messages pass: nodes, or ranks of memory of their own.
    var peers: Double { Double(isPrivate ? ranks : nodes) }
    /// Rows times candidates: elements of this rank's part of the matrix of similarities.
    var similarities: Double { Double(batchSize) * Double(batchSize * ranks * candidates) }
    /// Bytes that a node receives when embeddings are gathered, and their gradients when they go back.
    var gatheredBytes: Double {
        2 * Double(batchSize * ranks * candidates * width * 4) * (peers - 1) / peers
    }
    /// Bytes of gradients that a node sends, 2 (N - 1) / N n.
    var sentBytes: Double { 2 * Double(parameters * wireBytes) * (peers - 1) / peers }
    /// Message times one after the other: a parcel crosses the network twice; MPI_Allreduce halves and doubles.
    var messageTimes: Double {
        guard peers > 1 else { return 0 }
        return isPrivate ? 2 * log2(peers).rounded(.up) : 2
    }

    /// Work: a fixed cost a step; tokens over threads; the same for every other core that is busy on the node; what
    /// threads do not divide.
    var work: [Double] {
        let shared = tokens / Double(threads)
        return [shared, shared * Double(busyCores - 1), tokens - shared, 1]
    }
    /// The loss: similarities; rows; a fixed cost where ranks must meet; bytes gathered over the network.
    var loss: [Double] {
        [similarities, Double(batchSize), ranks > 1 ? 1 : 0, gatheredBytes]
    }
    /// The exchange: the norm of this rank's shard; gradients of the other ranks, read from memory; a fixed cost where
    /// ranks must meet; bytes; message times.
    var exchange: [Double] {
        let floats = Double(parameters)
        return [
            floats / sharers, floats * (sharers - 1) / sharers, ranks > 1 ? 1 : 0, sentBytes, messageTimes,
        ]
    }
    /// The optimizer: this rank's shard of the parameters; the shards of the others, which use the same memory.
    var optimizer: [Double] {
        let floats = Double(parameters)
        return [floats / sharers, floats * (sharers - 1) / sharers]
    }
}

/// Seconds of a step's parts.
struct StepPrediction: Sendable {
    /// The mean rank's.
    var work: Double
    /// What the slowest rank adds to it.
    var waiting: Double
    var loss: Double
    var exchange: Double
    var optimizer: Double

    var step: Double { work + waiting + loss + exchange + optimizer }
}

/// The fit.
struct ScalingModel {
    /// A named cost.
    struct Parameter {
        let name: String
        let unit: String
        let value: Double
        /// Whether the worlds tell it from the others.
        let isDetermined: Bool
        /// Whether any world has it.
        let isSeen: Bool
    }

    private let work: LeastSquares
    private let loss: LeastSquares
    private let exchange: LeastSquares
    private let optimizer: LeastSquares
    /// Relative standard deviation of a rank's work.
    let spread: Double

    /// Fits worlds, one record a shape.
    init(_ records: [WorldRecord]) {
        typealias Observation = (shape: StepShape, times: PartTimes)
        let worlds: [Observation] = records.map { (StepShape(world: $0), $0.world) }
        let alone: [Observation] = records.map {
            (StepShape($0, $0.alone, ranks: 1, nodes: 1, busyRanks: 1), $0.alone)
        }
        let crowds: [Observation] = records.map {
            (StepShape($0, $0.crowd, ranks: 1, nodes: 1, busyRanks: $0.ranksPerNode), $0.crowd)
        }
        func fit(
            _ seen: [Observation], _ features: (StepShape) -> [Double], _ value: (PartTimes) -> Double
        ) -> LeastSquares {
            let positive = seen.filter { value($0.times) > 0 }
            return LeastSquares(positive.map { features($0.shape) }, positive.map { value($0.times) })
        }
        work = fit(worlds + alone + crowds, { $0.work }, { $0.work })
        loss = fit(worlds + alone + crowds, { $0.loss }, { $0.loss })
        // Ranks of a crowd each read and write arenas of their own, which those of a world do not.
        exchange = fit(worlds + alone, { $0.exchange }, { $0.exchange })
        optimizer = fit(worlds + alone, { $0.optimizer }, { $0.optimizer })
        let several = records.filter { $0.ranks > 1 && $0.spread > 0 }
        spread = several.isEmpty ? 0 : several.reduce(0) { $0 + $1.spread } / Double(several.count)
    }

    /// The costs, and which of them the worlds determined.
    var parameters: [Parameter] {
        func named(_ fit: LeastSquares, _ names: [(String, String)]) -> [Parameter] {
            names.enumerated().map { place, name in
                let isKnown = place < fit.coefficients.count
                return Parameter(
                    name: name.0, unit: name.1, value: isKnown ? fit.coefficients[place] : 0,
                    isDetermined: isKnown && fit.isDetermined[place], isSeen: isKnown && fit.isSeen[place])
            }
        }
        return named(
            work,
            [
                ("work", "s a token and thread"), ("contention", "s a token, thread and other busy core"),
                ("serial work", "s a token"), ("fixed work", "s a step"),
            ])
            + named(
                loss,
                [
                    ("similarities", "s a row and candidate"), ("loss", "s a row"), ("gather", "s a step"),
                    ("gathered byte", "s a byte"),
                ])
            + named(
                exchange,
                [
                    ("gradient norm", "s a float"), ("gradient from memory", "s a float"), ("meeting", "s a step"),
                    ("byte sent", "s a byte"), ("message time", "s a message"),
                ])
            + named(optimizer, [("optimizer", "s a float"), ("optimizer of other ranks", "s a float")])
            + [
                Parameter(
                    name: "spread of ranks", unit: "of a rank's work", value: spread, isDetermined: spread > 0,
                    isSeen: spread > 0)
            ]
    }

    /// The parts of a step.
    ///
    /// - Parameter crossesNodes: whether messages between nodes count, by what the worlds showed of them.
    func predict(_ shape: StepShape, crossesNodes: Bool = true) -> StepPrediction {
        let mean = work.value(shape.work)
        var (lossCounts, exchangeCounts) = (shape.loss, shape.exchange)
        if !crossesNodes {
            lossCounts[3] = 0
            exchangeCounts[3] = 0
            exchangeCounts[4] = 0
        }
        return StepPrediction(
            work: mean, waiting: mean * spread * expectedMaximum(of: shape.ranks), loss: loss.value(lossCounts),
            exchange: exchange.value(exchangeCounts), optimizer: optimizer.value(shape.optimizer))
    }

    /// Seconds a similarity and its gradients must take at least, in shapes like `shape`: 6 D FLOPs, at the rate of work,
    /// which has 6 FLOPs a token and parameter outside the word table.
    func leastSimilarity(_ shape: StepShape, wordTable: Int) -> Double {
        let dense = shape.parameters - wordTable
        guard dense > 0, let token = work.coefficients.first else { return 0 }
        return token / Double(shape.threads) * Double(shape.width) / Double(dense)
    }

    /// Seconds of a similarity as fitted.
    var similarity: Double { loss.coefficients.first ?? 0 }

    /// The costs that `shape` has but that the fit could not see.
    func unseen(_ shape: StepShape) -> [String] {
        let features = shape.work + shape.loss + shape.exchange + shape.optimizer
        return zip(parameters, features).filter { !$0.isSeen && $1 > 0 }.map(\.0.name)
    }

    /// Each world predicted by a model of the others.
    static func leftOut(_ records: [WorldRecord]) -> [LeftOut] {
        records.indices.map { place in
            var others = records
            let record = others.remove(at: place)
            let shape = StepShape(world: record)
            guard !others.isEmpty else {
                return LeftOut(record: record, predicted: nil, unseen: ["every cost: there is no other world"])
            }
            let model = ScalingModel(others)
            return LeftOut(record: record, predicted: model.predict(shape).step, unseen: model.unseen(shape))
        }
    }
}

/// A world that the fit did not see, predicted.
struct LeftOut {
    let record: WorldRecord
    /// Seconds a step; nil without another world.
    let predicted: Double?
    /// Costs of this world that no other world shows, taken as zero.
    let unseen: [String]

    /// Predicted over measured, minus one.
    var error: Double? { predicted.map { $0 / record.world.step - 1 } }
}

/// The mean of the greatest of `count` standard normal numbers (Blom 1958), 0 for one.
func expectedMaximum(of count: Int) -> Double {
    guard count > 1 else { return 0 }
    let tail = 1 - (Double(count) - 0.375) / (Double(count) + 0.25)
    // The upper quantile by bisection of the complementary error function: exact enough, and short.
    var (low, high) = (0.0, 40.0)
    for _ in 0..<80 {
        let middle = (low + high) / 2
        if erfc(middle / 2.0.squareRoot()) / 2 > tail { low = middle } else { high = middle }
    }
    return (low + high) / 2
}
