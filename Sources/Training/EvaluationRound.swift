// One evaluation of a run: the loss on the evaluation data, then every evaluator, and whether the result is the best.

import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports

/// Evaluates the model of a run between its steps.
final class EvaluationRound {
    private let inputs: TrainingInputs
    private let objectives: [Objective]
    private let batches: RankBatches
    private let log: RunLog
    private let ensemble: any Ensemble
    /// The batches of every evaluation data set, the same at every evaluation; none where the run never evaluates.
    private let plans: [MultiDatasetPlan]

    /// The evaluations of a run.
    ///
    /// - Parameter mayBeAsked: whether a callback may ask for one where the arguments plan none.
    /// - Throws: what training would throw of such data: labels that do not fit the sampler, rows that make no batch.
    init(
        _ inputs: TrainingInputs, objectives: [Objective], batches: RankBatches, mayBeAsked: Bool, log: RunLog,
        ensemble: any Ensemble
    ) throws(TuttiError) {
        self.inputs = inputs
        self.objectives = objectives
        self.batches = batches
        self.log = log
        self.ensemble = ensemble
        let evaluates = inputs.arguments.evalStrategy != .no || inputs.arguments.evalOnStart || mayBeAsked
        var plans: [MultiDatasetPlan] = []
        for dataset in inputs.evalDatasets where evaluates {
            plans.append(try Self.plan(inputs.arguments, dataset, world: ensemble.size))
        }
        self.plans = plans
    }

    /// The epoch of what evaluations draw, the same in all of them and none of training's.
    private static let drawingEpoch = -1

    /// The batches of an evaluation: those of the sampler that training uses, in its first epoch.
    private static func plan(
        _ arguments: TrainingArguments, _ dataset: TrainingDataset, world: Int
    ) throws(TuttiError) -> MultiDatasetPlan {
        let rows = arguments.evalBatchRows(world: world)
        try arguments.batchSampler.check(dataset.table, globalBatchSize: rows)
        let seed = arguments.dataSeed ?? arguments.seed
        let plan = planDatasets(.proportional, count: 1, epoch: 0, seed: seed) { _, _ in
            planEpoch(
                arguments.batchSampler, dataset.table.drawn(epoch: Self.drawingEpoch, seed: seed),
                globalBatchSize: rows, epoch: 0, seed: seed, dropLast: arguments.dataloaderDropLast)
        }
        guard plan.batchCount > 0 else {
            throw TuttiError(
                .data, "plan the batches of the evaluation", dataset.table.source,
                "\(dataset.table.rowCount) rows make no batch of \(rows)",
                hint: "Lower the evaluation batch size, or set dataloader_drop_last: false.")
        }
        return plan
    }

    /// Evaluates and logs the result. Collective.
    ///
    /// - Parameter choosesBest: whether the result may become the best so far; not before the first step.
    /// - Returns: whether the watched metric improved.
    @discardableResult
    func run(_ state: inout TrainerState, choosesBest: Bool = true) throws -> Bool {
        let started = PhaseClock.now()
        defer { state.evaluationSeconds += PhaseClock.now() - started }
        return try log.pausing(for: "evaluation") {
            var line = state.linePlace
            for (dataset, plan) in zip(inputs.evalDatasets, plans) { try evaluateLoss(dataset, plan, into: &line) }
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
            try log.write(LogLine(.evaluation, line, mainMetrics: mainMetrics), &state)
            return improved
        }
    }

    /// The metrics of the test evaluators under their keys of the closing line, and the keys of their main ones.
    /// Collective.
    func test(_ state: TrainerState) throws -> (metrics: JSONObject, mainMetrics: [String]) {
        var line = JSONObject()
        for evaluator in inputs.testEvaluators {
            for (key, value) in try metrics(of: evaluator, state) { line[testKey(key)] = .number(value) }
        }
        return (line, inputs.testEvaluators.map { testKey($0.primaryMetric) })
    }

    /// The keys by which an evaluation judges the model: the losses, the evaluators' primary metrics, the watched one.
    private var mainMetrics: [String] {
        inputs.evalDatasets.map { "\($0.evaluationPrefix)_loss" }
            + inputs.evaluators.map { evaluationKey($0.primaryMetric) } + [
                evaluationKey(inputs.arguments.bestMetricName)
            ]
    }

    private func metrics(of evaluator: any Evaluator, _ state: TrainerState) throws -> [Metric] {
        let context = EvaluationContext(
            outputDirectory: inputs.outputDirectory, epoch: state.epoch, step: state.globalStep)
        let task = evaluator.task
        let model = ObservedEncoding(inputs.model) { [log] done, total in
            log.tell { $0.worked(TaskProgress(task, done: done, of: total)) }
        }
        return try evaluator.evaluate(model: model, ensemble: ensemble, context: context)
    }

    /// The loss on a data set, dropout off. Collective.
    ///
    /// As in the reference, it is the mean over the rows of all batches, and its named parts are means over the batches.
    private func evaluateLoss(
        _ dataset: TrainingDataset, _ plan: MultiDatasetPlan, into line: inout JSONObject
    ) throws {
        let started = PhaseClock.now()
        let objective = objectives[dataset.loss]
        let source = try batches.source([dataset], plan, from: 0, epoch: Self.drawingEpoch)
        let draw = LossDraw(seed: inputs.arguments.seed, step: .max)  // the same at every evaluation
        var (sum, rows) = (0.0, 0)
        var report = StepReport()
        let task = "Evaluating the loss" + (dataset.name.map { " on \($0)" } ?? "")
        for index in 0..<plan.batchCount {
            log.tell { $0.worked(TaskProgress(task, done: index, of: plan.batchCount)) }
            if let isInterrupted = inputs.model.isInterrupted, try ensemble.agree(code: isInterrupted() ? 1 : 0) != 0 {
                throw TuttiError.interruption
            }
            let batch = try source.next()
            let pass = ObjectivePass(objective, batch, draw: draw, isTraining: false)
            let value = try pass.evaluate(weight: 1, ensemble: ensemble)
            report.add(value, parts: objective.loss.parts, count: plan.batchCount)
            sum += value * Double(plan.rows(index).count)
            rows += plan.rows(index).count
        }
        log.tell { $0.worked(TaskProgress(task, done: plan.batchCount, of: plan.batchCount)) }
        try withUnsafeMutablePointer(to: &sum) {
            try ensemble.allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        var parts = LossPartSums()
        try parts.add(report.parts, among: ensemble)
        let (prefix, seconds) = (dataset.evaluationPrefix, max(PhaseClock.now() - started, 1e-9))
        line["\(prefix)_loss"] = .number(sum / Double(max(1, rows)))
        for (name, mean) in parts.means { line["\(prefix)_\(name)"] = .number(mean) }
        line["\(prefix)_runtime"] = .number(seconds)
        line["\(prefix)_samples_per_second"] = .number(Double(rows) / seconds)
        line["\(prefix)_steps_per_second"] = .number(Double(plan.batchCount) / seconds)
    }

    /// Compares the watched metric with the best so far.
    private func noteBest(_ line: JSONObject, _ state: inout TrainerState) -> Bool {
        let arguments = inputs.arguments
        guard arguments.watchesMetric else { return false }
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
