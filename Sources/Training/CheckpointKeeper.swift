// What a run keeps on disk: its checkpoints, going back to one, and the finished model.

import Foundation
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiReports

/// Writes and reads what a run keeps.
final class CheckpointKeeper {
    private(set) var directory: RunDirectory
    private let inputs: TrainingInputs
    private let memory: TrainingMemory
    private let weights: EvaluationWeights
    private let replicas: ReplicaCheck
    private let log: RunLog
    private let ensemble: any Ensemble
    private let writer: CheckpointWriter
    /// What is told of the data; on rank zero, once the run has begun.
    private var data: DataFacts?

    /// The keeper of a run whose parameters and optimizer state are in `memory`.
    ///
    /// `digests` are those of the run's inputs.
    init(
        _ inputs: TrainingInputs, digests: [RunInput], batch: KeptBatch, lastStep: Int, memory: TrainingMemory,
        weights: EvaluationWeights, replicas: ReplicaCheck, log: RunLog, ensemble: any Ensemble
    ) {
        self.inputs = inputs
        self.memory = memory
        self.weights = weights
        self.replicas = replicas
        self.log = log
        self.ensemble = ensemble
        writer = CheckpointWriter(memory, isWanted: inputs.arguments.saveInBackground, log: log)
        directory = RunDirectory(
            path: inputs.outputDirectory, configuration: comparedConfiguration(inputs), inputs: digests,
            batch: batch, lastStep: lastStep, rowsOfStep: batch.train * inputs.arguments.gradientAccumulationSteps)
    }

    // MARK: The directory

    /// Takes the output directory for this process and looks which run it holds. Collective.
    func takeDirectory() throws -> RunStart {
        let found = try ensemble.onRoot { () throws -> FoundRun in
            let stop = inputs.stop
            try directory.take(overwrite: inputs.overwrite, times: inputs.lockTimes, notice: log.notice) {
                stop.ask(.stopAtOnce)
            }
            let start = try directory.start(overwrite: inputs.overwrite, notice: log.notice)
            return FoundRun(start: start, identity: directory.identity, isContinued: directory.isContinued)
        }
        directory.adopt(found)
        log.beforeWriting = { [directory, writer] in
            try directory.checkIsHeld()
            try writer.poll()
        }
        return found.start
    }

    /// Gives the directory up, after the checkpoint that is being written.
    func release() {
        do throws(TuttiError) { try writer.finish() } catch {}  // a run that did not fail has asked before
        directory.release()
    }

    private var surroundings: Surroundings {
        Surroundings(
            world: ensemble.size, batchRows: directory.batch.train,
            gemmProvider: Gemm.choice.description, threads: Parallel.threads, blasCoreType: Gemm.coreType,
            halfProducts: inputs.model.encoder.halfProducts?.rawValue)
    }

    /// The model card, which tells of the batch that was found. Rank zero only.
    private func card(_ state: TrainerState, isFinal: Bool) -> String {
        var inputs = inputs
        if let search = directory.batch.search { inputs.arguments.perDeviceTrainBatchSize = search.found }
        return RunCard(inputs, facts(), state, isFinal: isFinal, ensemble: ensemble, notice: log.notice).text
    }

    /// Finds out what is told of the data, and writes it down for pages. Collective.
    func describeData() throws {
        try ensemble.onRoot { () throws(TuttiError) in try DataSummary.write(facts().summaries, in: directory.path) }
    }

    private func facts() -> DataFacts {
        let facts = data ?? DataFacts(inputs, notice: log.notice)
        data = facts
        return facts
    }

    // MARK: Saving

    /// Takes a checkpoint of the current step. Where there is memory for a copy, it is written beside training. Collective.
    ///
    /// - Parameters:
    ///   - isRequested: asked for by a signal: resumable even with `save_only_model`, and written on return.
    ///   - waits: whether to return only when the checkpoint is written.
    func save(_ state: inout TrainerState, isRequested: Bool = false, waits: Bool = false) throws {
        try log.pausing(for: "saving") {
            try weights.during { try write(&state, isRequested: isRequested) }
            if isRequested || waits { try finishWriting() }
        }
    }

