// `tutti bench kernels`: dense products as a fraction of FMA peak, row kernels as a fraction of memory bandwidth.

import ArgumentParser
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels

struct KernelsBenchCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels", abstract: "Measure dense products and row kernels against this machine's limits.",
        discussion: """
            The dense products of a layer are measured with every installed provider in turn; operands come from \
            memory, not from cache. Under mpirun all ranks measure at the same time; rank zero prints its own figures.
            """)

    @OptionGroup var model: ShapeOptions

    @Option(help: ArgumentHelp("Tokens per call.", valueName: "n"))
    var tokens = 3000

    @Option(help: ArgumentHelp("Tokens per sequence (default: like NLI sentences, 4 to 40).", valueName: "n"))
    var length: Int?

    @Option(
        help: ArgumentHelp(
            "MiB per array of the memory bounds (default: 4x the last-level cache, 64 to 256).", valueName: "n"))
    var streamMegabytes: Int?

    @Option(help: ArgumentHelp("Measure only this part and the bounds: bounds, gemm or rows.", valueName: "part"))
    var only: Part?

    @OptionGroup var bench: BenchOptions

    /// A part of the measurements.
    enum Part: String, ExpressibleByArgument, CaseIterable {
        case bounds, gemm, rows
    }

    func validate() throws {
        guard tokens > 0, tokens <= 1 << 20 else { throw ValidationError("--tokens must be in 1 ... 1048576") }
        guard length.map({ $0 > 0 }) ?? true else { throw ValidationError("--length must be positive") }
        guard streamMegabytes.map({ $0 > 0 }) ?? true else {
            throw ValidationError("--stream-megabytes must be positive")
        }
    }

    func run(on ensemble: any Ensemble) throws {
        let shape = try ensemble.together("load the model") { try model.shape() }
        let report = try bench.begin("kernels", on: ensemble)
        let machine = MachineBounds(streamBytes: streamMegabytes.map { $0 << 20 } ?? MachineBounds.defaultStreamBytes)
        // AdamW works on the whole model; eight million parameters exceed any cache and are enough.
        let parameters = min(shape.vocabulary * shape.hidden + shape.plan.denseParameters, 8 << 20)
        let largest = KernelOperands.largestOperand(shape: shape, tokens: tokens, parameters: parameters)
        let bytes = MemoryLayout<Float>.stride * largest
        let memory = RotatingMemory(bytes: max(4 * bytes, machine.streamElements * MemoryLayout<Float>.stride))
        let lengths = PackedLengths(tokens: tokens, length: length)
        let operands = KernelOperands(shape: shape, lengths: lengths, memory: memory)
        var bounds = BoundSamples()
        try ensemble.barrier()
        for _ in 0..<bench.repetitions {
            bounds.sampleFMA(machine)
            bounds.sampleStreams(machine)
        }
        let products = measures(.gemm) ? measureProducts(shape, memory, machine, &bounds) : []
        let kernels = measures(.rows) ? measureKernels(operands.cases(parameters: parameters), machine, &bounds) : []
        try bounds.write(to: report, machine: machine)
        if measures(.gemm) { try writeProducts(products, bounds, to: report) }
        if measures(.rows) { try writeKernels(kernels, bounds, to: report) }
        try ensemble.barrier()
    }

    private func measures(_ part: Part) -> Bool { only == nil || only == part }

    // MARK: Dense products

    private struct MeasuredProduct {
        let product: ModelShape.Product
        let pass: ProductPass
        let provider: GemmProvider
        var seconds = Samples()
    }

    private func measureProducts(
        _ shape: ModelShape, _ memory: RotatingMemory, _ machine: MachineBounds, _ bounds: inout BoundSamples
    ) -> [MeasuredProduct] {
        var results: [MeasuredProduct] = []
        for pass in ProductPass.allCases {
            for product in shape.products {
                var measured = GemmProviders.available.map {
                    MeasuredProduct(product: product, pass: pass, provider: $0)
                }
                let calls = measured.map { one in
                    GemmProviders.with(one.provider) {
                        Stopwatch.calls(lasting: 0.005) { product.multiply(pass, tokens: tokens, memory) }
                    }
                }
                for _ in 0..<bench.repetitions {
                    bounds.sampleFMA(machine)
                    for index in measured.indices {
                        GemmProviders.with(measured[index].provider) {
                            let seconds = Stopwatch.seconds {
                                for _ in 0..<calls[index] { product.multiply(pass, tokens: tokens, memory) }
                            }
                            measured[index].seconds.add(seconds / Double(calls[index]))
                        }
                    }
                }
                results += measured
            }
        }
        return results
    }

    private func writeProducts(_ products: [MeasuredProduct], _ bounds: BoundSamples, to report: BenchReport) throws {
        try report.table(
            "Dense products, \(tokens) tokens",
            [
                BenchColumn("pass", "pass", 15, .text), BenchColumn("product", "name", 17, .text),
                BenchColumn("m x n x k", "shape", 18, .text), BenchColumn("provider", "provider", 9, .text),
                BenchColumn("GFLOP/s", "gflops", 8, .number(1)), BenchColumn("spread", "gflops", 17, .spread(1)),
                BenchColumn("of peak", "share_of_fma_peak", 8, .percent),
            ])
        for measured in products {
            let (product, flops) = (measured.product, measured.product.flops(tokens: tokens))
            let (m, n, k) =
                switch measured.pass {
                case .forward: (tokens, product.outputs, product.inputs)
                case .inputGradient: (tokens, product.inputs, product.outputs)
                case .weightGradient: (product.outputs, product.inputs, tokens)
                }
            var result: JSONObject = [
                "pass": .string(measured.pass.rawValue), "name": .string(product.name),
                "shape": .string("\(m) x \(n) x \(k)"), "provider": .string(measured.provider.rawValue),
            ]
            (result["m"], result["n"], result["k"]) = (.integer(Int64(m)), .integer(Int64(n)), .integer(Int64(k)))
            result.set("seconds", measured.seconds)
            result.set("gflops", measured.seconds.map { flops / $0 / 1e9 })
            result["share_of_fma_peak"] = .number(flops / measured.seconds.median / bounds.fmaPeak)
            try report.add("gemm", result)
        }
        try writeTotals(products, bounds, to: report)
    }

    /// One row per provider and pass: all products of a layer together.
    private func writeTotals(_ products: [MeasuredProduct], _ bounds: BoundSamples, to report: BenchReport) throws {
        for pass in ProductPass.allCases {
            for provider in GemmProviders.available {
                let own = products.filter { $0.pass == pass && $0.provider == provider }
                let seconds = own.reduce(0) { $0 + $1.seconds.median }
                let flops = own.reduce(0) { $0 + $1.product.flops(tokens: tokens) }
                var result: JSONObject = [
                    "pass": .string(pass.rawValue), "name": .string("layer"), "provider": .string(provider.rawValue),
                ]
                result["seconds"] = .number(seconds)
                result["gflops"] = .number(flops / seconds / 1e9)
                result["share_of_fma_peak"] = .number(flops / seconds / bounds.fmaPeak)
                try report.add("gemm_total", result)
            }
        }
    }

    // MARK: Other kernels

    private typealias MeasuredKernel = (kernel: KernelCase, seconds: Samples)

    private func measureKernels(
        _ cases: [KernelCase], _ machine: MachineBounds, _ bounds: inout BoundSamples
    ) -> [MeasuredKernel] {
        var results: [MeasuredKernel] = []
        for kernel in cases {
            let calls = Stopwatch.calls(lasting: 0.003, kernel.run)
            var seconds = Samples()
            for _ in 0..<bench.repetitions {
                seconds.add(Stopwatch.seconds { for _ in 0..<calls { kernel.run() } } / Double(calls))
            }
            bounds.sampleFMA(machine)
            bounds.sampleStreams(machine, [.triad, .update, .read])
            results.append((kernel, seconds))
        }
        return results
    }

    /// The part of its bound that a kernel reaches.
    private func share(of measured: MeasuredKernel, _ bounds: BoundSamples) -> Double {
        switch measured.kernel.bound {
        case .memory(let bytes, let stream):
            Double(bytes) / measured.seconds.median / bounds.bandwidth(stream)
        case .arithmetic(let flops, _): flops / measured.seconds.median / bounds.fmaPeak
        }
    }

    private func writeKernels(_ kernels: [MeasuredKernel], _ bounds: BoundSamples, to report: BenchReport) throws {
        try report.table(
            "Row kernels as a share of the closest stream (several streams at once may exceed it); attention",
            [
                BenchColumn("kernel", "name", 28, .text), BenchColumn("shape", "shape", 27, .text),
                BenchColumn("us", "microseconds", 9, .number(1)),
                BenchColumn("GB/s", "gigabytes_per_second", 7, .number(1)),
                BenchColumn("of memory", "share_of_bandwidth", 9, .percent), BenchColumn("stream", "bound", 8, .text),
                BenchColumn("GFLOP/s", "gflops", 8, .number(1)),
                BenchColumn("of peak", "share_of_fma_peak", 8, .percent),
                BenchColumn("ns/token", "nanoseconds_per_token", 8, .number(1)),
                BenchColumn("of BERT's", "share_of_like", 9, .percent), BenchColumn("kernel", "like", 26, .text),
            ])
        let shares = Dictionary(
            kernels.map { ($0.kernel.name, share(of: $0, bounds)) }, uniquingKeysWith: { first, _ in first })
        for (kernel, seconds) in kernels {
            var result: JSONObject = ["name": .string(kernel.name), "shape": .string(kernel.shape)]
            result.set("microseconds", seconds.map { $0 * 1e6 })
            switch kernel.bound {
            case .memory(let bytes, let stream):
                result.set("bytes", bytes)
                result.set("gigabytes_per_second", seconds.map { Double(bytes) / $0 / 1e9 })
                result["bound"] = .string(stream.rawValue)
                result["share_of_bandwidth"] = .number(share(of: (kernel, seconds), bounds))
            case .arithmetic(let flops, let count):
                result.set("gflops", seconds.map { flops / $0 / 1e9 })
                result["bound"] = .string("fma_peak")
                result["share_of_fma_peak"] = .number(share(of: (kernel, seconds), bounds))
                result["nanoseconds_per_token"] = .number(seconds.median * 1e9 / Double(count))
            }
            if let like = kernel.like, let other = shares[like], let own = shares[kernel.name] {
                result["like"] = .string(like)
                result["share_of_like"] = .number(own / other)
            }
            try report.add("kernel", result)
        }
    }
}
