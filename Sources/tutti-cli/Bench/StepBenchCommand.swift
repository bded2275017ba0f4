// `tutti bench step`: a real training step by phases, compared with its dense products alone.
//
// After each step its dense products are computed again alone, for the same number of tokens, with the same provider,
// threads and ranks: the difference is everything else that a step does.

import ArgumentParser
import TuttiEnsemble
import TuttiModels
import TuttiTraining

struct StepBenchCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "step", abstract: "Measure a training step by phases, compared with its dense products alone.",
        discussion: """
            Runs the steps of `tutti train` without logging or saving. FLOPs are 6 * P * T + 12 * L * D * (sum of \
            squared lengths), with P parameters in dense products, T real tokens, L layers of width D. Under mpirun \
            every rank has its own --batch-size rows (weak scaling).
            """)

    @OptionGroup var step: StepOptions
    @OptionGroup var bench: BenchOptions

    func run(on ensemble: any Ensemble) throws {
        let report = try bench.begin("step", on: ensemble)
        let inputs = try ensemble.together("prepare the steps") {
            try step.inputs(steps: step.warmup + bench.repetitions, ranks: ensemble.size)
        }
        let gemm = try bench.compute.chooseGemm(for: inputs.model, ensemble: ensemble)
        let timer = try StepTimer(inputs, ensemble: ensemble)
        try timer.time(step.warmup) { _ in }
        let shape = ModelShape(plan: inputs.model.encoder.plan)
        var measurement = StepMeasurement(shape: shape, ensemble: ensemble)
        try timer.time(bench.repetitions) { try measurement.add($0) }
        let source = inputs.trainDataset.source
        let name = step.model.model ?? "random weights"
        try report.note("\(name), \(source), \(step.batchSize) rows per rank and step, GEMM \(gemm)")
        try measurement.write(to: report, batchSize: step.batchSize)
    }
}
