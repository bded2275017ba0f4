// SecondLook: where a gradient that is not finite came from: which rank, which rows, which of its numbers first.
//
// The sum over ranks is not finite on all of them, and one number of one rank is enough for it. Looking at every rank's
// part in every step would cost a pass over the gradients; so the step is run once more instead, without an exchange, when it
// has failed. Draws are functions of the step, so that it does the same again.

import TuttiEncoders
import TuttiEnsemble
import TuttiGround
import TuttiObjectives

/// The micro-batches of a step, kept until the next, and the search among them.
final class SecondLook {
    /// What of a rank is not finite, earlier in the step first.
    private enum Origin: Int, CaseIterable {
        case embeddings = 1, loss, gradient

        var title: String { "\(self)" }
    }

    private let step: TrainingStep
    private let arguments: TrainingArguments
    private let datasets: [TrainingDataset]
    private let ensemble: any Ensemble
    private let fault: InjectedFault?
    private var batches: [PreparedBatch] = []

    init(
        _ step: TrainingStep, arguments: TrainingArguments, datasets: [TrainingDataset], fault: InjectedFault?,
        ensemble: any Ensemble
    ) {
        (self.step, self.arguments, self.datasets) = (step, arguments, datasets)
        (self.fault, self.ensemble) = (fault, ensemble)
    }

    /// A step begins.
    func begin() { batches.removeAll(keepingCapacity: true) }

    /// Keeps a micro-batch of the step.
    func keep(_ batch: PreparedBatch) { batches.append(batch) }

    /// The error of step `number` (0 for the first), which every rank throws. Collective.
    func error(number: Int) throws -> TuttiError {
        var error = TuttiError(
            .diverged, "train", "step \(number + 1)", "the gradient is not finite",
            hint: "Lower learning_rate or raise the warm-up; the last checkpoint is kept.")
        error.isShared = true
        let store = step.memory.parameters
        let spoilt = store.layout.entries.first { !store.values(of: $0).allSatisfy(\.isFinite) }
        let ofRanks = try ensemble.gather(Array((spoilt?.name ?? "").utf8))
        if let rank = ofRanks.firstIndex(where: { !$0.isEmpty }) {
            let tensor = String(decoding: ofRanks[rank], as: UTF8.self)
            error.problem += ", because weights are not: \(tensor) on \(ensemble.name(of: rank))"
            return error
        }
        for (micro, batch) in batches.enumerated() {
            let own = try origin(batch, number: number, micro: micro)
            let origins = try ensemble.gatherCounts(own?.rawValue ?? 0)
            guard let first = origins.filter({ $0 > 0 }).min(), let origin = Origin(rawValue: first) else { continue }
            let guilty = origins.indices.filter { origins[$0] == first }
            let rows = try ensemble.gather(Array(self.rows(of: batch).utf8))
            let shown = guilty.prefix(3).map { String(decoding: rows[$0], as: UTF8.self) }
            if ensemble.size == 1 {
                error.problem += ": first in the \(origin.title)"
            } else if guilty.count == 1 {
                (error.rank, error.host) = (guilty[0], ensemble.host(of: guilty[0]))
                error.problem += ": first in this rank's \(origin.title)"
            } else {
                error.problem += ": first in the \(origin.title) of \(names(guilty))"
            }
            error.problem += ", rows \(shown.joined(separator: ", rows "))"
            return error
        }
        error.problem += ", though that of every rank is before they are summed"
        return error
    }

    /// What is not finite on this rank when it runs a micro-batch again. Collective.
    private func origin(_ batch: PreparedBatch, number: Int, micro: Int) throws -> Origin? {
        let store = step.memory.parameters
        let objective = step.objectives[step.lossOfDataset[batch.dataset]]
        let draw = LossDraw(seed: arguments.seed, step: UInt64(number), microStep: UInt32(micro))
        store.clearGradients()
        fault?.spoilGradient(step: number + 1, rank: ensemble.rank, of: store)
        let pass = ObjectivePass(objective, batch, draw: draw, isTraining: true, shards: step.shards)
        let areEmbeddingsFinite = pass.embeddingsAreFinite
        let value = try pass.evaluate(weight: 1 / Double(batches.count), ensemble: ensemble)
        pass.backward { _ in }
        step.shards?.complete()
        // With logical shards every rank evaluates the whole loss, and rank zero alone returns it.
        let isLossFinite = try step.shards == nil || ensemble.agree(code: value.isFinite ? 0 : 1) == 0
        if !areEmbeddingsFinite { return .embeddings }
        if !value.isFinite || !isLossFinite { return .loss }
        store.touched.collect()
        var isFinite = true
        store.touched.forEachStretch(in: 0..<store.layout.count) { stretch in
            isFinite = isFinite && store.gradients[stretch].allSatisfy(\.isFinite)
        }
        return isFinite ? nil : .gradient
    }

    private func names(_ ranks: [Int]) -> String {
        if ranks.count == ensemble.size { return "every rank" }
        return ranks.map { ensemble.name(of: $0) }.joined(separator: ", ")
    }

    /// The rows of a micro-batch, as a message names them.
    private func rows(of batch: PreparedBatch) -> String {
        let most = 16
        let numbers = batch.rowNumbers.prefix(most).map { "\($0 + 1)" }.joined(separator: ", ")
        let more = batch.rowNumbers.count > most ? " and \(batch.rowNumbers.count - most) more" : ""
        return "\(numbers)\(more) of \(datasets[batch.dataset].table.source)"
    }
}
