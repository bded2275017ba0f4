// The model card of a run: what the model knows of itself, plus how it was trained and what it reached.

import Foundation
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// The model card of a run at a moment of it.
struct RunCard {
    private let inputs: TrainingInputs
    private let state: TrainerState

    /// The card of a run in the state `state`.
    init(_ inputs: TrainingInputs, _ state: TrainerState) {
        self.inputs = inputs
        self.state = state
    }

    /// README.md of the model as it is now.
    var text: String {
        var facts = inputs.model.modelCardFacts()
        inputs.card.describe(&facts)
        func card(_ dataset: TrainingDataset) -> ModelCardFacts.Dataset {
            let (table, loss) = (dataset.table, inputs.losses[dataset.loss])
            var card = ModelCardFacts.Dataset(
                name: dataset.title, rowCount: table.rowCount,
                columns: table.columnNames + (table.labelName.map { [$0] } ?? []),
                lossName: loss.configured.name, lossOptions: loss.description)
            card.innerLosses = loss.configured.loss.nested.flatMap(names)
            return card
        }
        facts.trainDatasets = inputs.trainDatasets.map(card)
        facts.evalDatasets = inputs.evalDatasets.map(card)
        for (evaluators, logKey) in [(inputs.evaluators, evaluationKey), (inputs.testEvaluators, testKey)] {
            for evaluator in evaluators {
                var reported: Set<String> = []
                for part in evaluator.reported {
                    let keys = part.metricKeys.filter { reported.insert($0).inserted }
                    if let evaluation = evaluation(part, keys, logKey) { facts.evaluations.append(evaluation) }
                }
            }
        }
        let (changed, all) = inputs.arguments.hyperparameters()
        facts.changedArguments = changed
        facts.allArguments = all
        facts.log = logLines()
        facts.bestStep = inputs.arguments.loadBestModelAtEnd ? state.bestGlobalStep : nil
        let used = Set(inputs.losses.flatMap { names(of: $0.configured) })
        facts.citations = LossRegistry.all.filter { used.contains($0.name) && !$0.citation.isEmpty }.map {
            ($0.name, $0.citation)
        }
        return ModelCard(facts: facts).text
    }

    /// The names of a loss and of those inside it.
    private func names(of loss: ConfiguredLoss) -> [String] { [loss.name] + loss.loss.nested.flatMap(names) }

    /// The newest metrics of an evaluator under the keys `wanted`, if it has run; `logKey` gives their keys in the log.
    ///
    /// The card's metrics have no evaluator's id before them: leaderboards read `cosine_ndcg@10`.
    private func evaluation(
        _ evaluator: any Evaluator, _ wanted: [String], _ logKey: (String) -> String
    ) -> ModelCardFacts.Evaluation? {
        let line = state.logHistory.last { line in wanted.contains { line[logKey($0)] != nil } }
        guard let line else { return nil }
        let prefix = evaluator.name + "_"
        let isNamed = !evaluator.name.isEmpty && wanted.allSatisfy { $0.hasPrefix(prefix) }
        func bare(_ key: String) -> String {
            isNamed && key.hasPrefix(prefix) ? String(key.dropFirst(prefix.count)) : key
        }
        return ModelCardFacts.Evaluation(
            title: evaluator.title, className: type(of: evaluator).className, dataset: evaluator.name,
            configuration: evaluator.configuration,
            metrics: wanted.compactMap { key in line[logKey(key)]?.double.map { (bare(key), $0) } },
            primaryMetric: bare(evaluator.primaryMetric))
    }

    private func logLines() -> [ModelCardFacts.LogLine] {
        var lines: [ModelCardFacts.LogLine] = []
        for entry in state.logHistory {
            var values: [(column: String, value: Double)] = []
            if let loss = entry["loss"]?.double { values.append(("Training Loss", loss)) }
            for dataset in inputs.evalDatasets {
                let column = dataset.name.map { "\($0.replacing("_", with: " ")) loss" } ?? "Validation Loss"
                if let loss = entry["\(dataset.evaluationPrefix)_loss"]?.double { values.append((column, loss)) }
            }
            for evaluator in inputs.evaluators {
                if let value = entry[evaluationKey(evaluator.primaryMetric)]?.double {
                    values.append((evaluator.primaryMetric, value))
                }
            }
            guard let step = entry["step"]?.int, !values.isEmpty else { continue }
            if let last = lines.last, last.step == step {
                lines[lines.count - 1].values += values
            } else {
                lines.append(.init(epoch: entry["epoch"]?.double ?? 0, step: step, values: values))
            }
        }
        return lines
    }
}
