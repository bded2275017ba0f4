// `tutti bench collectives`: the cost of collectives, compared with memcpy.
//
// Terms are those of nccl-tests (doc/PERFORMANCE.md): algorithm bandwidth (algbw) is the size of the operation over
// its time; bus bandwidth (busbw) multiplies it by the least each rank must move: 2 (W - 1) / W for all-reduce,
// (W - 1) / W for reduce-scatter and all-gather, 1 for broadcast. The size is that of the whole vector: what all-gather
// receives, what reduce-scatter sends. A time is the slowest rank's. memcpy is measured on all ranks at the same time
// and counted once, as the bytes copied, which is how busbw counts.

import ArgumentParser
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels

struct CollectivesBenchCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "collectives", abstract: "Measure the collectives; needs mpirun.",
        discussion: "algbw and busbw are those of nccl-tests; the share is busbw over one rank's memcpy.")

    @Option(help: ArgumentHelp("Smallest size.", valueName: "bytes"))
    var minBytes = 4096

    @Option(help: ArgumentHelp("Largest size.", valueName: "bytes"))
    var maxBytes = 128 << 20

    @Option(help: ArgumentHelp("Ratio of successive sizes.", valueName: "n"))
    var factor = 4

    @OptionGroup var bench: BenchOptions

    func validate() throws {
        guard minBytes >= 4, minBytes <= maxBytes, maxBytes <= 4 << 30 else {
            throw ValidationError("--min-bytes must be in 4 ... --max-bytes, and --max-bytes at most 4294967296")
        }
        guard factor >= 2 else { throw ValidationError("--factor must be at least 2") }
    }

    func run(on ensemble: any Ensemble) throws {
        guard ensemble.size > 1 else {
            throw TuttiError(
                .usage, "measure the collectives", "tutti bench collectives", "needs more than one rank",
                hint: "Run it as launch/tutti-run -np 2 bench collectives.")
        }
        let report = try bench.begin("collectives", on: ensemble)
        let collectives = CollectiveBench(ensemble: ensemble, largest: maxBytes)
        let repetitions = bench.repetitions
        var copies = Samples()
        var lines: [(CollectiveBench.Operation, Int, Samples)] = []
        let barrier = try collectives.measure(.barrier, bytes: 0, repetitions: repetitions)
        for bytes in sizes {
            for operation in CollectiveBench.Operation.allCases where operation != .barrier {
                let seconds = try collectives.measure(operation, bytes: bytes, repetitions: repetitions)
                lines.append((operation, bytes, seconds))
            }
            for _ in 0..<repetitions { copies.add(try collectives.copyBandwidth()) }
        }
        try report.table(
            "memcpy of \(collectives.copyBytes >> 20) MiB on every rank at once, bytes copied; barrier",
            [
                BenchColumn("what", "name", 14, .text), BenchColumn("median", "value", 10, .number(2)),
                BenchColumn("spread", "value", 20, .spread(2)), BenchColumn("unit", "unit", 8, .text),
            ])
        var copy: JSONObject = ["name": .string("memcpy"), "unit": .string("GB/s")]
        copy.set("value", copies.map { $0 / 1e9 })
        try report.add("bound", copy)
        var latency: JSONObject = ["name": .string("barrier"), "unit": .string("us")]
        latency.set("value", barrier.map { $0 * 1e6 })
        try report.add("barrier", latency)
        try write(lines, memcpy: copies.median, ranks: ensemble.size, to: report)
    }

    private var sizes: [Int] {
        var sizes: [Int] = []
        var size = minBytes
        while size < maxBytes {
            sizes.append(size)
            size *= factor
        }
        return sizes + [maxBytes]
    }

    private func write(
        _ lines: [(CollectiveBench.Operation, Int, Samples)], memcpy: Double, ranks: Int, to report: BenchReport
    ) throws {
        try report.table(
            "Collectives of \(ranks) ranks",
            [
                BenchColumn("operation", "name", 14, .text), BenchColumn("bytes", "bytes", 11, .number(0)),
                BenchColumn("us", "microseconds", 11, .number(1)),
                BenchColumn("spread", "microseconds", 24, .spread(1)),
                BenchColumn("algbw GB/s", "algbw", 10, .number(2)), BenchColumn("busbw GB/s", "busbw", 10, .number(2)),
                BenchColumn("of memcpy", "share_of_memcpy", 9, .percent),
            ])
        for operation in CollectiveBench.Operation.allCases {
            for (_, bytes, seconds) in lines.filter({ $0.0 == operation }) {
                let algorithm = seconds.map { Double(bytes) / $0 }
                let bus = algorithm.median * operation.busFactor(ranks: ranks)
                var line: JSONObject = ["name": .string(operation.rawValue)]
                line.set("bytes", bytes)
                line.set("microseconds", seconds.map { $0 * 1e6 })
                line.set("algbw", algorithm.map { $0 / 1e9 })
                line["busbw"] = .number(bus / 1e9)
                line["share_of_memcpy"] = .number(bus / memcpy)
                try report.add("collective", line)
            }
        }
    }
}
