// Checkpoints, resuming, and the end of a run.

import Foundation
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels

extension Trainer {
    private var surroundings: Surroundings {
        Surroundings(
            world: ensemble.size, batchRows: inputs.arguments.trainBatchRows(world: ensemble.size),
            gemmProvider: Gemm.choice.description, threads: Parallel.threads, blasCoreType: Gemm.coreType)
    }

    /// Writes a checkpoint of the current step and rotates older ones. Collective.
    ///
    /// - Parameter isRequested: asked for by a signal: resumable even with `save_only_model`.
    func save(isRequested: Bool = false) throws {
        clock.enter(.other)
        let paused = clock
        if state.bestGlobalStep == state.globalStep { state.bestCheckpoint = "checkpoint-\(state.globalStep)" }
        let (state, inputs, directory) = (state, inputs, directory)
        let optimizer = inputs.arguments.saveOnlyModel && !isRequested ? nil : step.memory.state
        let (surroundings, card) = (surroundings, modelCard())
        let name = try ensemble.onRoot {
            let name = try Checkpoint.write(
                directory: directory.path, model: inputs.model, card: card, optimizer: optimizer, state: state,
                arguments: inputs.arguments, surroundings: surroundings, identity: directory.identity)
            try Checkpoint.rotate(
                in: directory.path, upTo: state.globalStep, limit: inputs.arguments.saveTotalLimit, best: state.bestCheckpoint)
            return name
        }
        onRootOnly { $0.saved(directory.path + "/" + name) }
        clock = paused
        clock.skip()
    }

    /// Goes back to the newest valid checkpoint of this run, if there is one. Collective.
    func resumeIfPossible(_ start: RunStart) throws {
        guard start == .resume else { return }
        let (directory, metrics, observer) = (directory, metrics, observer)
        let path = try ensemble.onRoot {
            try Checkpoint.removeUnfinished(in: directory.path)
            let newest = try Checkpoint.newest(in: directory.path, identity: directory.identity) { observer.notice($0) }
            try metrics.rewind(to: newest?.state.globalStep ?? -1)
            return newest?.path ?? ""
        }
        if path.isEmpty {
            onRootOnly { $0.notice("No checkpoint yet in \(directory.path): starting from the beginning.") }
            return
        }
        let before = try ensemble.together("resume") { try self.restore(from: path) }
        try takeGemm(from: before["gemm_provider"]?.string ?? "")
        noteDifferences(from: before)
    }

    /// Takes an earlier choice of providers if this one was automatic and every rank has them: the same bits as without
    /// the interruption, whatever is fastest today. `text` is equal on all ranks. Collective.
    func takeGemm(from text: String) throws {
        guard inputs.gemmIsAutomatic, let choice = GemmChoice(text: text) else { return }
        let today = Gemm.choice
        guard try ensemble.agree(code: choice.isAvailable ? 0 : 1) == 0, choice != today else { return }
        Gemm.choice = choice
        onRootOnly { $0.notice("Matrix products: \(choice), as the run began with.") }
    }

    /// Loads weights, optimizer state and counters of a checkpoint; returns its surroundings.
    private func restore(from path: String) throws -> JSONObject {
        guard let checkpoint = Checkpoint.validate(path, identity: directory.identity) else {
            throw TuttiError(
                .data, "resume", path, "this rank cannot read the checkpoint that rank zero found",
                hint: "Every rank must see the same output_dir.")
        }
        let rows = inputs.arguments.trainBatchRows(world: ensemble.size)
        if let before = checkpoint.surroundings["global_train_batch_size"]?.int, before != rows {
            throw TuttiError(
                .usage, "resume", path, "the global batch had \(before) rows and would now have \(rows)",
                hint: "Start with the same number of ranks, or set args.global_train_batch_size from the beginning.")
        }
        if step.memory.isWriter {
            try restoreWeights(from: path)
            try step.memory.state.load(from: path + "/optimizer.safetensors", layout: step.encoder.layout)
        }
        let maxSteps = state.maxSteps
        state = checkpoint.state
        if state.lossUpdates.count != objectives.count {
            state.lossUpdates = objectives.map { _ in state.globalStep }  // from before losses were counted one by one
        }
        if let best = state.bestCheckpoint, !FileManager.default.fileExists(atPath: directory.path + "/" + best) {
            state.bestCheckpoint = nil  // rotated away after the damaged checkpoint that this one stands in for
            state.bestMetric = nil
            state.bestGlobalStep = nil
        }
        state.maxSteps = maxSteps
        for evaluator in inputs.evaluators {
            if let first = firstMetrics(of: evaluator) { evaluator.recall(first) }
        }
        return checkpoint.surroundings
    }

