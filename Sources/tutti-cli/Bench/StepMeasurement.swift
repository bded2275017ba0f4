// Results of the measured steps over all ranks: phases, rates, fractions of the bounds, memory.
//
// Ranks take every step together, so a step takes as long as its slowest rank; tokens, rows and FLOPs are summed over
// ranks, and the FMA peak is that of all ranks at the same time.

import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiTraining

/// Collects steps, and measures bounds between them.
struct StepMeasurement {
    private let shape: ModelShape
    private let ensemble: any Ensemble
    private let machine: MachineBounds
    private var memory: RotatingMemory
    private var ownBytes: Int
    private var peakResident: Int
    private var phases: [StepPhase: Samples] = [:]
    private var seconds = Samples()
    private var denseSeconds = Samples()
    private var overDense = Samples()
    private var tokens = Samples()
    private var tokensPerSecond = Samples()
    private var rowsPerSecond = Samples()
    private var flops = Samples()
    private var flopRate = Samples()
    private var fmaPeak = Samples()

    /// Created after the first steps, so that peak memory is that of a plain run.
    init(shape: ModelShape, ensemble: any Ensemble) {
        self.shape = shape
        self.ensemble = ensemble
        peakResident = ProcessMemory.peakResident
        let before = ProcessMemory.resident
        machine = MachineBounds(streamBytes: 1 << 20)
        memory = RotatingMemory(bytes: MachineBounds.defaultStreamBytes)
        ownBytes = max(0, ProcessMemory.resident - before)
    }

    /// Records a step and measures the bounds. Collective.
    mutating func add(_ step: StepTiming) throws {
        peakResident = max(peakResident, ProcessMemory.resident - ownBytes)
        reserve(tokens: step.tokens)
        try ensemble.barrier()
        let dense = shape.denseSeconds(tokens: step.tokens, memory)
        try ensemble.barrier()
        let peak = machine.fmaPeak()
        let own = shape.plan.trainingFLOPs(tokens: step.tokens, lengths: step.lengths)
        let sums = try ensemble.sums([Double(step.tokens), Double(step.rows), own, peak])
        let slowest = try ensemble.maxima(
            [step.seconds, dense] + StepPhase.allCases.map { step.clock.seconds(in: $0) })
        seconds.add(slowest[0])
        denseSeconds.add(slowest[1])
        overDense.add(slowest[0] / max(slowest[1], 1e-9))
        for (place, phase) in StepPhase.allCases.enumerated() {
            phases[phase, default: Samples()].add(slowest[2 + place])
        }
        tokens.add(sums[0])
        tokensPerSecond.add(sums[0] / slowest[0])
        rowsPerSecond.add(sums[1] / slowest[0])
        flops.add(sums[2])
        flopRate.add(sums[2] / slowest[0])
        fmaPeak.add(sums[3])
    }

    /// Grows the operands for a larger step.
    private mutating func reserve(tokens: Int) {
        let wanted = 2 * shape.largestOperand(tokens: tokens)
        guard memory.byteCount / 2 < wanted else { return }
        ownBytes += 2 * wanted - memory.byteCount
        memory = RotatingMemory(bytes: wanted)
    }

    /// Writes the phases and the totals. Collective.
    func write(to report: BenchReport, batchSize: Int) throws {
        let resident = try ensemble.maxima([Double(peakResident)])[0]
        try report.table(
            "Phases of a step (main thread; the slowest rank's)",
            [
                BenchColumn("phase", "name", 12, .text), BenchColumn("ms", "milliseconds", 9, .number(2)),
                BenchColumn("spread", "milliseconds", 21, .spread(2)), BenchColumn("share", "share", 8, .percent),
            ])
        for phase in StepPhase.allCases {
            guard let samples = phases[phase] else { continue }
            var line: JSONObject = ["name": .string("\(phase)")]
            line.set("milliseconds", samples.map { $0 * 1e3 })
            line["share"] = .number(samples.median / seconds.median)
            try report.add("phase", line)
        }
        let (whole, units) = summary(batchSize: batchSize, resident: resident)
        try report.table(
            "Step",
            [
                BenchColumn("quantity", "name", 34, .text), BenchColumn("median", "value", 12, .number(3)),
                BenchColumn("spread", "value", 27, .spread(3)), BenchColumn("unit", "unit", 10, .text),
            ])
        if report.isJSON { return try report.add("step", whole) }
        for (key, unit) in units {
            var line: JSONObject = ["name": .string(key.replacing("_", with: " ")), "unit": .string(unit)]
            line["value"] = whole[key]
            line["value_min"] = whole[key + "_min"]
            line["value_max"] = whole[key + "_max"]
            try report.add("step", line)
        }
    }

    /// The step as one object, and the members that a table shows, with units.
    private func summary(batchSize: Int, resident: Double) -> (object: JSONObject, units: [(String, String)]) {
        let ranks = Double(ensemble.size)
        var object = JSONObject()
        object["gemm_provider"] = .string("\(Gemm.choice)")
        object.set("batch_size", batchSize)
        object.set("dense_parameters", shape.plan.denseParameters)
        object.set("step_seconds", seconds)
        object.set("dense_seconds", denseSeconds)
        object.set("step_over_dense", overDense)
        object.set("tokens", tokens)
        object.set("tokens_per_second", tokensPerSecond)
        object.set("samples_per_second", rowsPerSecond)
        object.set("samples_per_second_per_rank", rowsPerSecond.map { $0 / ranks })
        object.set("gflop", flops.map { $0 / 1e9 })
        object.set("gflops", flopRate.map { $0 / 1e9 })
        object.set("gflops_per_rank", flopRate.map { $0 / 1e9 / ranks })
        object.set("fma_peak_gflops", fmaPeak.map { $0 / 1e9 })
        object["share_of_fma_peak"] = .number(flopRate.median / fmaPeak.median)
        object["peak_resident_mib_per_rank"] = .number(resident / 1_048_576)
        return (
            object,
            [
                ("step_seconds", "s"), ("dense_seconds", "s"), ("step_over_dense", ""), ("tokens", "all ranks"),
                ("tokens_per_second", "all ranks"), ("samples_per_second", "all ranks"),
                ("samples_per_second_per_rank", "per rank"), ("gflop", "all ranks"), ("gflops", "all ranks"),
                ("fma_peak_gflops", "all ranks"), ("share_of_fma_peak", ""), ("peak_resident_mib_per_rank", "MiB"),
            ]
        )
    }
}

extension Ensemble {
    /// The sums of `values` over ranks. Collective.
    func sums(_ values: [Double]) throws -> [Double] {
        var values = values
        try values.withUnsafeMutableBufferPointer { try allReduceSum($0) }
        return values
    }

    /// The maxima of `values` over ranks. Collective.
    func maxima(_ values: [Double]) throws -> [Double] {
        var values = values
        try values.withUnsafeMutableBufferPointer { try allReduceMax($0) }
        return values
    }
}
