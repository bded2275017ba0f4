// One evaluation of a run: the loss on the evaluation data, then every evaluator, and whether the result is the best.

import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiObjectives

/// Evaluates the model of a run between its steps.
final class EvaluationRound {
    private let inputs: TrainingInputs
    private let objectives: [Objective]
    private let batches: RankBatches
    private let log: RunLog
    private let ensemble: any Ensemble

    /// The evaluations of a run.
    init(
        _ inputs: TrainingInputs, objectives: [Objective], batches: RankBatches, log: RunLog, ensemble: any Ensemble
    ) {
        self.inputs = inputs
        self.objectives = objectives
        self.batches = batches
        self.log = log
        self.ensemble = ensemble
    }

    /// Evaluates and logs the result. Collective.
    ///
    /// - Parameter choosesBest: whether the result may become the best so far; not before the first step.
    /// - Returns: whether the watched metric improved.
    @discardableResult
    func run(_ state: inout TrainerState, choosesBest: Bool = true) throws -> Bool {
        try log.pausing {
            var line = state.linePlace
            for dataset in inputs.evalDatasets {
                let result = try evaluateLoss(dataset)
                let prefix = dataset.evaluationPrefix
                line["\(prefix)_loss"] = .number(result.loss)
                line["\(prefix)_runtime"] = .number(result.seconds)
                line["\(prefix)_samples_per_second"] = .number(Double(result.rows) / max(result.seconds, 1e-9))
                line["\(prefix)_steps_per_second"] = .number(Double(result.batches) / max(result.seconds, 1e-9))
            }
            for evaluator in inputs.evaluators {
                for (key, value) in try metrics(of: evaluator, state) { line[evaluationKey(key)] = .number(value) }
            }
            // The reference joins several evaluators to a SequentialEvaluator, whose score is the last one's.
            if inputs.evaluators.count > 1, let last = inputs.evaluators.last,
                let score = line[evaluationKey(last.primaryMetric)]
            {
                line["eval_sequential_score"] = score
            }
            let improved = choosesBest && noteBest(line, &state)
            try log.write(line, &state)
            return improved
        }
    }

    /// The metrics of the test evaluators, under their keys of the closing line. Collective.
    func test(_ state: TrainerState) throws -> JSONObject {
        var line = JSONObject()
        for evaluator in inputs.testEvaluators {
            for (key, value) in try metrics(of: evaluator, state) {
                line[testKey(key)] = .number(value)
            }
        }
        return line
    }

    private func metrics(of evaluator: any Evaluator, _ state: TrainerState) throws -> [Metric] {
        let context = EvaluationContext(
            outputDirectory: inputs.outputDirectory, epoch: state.epoch, step: state.globalStep)
        return try evaluator.evaluate(model: inputs.model, ensemble: ensemble, context: context)
    }

    /// Mean loss over the evaluation data in file order, dropout off, weighted by rows. Collective.
    private func evaluateLoss(
        _ dataset: TrainingDataset
    ) throws -> (loss: Double, rows: Int, batches: Int, seconds: Double) {
        let started = PhaseClock.now()
        let (arguments, objective) = (inputs.arguments, objectives[dataset.loss])
        let plan = planDatasets(.proportional, count: 1, epoch: 0, seed: arguments.seed) { _, _ in
            planEpoch(
                .sequential, dataset.table, globalBatchSize: arguments.evalBatchRows(world: ensemble.size), epoch: 0,
                seed: arguments.seed, dropLast: false)
        }
        let source = batches.source([dataset], plan, from: 0, epoch: -1)
        var sum = 0.0
        let draw = LossDraw(seed: arguments.seed, step: .max)  // the same at every evaluation
        for index in 0..<plan.batchCount {
            let batch = try source.next()
            let pass = ObjectivePass(objective, batch, draw: draw, isTraining: false)
            let value = try pass.evaluate(weight: 1, ensemble: ensemble)
            sum += value * Double(plan.rows(index).count)
        }
        try withUnsafeMutablePointer(to: &sum) {
            try ensemble.allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        let rows = dataset.table.rowCount
        return (sum / Double(max(1, rows)), rows, plan.batchCount, PhaseClock.now() - started)
    }

    /// Compares the watched metric with the best so far.
    private func noteBest(_ line: JSONObject, _ state: inout TrainerState) -> Bool {
        let arguments = inputs.arguments
        guard arguments.loadBestModelAtEnd || arguments.metricForBestModel != nil || arguments.saveStrategy == .best
        else { return false }
        let name = arguments.bestMetricName
        // `checkBestMetric` has checked that an evaluation gives this metric; a NaN never counts as better.
        guard let value = (line[name] ?? line["eval_\(name)"])?.double, !value.isNaN else { return false }
        if let best = state.bestMetric, arguments.largerIsBetter ? value <= best : value >= best { return false }
        state.bestMetric = value
        state.bestGlobalStep = state.globalStep
        return true
    }
}

/// The key of an evaluator's metric in the log: "eval_" comes before it, unless it begins so.
func evaluationKey(_ key: String) -> String { key.hasPrefix("eval_") ? key : "eval_\(key)" }

/// The same for the evaluators of the final model: "test_" comes before it.
func testKey(_ key: String) -> String { key.hasPrefix("test_") ? key : "test_\(key)" }
