// What a run writes between steps: training lines, evaluations, the closing line.

import TuttiCorpus
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiObjectives

extension Trainer {
    /// Logs the mean loss since the last line with the last step's norm and rate.
    func log() throws {
        var line = JSONObject()
        line["step"] = .integer(Int64(state.globalStep))
        line["epoch"] = .number(state.epoch)
        line["loss"] = .number(state.lossSum / Double(max(1, state.lossSteps)))
        for (name, mean) in state.parts.means { line[name] = .number(mean) }
        line["grad_norm"] = .number(lastReport.gradientNorm)
        line["learning_rate"] = .number(lastReport.learningRate)
        addTimes(to: &line)
        state.lossSum = 0
        state.lossSteps = 0
        let parts = state.parts.means.map(\.name)
        state.parts = LossPartSums()
        try write(line, historyKeys: ["epoch", "grad_norm", "learning_rate", "loss", "step"] + parts)
    }

    /// Tokens and main-thread seconds a step, by phase, over the steps since the last line.
    private func addTimes(to line: inout JSONObject) {
        clock.enter(.other)
        let steps = Double(max(1, stepsOnClock))
        let seconds = clock.total
        line["tokens"] = .integer(Int64(state.tokensSinceLog))
        line["tokens_per_second"] = .number(Double(tokensOnClock) / max(seconds, 1e-9))
        line["step_seconds"] = .number(seconds / steps)
        var phases = JSONObject()
        for phase in StepPhase.allCases { phases["\(phase)"] = .number(clock.seconds(in: phase) / steps) }
        line["seconds"] = .object(phases)
        state.tokensSinceLog = 0
        stepsOnClock = 0
        tokensOnClock = 0
        clock.reset()
    }

    /// Evaluates: the loss on the evaluation data, then every evaluator. Collective.
    ///
    /// - Parameter choosesBest: whether the result may become the best so far; not before the first step.
    /// - Returns: whether the watched metric improved.
    @discardableResult
    func evaluate(choosesBest: Bool = true) throws -> Bool {
        clock.enter(.other)
        let paused = clock
        var line = JSONObject()
        line["step"] = .integer(Int64(state.globalStep))
        line["epoch"] = .number(state.epoch)
        for dataset in inputs.evalDatasets {
            let result = try evaluateLoss(dataset)
            let prefix = dataset.evaluationPrefix
            line["\(prefix)_loss"] = .number(result.loss)
            line["\(prefix)_runtime"] = .number(result.seconds)
            line["\(prefix)_samples_per_second"] = .number(Double(result.rows) / max(result.seconds, 1e-9))
            line["\(prefix)_steps_per_second"] = .number(Double(result.batches) / max(result.seconds, 1e-9))
        }
        let context = EvaluationContext(
            outputDirectory: inputs.outputDirectory, epoch: state.epoch, step: state.globalStep)
        for evaluator in inputs.evaluators {
            for (key, value) in try evaluator.evaluate(model: inputs.model, ensemble: ensemble, context: context) {
                line[evaluationKey(key)] = .number(value)
            }
        }
        // The reference joins several evaluators to a SequentialEvaluator, whose score is the last one's.
        if inputs.evaluators.count > 1, let last = inputs.evaluators.last,
            let score = line[evaluationKey(last.primaryMetric)]
        {
            line["eval_sequential_score"] = score
        }
        let improved = choosesBest && noteBest(line)
        try write(line, historyKeys: nil)
        clock = paused  // evaluation is no part of a training step's time
        clock.skip()
        return improved
    }

    /// Mean loss over the evaluation data in file order, dropout off, weighted by rows. Collective.
    private func evaluateLoss(
        _ dataset: TrainingDataset
    ) throws -> (loss: Double, rows: Int, batches: Int, seconds: Double) {
        let started = PhaseClock.now()
        let (arguments, objective) = (inputs.arguments, objectives[dataset.loss])
        let batches = planDatasets(.proportional, count: 1, epoch: 0, seed: arguments.seed) { _, _ in
            planEpoch(
                .sequential, dataset.table, globalBatchSize: arguments.evalBatchRows(world: ensemble.size), epoch: 0,
                seed: arguments.seed, dropLast: false)
        }
        let source = source([dataset], batches, from: 0, epoch: -1)
        var sum = 0.0
        let draw = LossDraw(seed: arguments.seed, step: .max)  // the same at every evaluation
        for index in 0..<batches.batchCount {
            let batch = try source.next()
            objective.encode(batch, draw: draw, isTraining: false)
            let value = try objective.evaluate(batch, draw: draw, weight: 1, ensemble: ensemble)
            sum += value * Double(batches.rows(index).count)
        }
        try withUnsafeMutablePointer(to: &sum) {
            try ensemble.allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        let rows = dataset.table.rowCount
        return (sum / Double(max(1, rows)), rows, batches.batchCount, PhaseClock.now() - started)
    }

    /// Compares the watched metric with the best so far.
    private func noteBest(_ line: JSONObject) -> Bool {
        let arguments = inputs.arguments
        guard arguments.loadBestModelAtEnd || arguments.metricForBestModel != nil || arguments.saveStrategy == .best
        else { return false }
        let name = arguments.bestMetricName
        // `init` has checked that an evaluation gives this metric; a NaN never counts as better.
        guard let value = (line[name] ?? line["eval_\(name)"])?.double, !value.isNaN else { return false }
        if let best = state.bestMetric, arguments.largerIsBetter ? value <= best : value >= best { return false }
        state.bestMetric = value
        state.bestGlobalStep = state.globalStep
        return true
    }

    /// Appends a line to the metrics file and the history; rank zero writes, all ranks learn of a failure.
    func write(_ line: JSONObject, historyKeys: [String]?) throws {
        var entry = JSONObject()
        for key in historyKeys ?? line.keys { entry[key] = line[key] }
        state.logHistory.append(entry)
        let metrics = metrics
        try ensemble.onRoot { try metrics.append(line) }
        onRootOnly { $0.logged(line) }
    }
}

/// The key of an evaluator's metric in the log: "eval_" comes before it, unless it begins so.
func evaluationKey(_ key: String) -> String { key.hasPrefix("eval_") ? key : "eval_\(key)" }

/// The same for the evaluators of the final model: "test_" comes before it.
func testKey(_ key: String) -> String { key.hasPrefix("test_") ? key : "test_\(key)" }
