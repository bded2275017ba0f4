// What a run will do and what it needs, found before its first step: rows, batches, steps, tokens, memory, files.
//
// `tutti explain` prints it. Nothing is written: the output directory is looked at, not taken.

import Foundation
import TuttiCorpus
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround

/// The facts about a run that follow from its inputs.
package struct RunForecast {
    /// Batches of the first epoch whose tokens are counted.
    private static let sampledBatches = 32
    /// Steps whose events are counted one by one; the events of a longer run are those of so many, in proportion.
    private static let countedSteps = 1_000_000

    /// Steps of the whole run.
    package let steps: Int
    /// Everything else, by section.
    package let facts: JSONObject

    /// Looks at a run that has not begun. Collective.
    ///
    /// - Throws: what reading the output directory throws.
    package init(_ trainer: Trainer, ensemble: any Ensemble) throws {
        let (inputs, plan) = (trainer.inputs, trainer.plan)
        let batches = plan.batches(epoch: 0)
        steps = inputs.arguments.lastStep(totalSteps: plan.totalSteps)
        let found = try ensemble.onRoot { try trainer.contentsOfDirectory() }
        facts = [
            "output_dir": .object(["path": .string(inputs.outputDirectory), "holds": .string(found)]),
            "model": .object(Self.model(inputs)), "data": .object(Self.data(inputs)),
            "batches": .object(Self.batches(trainer, batches, ensemble.size)),
            "steps": .object(Self.steps(inputs.arguments, total: plan.totalSteps, last: steps)),
            "events": .object(
                Self.events(inputs, total: plan.totalSteps, last: steps, batchesAnEpoch: batches.batchCount)),
            "tokens": .object(try Self.tokens(trainer, batches, ensemble)), "memory": .object(Self.memory(trainer)),
            "files": .object(Self.files(trainer)),
        ]
    }

    private static func number(_ value: Int) -> JSONValue { .integer(Int64(value)) }

    private static func model(_ inputs: TrainingInputs) -> JSONObject {
        let (model, layout) = (inputs.model, inputs.model.encoder.layout)
        var facts: JSONObject = [
            "path": .string(model.sourceDescription), "architecture": .string(model.architectureName),
            "parameters": number(layout.all.reduce(0) { $0 + $1.elementCount }),
        ]
        let frozen = layout.all.reduce(0) { $0 + ($1.isFrozen ? $1.elementCount : 0) }
        if frozen > 0 { facts["frozen_parameters"] = number(frozen) }
        facts["max_seq_length"] = model.lengthLimit.map(number) ?? .null
        return facts
    }

    private static func data(_ inputs: TrainingInputs) -> JSONObject {
        var facts = JSONObject()
        facts["roles"] = .array(inputs.columnNotices.map { .string($0) })
        for (key, datasets) in [("train_rows", inputs.trainDatasets), ("eval_rows", inputs.evalDatasets)] {
            facts[key] = number(datasets.reduce(0) { $0 + $1.table.rowCount })
        }
        return facts
    }

    private static func batches(_ trainer: Trainer, _ batches: MultiDatasetPlan, _ world: Int) -> JSONObject {
        let (arguments, plan) = (trainer.inputs.arguments, trainer.plan)
        let notes = plan.leftOut(of: batches, epoch: 0) + plan.smallBatches() + [trainer.batchNotice].compactMap(\.self)
        let rows = arguments.trainBatchRows(world: world)
        return [
            "rows": number(rows), "ranks": number(world), "rows_a_rank": number((rows + world - 1) / world),
            "batches_a_step": number(arguments.gradientAccumulationSteps),
            "batches_an_epoch": number(batches.batchCount), "sampler": .string(arguments.batchSampler.name),
            "notes": .array(notes.map { .string($0) }),
        ]
    }

    private static func steps(_ arguments: TrainingArguments, total: Int, last: Int) -> JSONObject {
        [
            "total": number(last), "of_the_schedule": number(total),
            "warmup": number(arguments.warmupStepCount(totalSteps: total)),
            "epochs": arguments.maxSteps > 0 ? .null : .number(arguments.numTrainEpochs),
            "schedule": .string(arguments.schedulerType), "optimizer": .string(arguments.optim),
            "learning_rate": .number(arguments.learningRate),
        ]
    }

    private static func events(
        _ inputs: TrainingInputs, total: Int, last: Int, batchesAnEpoch: Int
    ) -> JSONObject {
        let arguments = inputs.arguments
        let plan = EventPlan(arguments, totalSteps: total)
        let accumulation = arguments.gradientAccumulationSteps
        let anEpoch = max(1, (batchesAnEpoch + accumulation - 1) / accumulation)
        let counted = min(last, countedSteps)
        var (lines, evaluations, checkpoints) = (0, 0, 0)
        var state = TrainerState()
        for step in 1...max(1, counted) {
            state.globalStep = step
            state.epoch = Double(step) / Double(anEpoch)
            let control = plan.control(state, endsEpoch: step % anEpoch == 0 || step == last)
            lines += control.shouldLog ? 1 : 0
            evaluations += control.shouldEvaluate ? 1 : 0
            checkpoints += control.shouldSave ? 1 : 0
        }
        func whole(_ count: Int) -> JSONValue { number(Int(Double(count) * Double(last) / Double(max(1, counted)))) }
        return [
            "logged_lines": whole(lines), "evaluations": whole(evaluations),
            "evaluators": .array(inputs.evaluators.map { .string($0.task) }),
            "evaluators_of_the_final_model": .array(inputs.testEvaluators.map { .string($0.task) }),
            "checkpoints": whole(checkpoints), "checkpoints_kept": arguments.saveTotalLimit.map(number) ?? .null,
        ]
    }

    /// Tokens of the student's texts in the first batches, of all ranks. Collective.
    private static func tokens(
        _ trainer: Trainer, _ batches: MultiDatasetPlan, _ ensemble: any Ensemble
    ) throws -> JSONObject {
        let count = min(sampledBatches, batches.batchCount)
        let source = try trainer.batches.source(trainer.inputs.trainDatasets, batches, from: 0, epoch: 0)
        let limit = trainer.inputs.model.maximumLength
        var tokens = [Double](repeating: 0, count: count)
        var texts = [0.0, 0.0]  // all, at the limit
        for place in 0..<count {
            let batch = try source.next()[.student]
            tokens[place] = Double(batch.tokenCount)
            texts[0] += Double(batch.sequenceCount)
            texts[1] += Double(batch.lengths.count { $0 >= limit })
        }
        try tokens.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
        try texts.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
        let sum = tokens.reduce(0, +)
        return [
            "batches_sampled": number(count), "a_batch": .number((sum / Double(max(1, count))).rounded()),
            "in_the_largest": .number(tokens.max() ?? 0),
            "a_text": .number((10 * sum / max(1, texts[0])).rounded() / 10),
            "share_of_texts_at_the_limit": .number((1000 * texts[1] / max(1, texts[0])).rounded() / 1000),
        ]
    }

    /// Bytes of the arenas of one process.
    private static func memory(_ trainer: Trainer) -> JSONObject {
        let layout = trainer.inputs.model.encoder.parameters.layout
        let arena = layout.count * MemoryLayout<Float>.stride
        let frozen = layout.frozenCount * MemoryLayout<Float>.stride
        let state = trainer.stateNames.count * arena
        return [
            "values_bytes": number(arena + frozen), "gradients_bytes": number(arena),
            "optimizer_state_bytes": number(state),
        ]
    }

    /// What the run writes, and the room that its disk has.
    private static func files(_ trainer: Trainer) -> JSONObject {
        let arguments = trainer.inputs.arguments
        func bytes(_ entries: [ParameterLayout.Entry]) -> Int { entries.reduce(0) { $0 + $1.elementCount } * 4 }
        let layout = trainer.inputs.model.encoder.layout
        let model = bytes(layout.all)
        let state = arguments.saveOnlyModel ? 0 : trainer.stateNames.count * bytes(layout.entries)
        let path = trainer.inputs.outputDirectory
        var facts: JSONObject = [
            "metrics": .string(path + "/metrics.jsonl"), "final": .string(path + "/final"),
            "final_bytes": number(model),
        ]
        if arguments.saveStrategy != .no {
            facts["checkpoints"] = .string(path + "/checkpoint-STEP")
            facts["checkpoint_bytes"] = number(model + state)
        }
        facts["free_bytes"] = freeBytes(path).map(number) ?? .null
        return facts
    }

    /// Free bytes of the file system that will hold `path`: that of its nearest folder that exists.
    private static func freeBytes(_ path: String) -> Int? {
        var folder = URL(fileURLWithPath: path)
        while !FileManager.default.fileExists(atPath: folder.path), folder.path != "/" {
            folder.deleteLastPathComponent()
        }
        do {
            let facts = try FileManager.default.attributesOfFileSystem(forPath: folder.path)
            return (facts[.systemFreeSize] as? NSNumber)?.intValue
        } catch {
            return nil
        }
    }
}
