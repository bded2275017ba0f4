// Whether a run has logical shards, and what else its bits must not depend on.

import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiObjectives

extension TrainingInputs {
    /// The logical shards of a run with `deterministic: world_size`, whose products are then our own: their rows depend
    /// neither on their neighbors nor on threads. Nil for other runs.
    ///
    /// - Parameter batchIsGlobal: whether the batch was the same on any number of ranks when the run began.
    /// - Throws: a usage error where the bits of such a run would depend on the ranks.
    func makeShards(
        _ objectives: [Objective], batchIsGlobal: Bool, ensemble: any Ensemble
    ) throws(TuttiError) -> LogicalShards? {
        guard arguments.deterministic == .worldSize else { return nil }
        func refuse(_ problem: String, _ hint: String) -> TuttiError {
            TuttiError(.usage, "plan the run", "args.deterministic: world_size", problem, hint: hint)
        }
        let shards = arguments.deterministicShards
        guard shards & (shards - 1) == 0, shards <= 64 else {
            throw refuse("\(shards) logical shards", "args.deterministic_shards must be 1, 2, 4, 8, 16, 32 or 64.")
        }
        let ranks = ensemble.size
        guard ranks & (ranks - 1) == 0, ranks <= shards else {
            throw refuse(
                "\(ranks) ranks cannot share \(shards) logical shards",
                "Use 1, 2, 4 ... ranks, at most args.deterministic_shards.")
        }
        guard batchIsGlobal else {
            throw refuse(
                "per_device_train_batch_size makes the batch depend on the ranks", "Use args.global_train_batch_size.")
        }
        guard arguments.wire == .fp32 else { throw refuse("wire: bf16 rounds once a node", "Use args.wire: fp32.") }
        let isSecond = { (role: Role) in role.isTrained && role != .student }
        for objective in objectives where objective.decoder != nil || objective.roles.contains(where: isSecond) {
            throw refuse(
                "\(type(of: objective.loss).name) trains more than one encoder",
                "Use another loss, or deterministic: run.")
        }
        for encoder in [model.encoder] + objectives.flatMap({ $0.others.map(\.encoder.encoder) }) {
            encoder.compute.products = GemmChoice(.tutti)
        }
        return LogicalShards(count: shards, parameters: model.encoder.parameters, ensemble: ensemble)
    }

    /// What the run says of them.
    var shardNotices: [String] {
        guard arguments.deterministic == .worldSize else { return [] }
        return [
            "The bits do not depend on the ranks: \(arguments.deterministicShards) logical shards of each batch, matrix "
                + "products by tutti."
        ]
    }
}
