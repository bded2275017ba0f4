// The update of a step: clipping and the optimizer, over this rank's runs of the parameter arena.

import TuttiEncoders
import TuttiKernels

/// Moves the parameters along their summed gradient.
struct Update {
    private let optimizer: any Optimizer
    private let memory: TrainingMemory
    private let arguments: TrainingArguments

    /// Updates the parameters of `memory` as the arguments say.
    init(_ optimizer: any Optimizer, memory: TrainingMemory, arguments: TrainingArguments) {
        self.optimizer = optimizer
        self.memory = memory
        self.arguments = arguments
        memory.parameters.touched.beginRun()
    }

    /// Updates every run of this rank's shard.
    ///
    /// - Parameters:
    ///   - number: the optimizer step, 0 for the first.
    ///   - factor: the schedule's factor of every base rate.
    ///   - norms: of the summed gradient, before clipping.
    ///   - usedLosses: the losses that had a part in the step.
    ///   - lossUpdates: how often the parameters of each loss were updated before.
    func apply(number: Int, factor: Double, norms: GradientNorms, usedLosses: [Bool], lossUpdates: [Int]) {
        let clipsAll = arguments.clipLossParameters
        let scale = clipCoefficient(clipsAll ? norms.all : norms.model)
        let modelCount = memory.parameters.layout.modelCount
        let touched = memory.parameters.touched
        if number > 0, !touched.knowsRun { touched.assumeAllHadGradients() }  // a resumed run
        touched.prepareRun()
        optimizer.begin(step: number + 1, factor: factor, memory.state.numbers)
        func isPassedOver(_ run: UpdateRun) -> Bool { run.loss.map { !usedLosses[$0] } ?? false }
        for run in memory.runs where isPassedOver(run) {
            optimizer.passOver(run, of: memory.parameters, state: memory.state)
        }
        if optimizer.needsWholeTensors {
            // One after the other: threads share a tensor.
            for run in memory.runs where !isPassedOver(run) {
                memory.exchange.bringSum(of: run.range)
                optimizer.update(
                    run, of: memory.parameters, state: memory.state,
                    step: (run.loss.map { lossUpdates[$0] } ?? number) + 1, factor: factor,
                    gradientScale: clipsAll || run.loss == nil ? scale : 1)
            }
            return
        }
        Parallel.forRange(memory.runs.count, grain: 1) { places in
            for run in memory.runs[places] {
                // As the reference's optimizer passes over parameters without a gradient: no decay, no momentum.
                if isPassedOver(run) { continue }
                // Not a variable: the local function below would keep it in a box of its own, an allocation a step.
                let updates = run.loss.map { lossUpdates[$0] } ?? number
                let gradientScale = clipsAll || run.range.lowerBound < modelCount ? scale : 1
                func update(_ part: UpdateRun) {
                    optimizer.update(
                        part, of: memory.parameters, state: memory.state, step: updates + 1, factor: factor,
                        gradientScale: gradientScale)
                }
                guard optimizer.leavesStill(run) else {
                    update(run)
                    continue
                }
                Parallel.forRange(run.range.count, grain: OptimizerKernels.chunk) { piece in
                    let piece = run.range.lowerBound + piece.lowerBound..<run.range.lowerBound + piece.upperBound
                    touched.forEachStretchOfRun(in: piece) { stretch in
                        var part = run
                        part.range = stretch
                        update(part)
                    }
                }
            }
        }
    }

    /// What scales the gradient down to norm `max_grad_norm`, as torch's clip_grad_norm_; 1 where it is smaller.
    private func clipCoefficient(_ norm: Double) -> Float {
        arguments.maxGradNorm > 0 ? Float(min(1, arguments.maxGradNorm / (norm + 1e-6))) : 1
    }
}
