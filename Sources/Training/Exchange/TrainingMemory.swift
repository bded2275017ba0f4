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
    private let isTree: Bool
    private var chosen: (any Exchange)?

    /// Memory for `parameters`, `runs` of which are updated, and for the state that an optimizer names.
    ///
    /// - Parameter isTree: whether ranks are added along a binary tree, rather than in their order.
    init(
        _ parameters: ParameterStore, runs: [UpdateRun], stateNames: [String], exchange: ExchangeChoice = .auto,
        wire: Wire = .fp32, isTree: Bool = false
    ) {
        self.parameters = parameters
        self.runs = runs
        (choice, self.wire, self.isTree) = (exchange, wire, isTree)
        state = OptimizerState(names: stateNames)
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
            parameters, stateCount: state.names.count, wire: wire, isTree: isTree, among: ensemble)
        chosen = exchange
        state.arenas = exchange.placement.state
        let whole = runs
        runs = exchange.placement.shard.flatMap { chunk in
            whole.filter { $0.range.overlaps(chunk) }.map { run in
                var part = run
                part.range = run.range.clamped(to: chunk)
                return part
            }
        }
        guard ensemble.size > 1 else { return nil }
        let why = obstacle.isEmpty ? "" : " (no shared memory: \(obstacle))"
        return "Gradients of \(ensemble.size) ranks: \(exchange.summary)\(why)."
    }
}