    private func write(_ state: inout TrainerState, isRequested: Bool) throws {
        try replicas.beforeSaving(state.globalStep)
        let name = "checkpoint-\(state.globalStep)"
        if state.bestGlobalStep == state.globalStep { state.bestCheckpoint = name }
        var source: CheckpointWriter.Source?
        try ensemble.onRoot {
            try directory.checkIsHeld()
            source = try writer.prepare()
        }
        let keepsState = !inputs.arguments.saveOnlyModel || isRequested
        let optimizer = try keepsState ? optimizerFile(step: state.globalStep, of: source?.state) : nil
        try ensemble.onRoot {
            guard let source else { return }
            let draft = CheckpointDraft(
                directory: directory.path, model: inputs.model, parameters: source.parameters,
                card: card(state, isFinal: false), optimizer: optimizer,
                gathered: gatheredPath(step: state.globalStep),
                state: state, arguments: inputs.arguments,
                surroundings: surroundings, identity: directory.identity, earlier: writer.newest)
            try writer.write(draft, from: source, name: name)
        }
    }

    /// Returns when no checkpoint is being written; what went wrong with one is every rank's error. Collective.
    func finishWriting() throws { try ensemble.onRoot { try writer.finish() } }

    /// What makes the file of the optimizer's state on rank zero, from `state` where one memory has all of it. State that
    /// several memories keep together is gathered now, into a file that is moved later. Collective.
    private func optimizerFile(step: Int, of state: OptimizerState?) throws -> (String) throws(TuttiError) -> Void {
        let layout = memory.parameters.layout
        guard memory.state.isSharded else {
            return { (path: String) throws(TuttiError) in try state?.save(to: path, layout: layout) }
        }
        let gathered = gatheredPath(step: step)
        do {
            try memory.state.saveTogether(to: gathered, layout: layout, among: ensemble)
        } catch {
            if ensemble.isRoot { do throws(TuttiError) { try AtomicWrite.removeTree(gathered) } catch {} }
            throw error
        }
        return { (path: String) throws(TuttiError) in
            do {
                try FileManager.default.moveItem(atPath: gathered, toPath: path)
            } catch {
                throw TuttiError(.retryable, "write a checkpoint", path, "\(error.localizedDescription)")
            }
        }
    }

    /// Where gathered state waits; what a killed save leaves there is removed with its unfinished checkpoints.
    private func gatheredPath(step: Int) -> String { "\(directory.path)/checkpoint-\(step)-optimizer.tmp" }

    /// The folder of the checkpoint of the current step.
    func path(of state: TrainerState) -> String { "\(directory.path)/checkpoint-\(state.globalStep)" }

    /// Writes `final/`. Collective.
    func saveFinal(_ state: TrainerState) throws {
        ensemble.ownActivity?.enter("saving")
        try finishWriting()
        try replicas.beforeSaving(state.globalStep)
        let model = inputs.model
        try ensemble.onRoot {
            try directory.checkIsHeld()
            let card = self.card(state, isFinal: true)
            let path = directory.path + "/final"
            if FileManager.default.fileExists(atPath: path) { try Checkpoint.remove(path) }
            try AtomicWrite.directory(finalPath: path) {
                try model.save(to: $0, card: card)
                try LossFile.save(to: $0, from: model.encoder.parameters)
            }
        }
        log.tell { $0.saved(directory.path + "/final") }
    }

    /// Marks the run as finished, reports included: until then a run that is killed resumes. Collective.
    func finish() throws {
        try ensemble.onRoot {
            try directory.checkIsHeld()
            try directory.finish()
        }
    }

    // MARK: Going back

    /// Refuses to begin anew where `resume_from_checkpoint` is true, before anything is written. Collective.
    func checkResumption() throws {
        guard inputs.arguments.resumeFromCheckpoint == .required else { return }
        let path = inputs.outputDirectory
        try ensemble.onRoot {
            guard try inputs.overwrite || Checkpoint.steps(in: path).isEmpty else { return }
            throw TuttiError(
                .usage, "resume", "args.resume_from_checkpoint: true", "\(path) holds no checkpoint",
                hint: "Name one: resume_from_checkpoint: PATH, or remove the key to begin anew.")
        }
    }