    /// What an evaluator gave when it first ran; nil if it has not run yet.
    private func firstMetrics(of evaluator: any Evaluator) -> [Metric]? {
        let keys = evaluator.metricKeys
        guard let line = state.logHistory.first(where: { line in keys.contains { line[evaluationKey($0)] != nil } })
        else { return nil }
        return keys.compactMap { key in line[evaluationKey(key)]?.double.map { (key, $0) } }
    }

    /// Takes the weights of a checkpoint, the loss's own parameters among them.
    private func restoreWeights(from path: String) throws(TuttiError) {
        try inputs.model.restoreWeights(from: path)
        try LossFile.load(from: path, into: inputs.model.encoder.parameters)
    }

    /// Tells what is not as it was when the checkpoint was written.
    private func noteDifferences(from before: JSONObject) {
        let now = surroundings.json()
        for key in ["world_size", "gemm_provider", "threads", "blas_core_type"] where before[key] != now[key] {
            onRootOnly {
                $0.notice(
                    "\(key) was \(before[key]?.serialized() ?? "unknown") and is "
                        + "\(now[key]?.serialized() ?? "unknown"): the run goes on, but not to the last bit.")
            }
        }
    }

    /// Takes the best weights if asked to, writes `final/`, runs the test evaluators and the closing line. Collective.
    func finish() throws {
        if inputs.arguments.loadBestModelAtEnd, state.bestCheckpoint == nil {
            onRootOnly { $0.notice("No evaluation chose a best checkpoint: the final model is that of the last step.") }
        }
        if inputs.arguments.loadBestModelAtEnd, let best = state.bestCheckpoint {
            let path = directory.path + "/" + best
            try ensemble.together("load the best model") {
                if step.memory.isWriter { try self.restoreWeights(from: path) }
            }
            onRootOnly { $0.notice("Best model: \(best), \(inputs.arguments.bestMetricName) "
                + "\(state.bestMetric.map { "\($0)" } ?? "").") }
        }
        var closing = JSONObject()
        let context = EvaluationContext(
            outputDirectory: inputs.outputDirectory, epoch: state.epoch, step: state.globalStep)
        for evaluator in inputs.testEvaluators {
            for (key, value) in try evaluator.evaluate(model: inputs.model, ensemble: ensemble, context: context) {
                closing[testKey(key)] = .number(value)
            }
        }
        let runtime = PhaseClock.now() - startedAt
        closing["step"] = .integer(Int64(state.globalStep))
        closing["epoch"] = .number(state.epoch)
        closing["train_loss"] = .number(state.totalLoss / Double(max(1, state.globalStep)))
        closing["train_runtime"] = .number(runtime)
        closing["train_samples_per_second"] = .number(Double(rowsTrained) / max(runtime, 1e-9))
        closing["train_steps_per_second"] = .number(Double(stepsTrained) / max(runtime, 1e-9))
        try write(closing, historyKeys: nil)
        let (model, card, directory) = (inputs.model, modelCard(), directory)
        try ensemble.onRoot {
            let path = directory.path + "/final"
            if FileManager.default.fileExists(atPath: path) { try Checkpoint.remove(path) }
            try AtomicWrite.directory(finalPath: path) {
                try model.save(to: $0, card: card)
                try LossFile.save(to: $0, from: model.encoder.parameters)
            }
            try directory.finish()
        }
        onRootOnly { $0.saved(directory.path + "/final") }
    }
}
