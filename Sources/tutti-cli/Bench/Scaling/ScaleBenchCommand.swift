// `tutti bench scale`: how well ranks scale, and why not better; then a model of it, and what the model says.
//
// Under mpirun it measures one world. launch/scaling runs several by turns and has the report written. The rest works on
// files of what was measured: --fit, --extrapolate, --simulate, --report.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiEnsembleMPI
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiTraining

struct ScaleBenchCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "scale", abstract: "Measure how a training step scales over ranks, and model it.",
        discussion: """
            Measures one world of ranks: its steps, the same steps with exchanges left out, and rank zero alone while \
            the others sleep, so that efficiency = contention * communication * balance * rest. launch/scaling runs \
            several worlds by turns. --fit and --report read what --json printed.
            """)

    @OptionGroup var step: StepOptions

    @Option(help: ArgumentHelp("Rounds of --repetitions steps each way.", valueName: "n"))
    var rounds = 3

    @Option(help: ArgumentHelp("Fit the model to measured worlds, JSON lines.", valueName: "file"))
    var fit: String?

    @Flag(help: "With --fit: extrapolate to 10,000 ranks on networks of 10 to 200 Gbit/s.")
    var extrapolate = false

    @Option(help: ArgumentHelp("Ranks per node of extrapolation and simulation.", valueName: "n"))
    var ranksPerNode: Int?

    @Option(help: ArgumentHelp("Write the report of the measured worlds in a folder.", valueName: "folder"))
    var report: String?

    @OptionGroup var simulation: SimulationOptions
    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard rounds > 0 else { throw ValidationError("--rounds must be positive") }
        guard fit == nil || report == nil else { throw ValidationError("--fit and --report exclude each other") }
        guard fit != nil || (!extrapolate && simulation.simulate == nil) else {
            throw ValidationError("--extrapolate and --simulate need --fit")
        }
        guard ranksPerNode.map({ $0 > 0 }) ?? true else { throw ValidationError("--ranks-per-node must be positive") }
    }

    func run(on ensemble: any Ensemble) throws {
        if let fit {
            try ensemble.onRoot { try analyse(fit, BenchReport("scale", json: bench.json, ensemble: ensemble)) }
        } else if let report {
            try ensemble.onRoot {
                let files = try ScalingReport(folder: report).write()
                try Output.line("Wrote \(files.map { report + "/" + $0 }.joined(separator: ", "))")
            }
        } else {
            try measure(on: ensemble)
        }
    }

    // MARK: Measuring

    private func measure(on ensemble: any Ensemble) throws {
        let report = try bench.begin("scale", on: ensemble)
        let steps = step.warmup + rounds * bench.repetitions
        let (inputs, own) = try ensemble.together("prepare the steps") {
            var own = try step.inputs(steps: 2 * steps, ranks: 1)
            (own.arguments.exchange, own.arguments.wire) = (.auto, .fp32)
            return (try step.inputs(steps: steps, ranks: ensemble.size), own)
        }
        let gemm = try bench.compute.chooseGemm(for: inputs.model, ensemble: ensemble)
        own.model.encoder.compute = inputs.model.encoder.compute
        let measurement = try WorldMeasurement(inputs, own: own, ensemble: ensemble)
        try measurement.warmUp(step.warmup)
        for _ in 0..<rounds { try measurement.round(bench.repetitions) }
        var record = measurement.record()
        try describe(&record, inputs, gemm: gemm, ensemble: ensemble)
        try report.table("World (efficiency against rank zero alone)", ScalingAnalysis.worldColumns)
        try report.add("world", report.isJSON ? record.json : ScalingAnalysis.line(record))
    }

    /// Adds to a record what is known without measuring. Collective.
    private func describe(
        _ record: inout WorldRecord, _ inputs: TrainingInputs, gemm: GemmChoice, ensemble: any Ensemble
    ) throws {
        let parameters = inputs.model.encoder.parameters
        let table = inputs.trainDataset
        let topology = (ensemble as? MPIEnsemble)?.topology
        let cores = topology?.coresPerRank ?? Double(ProcessInfo.processInfo.activeProcessorCount)
        record.nodes = Set(try ensemble.gatherCounts(ensemble.node)).count
        record.threads = Parallel.threads
        record.batchSize = step.batchSize
        record.candidates = max(1, table.columnNames.count - 1)
        record.width = inputs.model.dimension
        record.parameters = parameters.layout.count
        record.wordTable = parameters.touched.table.count
        record.wireBytes = step.wire == .fp32 ? 4 : 2
        let sharesNothing = record.nodes == 1 && !ensemble.sharesNode
        record.isPrivate = ensemble.size > 1 && (step.exchange == .messages || sharesNothing)
        record.isOversubscribed = Double(record.threads) > cores
        var facts = record.facts
        facts["machine"] = .string(ProcessInfo.processInfo.hostName)
        facts["processor"] = .string(Self.processor)
        facts["mpi"] = .string(topology?.library ?? "none")
        facts["gemm"] = .string("\(gemm)")
        facts["exchange"] = .string(step.exchange.rawValue)
        facts["model"] = .string(step.model.model ?? "random weights")
        facts["data"] = .string(table.source)
        facts["loss"] = .string(step.loss)
        facts["cores_per_rank"] = .number(cores)
        facts["sentences_per_second"] = facts["rows_per_second"]?.double.map {
            .number($0 * Double(table.columnNames.count))
        }
        facts["busbw"] = record.busBandwidth.map { .number($0) }
        record.facts = facts
    }

    /// The processor's name; that of the architecture where the system has none.
    private static var processor: String {
        let bytes = FileManager.default.contents(atPath: "/proc/cpuinfo") ?? Data()
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") where line.hasPrefix("model name") {
            if let name = line.split(separator: ":").last { return name.trimmingCharacters(in: .whitespaces) }
        }
        #if arch(x86_64)
        return "x86-64"
        #else
        return "arm64"
        #endif
    }

    // MARK: The model

    private func analyse(_ path: String, _ report: BenchReport) throws {
        let analysis = try ScalingAnalysis(try WorldRecord.read(path), source: path)
        try report.table("Costs, fitted to \(analysis.worlds.count) worlds", ScalingAnalysis.parameterColumns)
        for line in analysis.parameters { try report.add("parameter", ScalingAnalysis.shown(line)) }
        try report.table("Each world predicted by a model of the others", ScalingAnalysis.predictionColumns)
        for line in analysis.predictions { try report.add("prediction", ScalingAnalysis.shown(line)) }
        let extrapolation = Extrapolation(analysis.model, base: analysis.base, ranksPerNode: ranksPerNode)
        if extrapolate || simulation.simulate != nil {
            try report.table("Assumptions", [BenchColumn("", "text", 1, .text)])
            for assumption in extrapolation.assumptions {
                try report.add("assumption", ["text": .string(assumption)])
            }
        }
        if extrapolate {
            try report.table("Extrapolation", ScalingAnalysis.extrapolationColumns)
            for step in extrapolation.steps {
                try report.add("extrapolation", ScalingAnalysis.shown(ScalingAnalysis.object(step)))
            }
        }
        guard let ranks = simulation.simulate else { return }
        let step = extrapolation.step(ranks: ranks, over: Network(gigabits: simulation.gigabits))
        let replay = ClusterSimulation(
            simulation.settings(step), parts: step.parts, variation: analysis.base.variation.flatMap { $0 })
        try SimulationResults(step: step, simulation: replay).write(to: report)
    }
}