    /// Goes back to the newest valid checkpoint of this run, or else to the one that the arguments name. Collective.
    func resume(_ state: inout TrainerState, _ start: RunStart) throws {
        if start == .resume {
            if try resumeOwn(&state) { return }
        } else {
            // Reports may have files of a run that was overwritten, or write elsewhere.
            try ensemble.onRoot { try log.rewind(to: nil) }
        }
        guard case .path(let path) = inputs.arguments.resumeFromCheckpoint else { return }
        try ensemble.onRoot {
            guard FileManager.default.fileExists(atPath: path + "/tutti_state.json") else {
                throw TuttiError(
                    .missingFile, "resume", path, "is not a checkpoint of Tutti: it holds no tutti_state.json",
                    hint: "args.resume_from_checkpoint names the folder of one, such as runs/first/checkpoint-500.")
            }
        }
        try goBack(to: path, &state, isOwn: false)
        state.isStopped = false
        log.notice("Going on from \(path), after step \(state.globalStep).")
    }

    /// Goes back to the newest valid checkpoint of the output directory; false if there is none. Collective.
    private func resumeOwn(_ state: inout TrainerState) throws -> Bool {
        let path = try ensemble.onRoot {
            try Checkpoint.removeUnfinished(in: directory.path)
            let newest = try Checkpoint.newest(
                in: directory.path, identity: directory.identity, saysUnsealed: !directory.isToldOfEarlierVersion,
                mending: mend, notice: log.notice)
            let metrics = directory.path + "/metrics.jsonl"
            if let newest, !newest.state.logHistory.isEmpty, !FileManager.default.fileExists(atPath: metrics) {
                log.notice(
                    "\(metrics) is gone: it will have no lines of the first \(newest.state.globalStep) steps. What was "
                        + "logged of them is in \(newest.path)/trainer_state.json.")
            }
            try log.rewind(to: newest?.state)
            return newest?.path ?? ""
        }
        if path.isEmpty {
            log.notice("No checkpoint yet in \(directory.path): starting from the beginning.")
            return false
        }
        try goBack(to: path, &state, isOwn: true)
        if directory.isContinued { state.isStopped = false }
        return true
    }

    /// Writes a tokenizer file of a checkpoint anew: checkpoints share these files, and a damaged one is no loss.
    private func mend(_ path: String, _ name: String, _ digest: String) -> Bool {
        guard let bytes = inputs.model.tokenizerFile(name),
            bytes.withUnsafeBytes({ Digest.of($0).hexadecimal }) == digest
        else { return false }
        do throws(TuttiError) {
            try AtomicWrite.file(path: path + "/" + name, bytes: bytes)
            log.notice("\(path)/\(name) was damaged, and is written anew.")
            return true
        } catch {
            return false
        }
    }

    /// Takes everything from a checkpoint, one of this run or of another. Collective.
    private func goBack(to path: String, _ state: inout TrainerState, isOwn: Bool) throws {
        var found = state
        let before = try ensemble.together("resume") { try restore(from: path, &found, isOwn: isOwn) }
        state = found
        weights.noteRestored()
        try weights.putBack()
        try takeGemm(from: before["gemm_provider"]?.string ?? "")
        noteDifferences(from: before)
    }

    /// Takes the choice of providers that the run began with. Collective.
    func takeGemm() throws {
        let directory = directory
        try takeGemm(from: try ensemble.onRoot { try directory.gemmChoice() ?? "" })
    }

    /// Makes blocks of attention for the cache that the run began with, or rank zero's: the same bits on any processor.
    /// Collective.
    func takeCache() throws {
        let (directory, compute) = (directory, inputs.model.encoder.compute)
        let bytes = try ensemble.onRoot { try directory.cacheBytes() ?? compute.cacheBytes }
        guard Compute.isCache(bytes), bytes != compute.cacheBytes else { return }
        log.notice(
            "Attention: blocks for a cache of \(bytes >> 10) KiB, as the run began with; this processor's has "
                + "\(compute.cacheBytes >> 10) KiB.")
        compute.cacheBytes = bytes
    }

