// The arenas of a run (values, gradients, optimizer state), once an exchange has placed them, and the part of them that
// this rank updates.

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels

/// Values, gradients and optimizer state of a run. Empty until `place`.
final class TrainingMemory {
    let parameters: ParameterStore
    /// What the optimizer remembers.
    private(set) var state: OptimizerState
    /// What this rank updates: the update runs of the whole arena, cut to its shard.
    private(set) var runs: [UpdateRun]
    private let choice: ExchangeChoice
    private let wire: Wire
    private let sharding: OptimizerSharding
    private let isTree: Bool
    private let weightCopies: [Int]
    private let needsWholeTensors: Bool
    private var chosen: (any Exchange)?

    /// Memory for `parameters`, `runs` of which `optimizer` updates, and for its state.
    ///
    /// - Parameter isTree: whether ranks are added along a binary tree, rather than in their order.
    init(
        _ parameters: ParameterStore, runs: [UpdateRun], optimizer: any Optimizer, exchange: ExchangeChoice = .auto,
        wire: Wire = .fp32, sharding: OptimizerSharding = .node, isTree: Bool = false
    ) {
        self.parameters = parameters
        self.runs = runs
        (choice, self.wire, self.sharding, self.isTree) = (exchange, wire, sharding, isTree)
        state = OptimizerState(optimizer, runs: runs)
        weightCopies = optimizer.weightCopies
        needsWholeTensors = optimizer.needsWholeTensors
    }

    /// How the ranks exchange gradients.
    var exchange: any Exchange {
        guard let chosen else { preconditionFailure("TrainingMemory: used before it was placed") }
        return chosen
    }

    /// Whether this rank is to write values and state where all ranks would write the same.
    var isWriter: Bool { exchange.placement.isWriter }

    /// Chooses the exchange and has it place the arenas; the model's values, equal on all ranks, move with them. A
    /// second call does nothing. Collective.
    ///
    /// - Returns: what to tell the user: the exchange, where there are several ranks.
    func place(among ensemble: any Ensemble) throws -> String? {
        guard chosen == nil else { return nil }
        let (exchange, obstacle) = try choice.make(
            parameters, stateCount: state.names.count, wire: wire, sharding: sharding, isTree: isTree, among: ensemble)
        chosen = exchange
        state.take(exchange.placement)
        runs = needsWholeTensors ? dealtTensors(exchange.placement) : dealtChunks(exchange.placement)
        for arena in weightCopies {
            for run in runs {
                _ = state.arenas[arena][run.range].update(
                    fromContentsOf: UnsafeMutableBufferPointer(rebasing: parameters.values[run.range]))
            }
        }
        if !weightCopies.isEmpty { try ensemble.barrier() }  // before one rank loads a checkpoint's
        guard ensemble.size > 1 else { return nil }
        let why = obstacle.isEmpty ? "" : " (no shared memory: \(obstacle))"
        let gradients = "Gradients of \(ensemble.size) ranks: \(exchange.summary)\(why)."
        if sharding == .node { return gradients }
        return try gradients + " " + sharingInWords(among: ensemble)
    }

    /// The runs, cut to this rank's shard.
    private func dealtChunks(_ placement: Placement) -> [UpdateRun] {
        placement.shard.flatMap { chunk in
            runs.filter { $0.range.overlaps(chunk) }.map { run in
                var part = run
                part.range = run.range.clamped(to: chunk)
                return part
            }
        }
    }

    /// This rank's tensors: the largest first, each to the rank of its memory that has least to do.
    private func dealtTensors(_ placement: Placement) -> [UpdateRun] {
        var loads = [Int](repeating: 0, count: placement.parts)
        var own: [UpdateRun] = []
        let order = runs.indices.sorted { (runs[$0].range.count, $1) > (runs[$1].range.count, $0) }
        for place in order {
            let rank = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
            loads[rank] += runs[place].range.count
            if rank == placement.part { own.append(runs[place]) }
        }
        return own
    }

    /// How much of the optimizer's state a rank has, where all ranks keep it together. Collective.
    private func sharingInWords(among ensemble: any Ensemble) throws -> String {
        if state.names.isEmpty { return "The optimizer keeps no state that could be sharded." }
        let own = exchange.placement.shard.reduce(0) { $0 + $1.count } * state.names.count * 4
        let most = try ensemble.gatherCounts(own).max() ?? own
        return "Optimizer state: sharded over all ranks, at most \((Double(most) / 1e5).rounded() / 10) MB each."
    }
}
