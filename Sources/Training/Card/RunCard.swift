// The model card of a run: what the model knows of itself, plus how it was trained and what it reached.
//
// Rank zero makes it, while the weights that are saved are in the model, and no failure of it ends a run: what cannot be
// computed is left out with a notice.

import Foundation
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// The model card of a run at a moment of it.
struct RunCard {
    private let inputs: TrainingInputs
    private let data: DataFacts
    private let state: TrainerState
    private let ensemble: any Ensemble
    /// Whether the weights are the final ones.
    private let isFinal: Bool
    private let notice: (String) -> Void

    /// The card of a run with `data` in the state `state`; `notice` gets a line about what is left out.
    init(
        _ inputs: TrainingInputs, _ data: DataFacts, _ state: TrainerState, isFinal: Bool, ensemble: any Ensemble,
        notice: @escaping (String) -> Void
    ) {
        self.inputs = inputs
        self.data = data
        self.state = state
        self.isFinal = isFinal
        self.ensemble = ensemble
        self.notice = notice
    }

    /// README.md of the model as it is now. Rank zero only.
    var text: String {
        var facts = inputs.model.modelCardFacts()
        facts.trainDatasets = data.train
        facts.evalDatasets = data.eval
        inputs.card.describe(&facts)
        let losses = LossCard.unique(inputs.losses.map(\.configured))
        facts.losses = losses.map(\.name)
        facts.citations = losses.map { ($0.name, LossCard(loss: $0).citation) }.filter { !$0.1.isEmpty }
        addEvaluations(to: &facts)
        let (changed, all) = inputs.arguments.hyperparameters()
        facts.changedArguments = changed
        facts.allArguments = all
        facts.log = logLines()
        facts.bestStep = isFinal && inputs.arguments.loadBestModelAtEnd ? state.bestGlobalStep : nil
        facts.time = (state.seconds, state.evaluationSeconds)
        facts.versions = versions
        addExamples(to: &facts)
        return ModelCard(facts: facts).text
    }

    /// Examples of the data, and the code with some of them and their similarities.
    private func addExamples(to facts: inout ModelCardFacts) {
        facts.widget = data.widget.examples
        facts.usage.texts = data.widget.texts
        let columns = Set(inputs.trainDatasets.flatMap { $0.table.columnNames })
        let searches = facts.evaluations.contains {
            ["InformationRetrievalEvaluator", "NanoBEIREvaluator"].contains($0.className)
        }
        if searches || !columns.isDisjoint(with: ["query", "question"]) { facts.usage.isRetrieval = true }
        guard inputs.card.generatesExamples else { return }
        let model = inputs.model
        let isInterrupted = model.isInterrupted
        model.isInterrupted = nil  // a run that was asked to stop still saves a whole card
        defer { model.isInterrupted = isInterrupted }
        do {
            try facts.usage.compare(by: model)
        } catch {
            notice("The model card has no similarities: \((error as? TuttiError)?.problem ?? "\(error)").")
        }
    }

    // MARK: Evaluations and log

    private func addEvaluations(to facts: inout ModelCardFacts) {
        for (evaluators, logKey) in [(inputs.evaluators, evaluationKey), (inputs.testEvaluators, testKey)] {
            for evaluator in evaluators {
                var reported: Set<String> = []
                for part in evaluator.reported {
                    let keys = part.metricKeys.filter { reported.insert($0).inserted }
                    if let evaluation = evaluation(part, keys, logKey) { facts.evaluations.append(evaluation) }
                }
            }
        }
    }

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
            values += primaryMetrics(inputs.evaluators, in: entry, evaluationKey)
            for dataset in inputs.evalDatasets {
                let column = dataset.name.map { "\($0.replacing("_", with: " ")) loss" } ?? "Validation Loss"
                if let loss = entry["\(dataset.evaluationPrefix)_loss"]?.double { values.append((column, loss)) }
            }
            if let step = entry["step"]?.int, !values.isEmpty {
                if let last = lines.last, last.step == step {
                    lines[lines.count - 1].values += values
                } else {
                    lines.append(.init(epoch: entry["epoch"]?.double ?? 0, step: step, values: values))
                }
            }
            // As of a model that is evaluated after training.
            let test = primaryMetrics(inputs.testEvaluators, in: entry, testKey)
            if !test.isEmpty { lines.append(.init(epoch: -1, step: -1, values: test)) }
        }
        return lines
    }

    /// The metrics of a line of the log by which evaluators compare models; each evaluator that the card tells of has one.
    private func primaryMetrics(
        _ evaluators: [any Evaluator], in line: JSONObject, _ logKey: (String) -> String
    ) -> [(column: String, value: Double)] {
        var keys: [String] = []
        for key in evaluators.flatMap(\.reported).map(\.primaryMetric) where !keys.contains(key) { keys.append(key) }
        return keys.compactMap { key in line[logKey(key)]?.double.map { (key, $0) } }
    }

    // MARK: Versions

    private var versions: [(name: String, version: String)] {
        var versions = [("Tutti", tuttiVersion), ("Swift", swiftVersion)]
        if let processes = ensemble as? any ProcessEnsemble { versions.append(("MPI", processes.library)) }
        // "OpenBLAS 0.3.21 NO_LAPACKE ...": its name and version.
        for library in Gemm.libraries.split(separator: ";") {
            versions.append(("BLAS", library.split(separator: " ").prefix(2).joined(separator: " ")))
        }
        return versions
    }
}