    /// Takes an earlier choice of providers if this one was automatic and every rank has them: the same bits as without
    /// the interruption, whatever is fastest today. `text` is equal on all ranks. Collective.
    private func takeGemm(from text: String) throws {
        guard inputs.gemmIsAutomatic, let choice = GemmChoice(text: text) else { return }
        let today = Gemm.choice
        guard try ensemble.agree(code: choice.isAvailable ? 0 : 1) == 0, choice != today else { return }
        inputs.model.encoder.compute.products = choice
        log.notice("Matrix products: \(choice), as the run began with.")
        for line in GemmOption.remarks(onKept: choice, for: inputs.model) { log.notice(line) }
    }

    /// Loads weights, optimizer state and counters of a checkpoint; returns its surroundings.
    private func restore(from path: String, _ state: inout TrainerState, isOwn: Bool) throws -> JSONObject {
        guard let checkpoint = try Checkpoint.validate(path, identity: isOwn ? directory.identity : nil),
            isOwn || checkpoint.isResumable
        else {
            throw TuttiError(
                .data, "resume", path,
                isOwn
                    ? "this rank cannot read the checkpoint that rank zero found"
                    : "is damaged, or holds no optimizer state",
                hint: isOwn ? "Every rank must see the same output_dir." : "Name another checkpoint.")
        }
        let rows = directory.batch.train
        if let before = checkpoint.surroundings["global_train_batch_size"]?.int, before != rows {
            throw TuttiError(
                .usage, "resume", path, "the global batch had \(before) rows and would now have \(rows)",
                hint: "Start with the same number of ranks, or set args.global_train_batch_size from the beginning.")
        }
        if memory.isWriter {
            try restoreWeights(from: path)
            try memory.state.load(from: path + "/optimizer.safetensors", layout: memory.parameters.layout)
        }
        try memory.state.loadNumbers(from: path + "/optimizer.safetensors")
        let maxSteps = state.maxSteps
        state = checkpoint.state
        if state.lossUpdates.count != inputs.losses.count {
            let steps = state.globalStep  // from before losses were counted one by one
            state.lossUpdates = inputs.losses.map { _ in steps }
        }
        if let best = state.bestCheckpoint, !FileManager.default.fileExists(atPath: directory.path + "/" + best) {
            state.bestCheckpoint = nil  // rotated away after the damaged checkpoint that this one stands in for
            state.bestMetric = nil
            state.bestGlobalStep = nil
        }
        state.maxSteps = maxSteps
        for evaluator in inputs.evaluators {
            if let first = firstMetrics(of: evaluator, in: state.logHistory) { evaluator.recall(first) }
        }
        return checkpoint.surroundings
    }

    /// What an evaluator gave when it first ran; nil if it has not run yet.
    private func firstMetrics(of evaluator: any Evaluator, in history: [JSONObject]) -> [Metric]? {
        let keys = evaluator.metricKeys
        guard let line = history.first(where: { line in keys.contains { line[evaluationKey($0)] != nil } })
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
        for key in ["world_size", "gemm_provider", "threads", "blas_core_type", "half_products"]
        where before[key] != now[key] {
            log.notice(
                "\(key) was \(before[key]?.serialized() ?? "unknown") and is "
                    + "\(now[key]?.serialized() ?? "unknown"): the run goes on, but not to the last bit.")
        }
    }

    /// Takes the weights of the best checkpoint, if an evaluation chose one. Collective.
    func loadBest(_ state: TrainerState) throws {
        guard let best = state.bestCheckpoint else {
            log.notice("No evaluation chose a best checkpoint: the final model is that of the last step.")
            return
        }
        try finishWriting()
        let path = directory.path + "/" + best
        try ensemble.together("load the best model") {
            if memory.isWriter { try restoreWeights(from: path) }
        }
        let metric = state.bestMetric.map { "\($0)" } ?? ""
        log.notice("Best model: \(best), \(inputs.arguments.bestMetricName) \(metric).")
    }
}
