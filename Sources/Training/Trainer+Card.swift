// The model card of a run: what the model knows of itself, plus how it was trained and what it reached.

import Foundation
import TuttiEvaluation
import TuttiFormats
import TuttiModels
import TuttiObjectives

extension Trainer {
    /// README.md of the model as it is now.
    func modelCard() -> String {
        var facts = inputs.model.modelCardFacts()
        addUserFacts(to: &facts)
        func card(_ dataset: TrainingDataset) -> ModelCardFacts.Dataset {
            let (table, loss) = (dataset.table, inputs.losses[dataset.loss])
            return ModelCardFacts.Dataset(
                name: dataset.title, rowCount: table.rowCount,
                columns: table.columnNames + (table.labelName.map { [$0] } ?? []),
                lossName: loss.configured.name, lossOptions: loss.description)
        }
        facts.trainDatasets = inputs.trainDatasets.map(card)
        facts.evalDatasets = inputs.evalDatasets.map(card)
        for evaluator in inputs.evaluators {
            var told: Set<String> = []
            for part in evaluator.reported {
                let keys = part.metricKeys.filter { told.insert($0).inserted }
                if let evaluation = evaluation(part, keys) { facts.evaluations.append(evaluation) }
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

    /// `model_card:` of the configuration.
    private func addUserFacts(to facts: inout ModelCardFacts) {
        let given = inputs.cardFacts
        func texts(_ key: String) -> [String] {
            given[key]?.array?.compactMap(\.string) ?? given[key]?.string.map { [$0] } ?? []
        }
        facts.languages = texts("language")
        facts.license = given["license"]?.string ?? ""
        facts.modelName = given["model_name"]?.string ?? ""
        facts.tags = texts("tags")
    }

    /// The newest metrics of an evaluator under the keys `wanted`, if it has run.
    private func evaluation(_ evaluator: any Evaluator, _ wanted: [String]) -> ModelCardFacts.Evaluation? {
        let line = state.logHistory.last { line in wanted.contains { line[evaluationKey($0)] != nil } }
        guard let line else { return nil }
        return ModelCardFacts.Evaluation(
            title: evaluator.title, className: type(of: evaluator).className, dataset: evaluator.name,
            configuration: evaluator.configuration,
            metrics: wanted.compactMap { key in line[evaluationKey(key)]?.double.map { (key, $0) } },
            primaryMetric: evaluator.primaryMetric)
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
