// The machine's limits in benchmark reports: FMA peak, streams, memcpy.

import TuttiFormats
import TuttiGround
import TuttiKernels

/// Samples of the bounds of one run; take them between measurements.
struct BoundSamples {
    private(set) var fma = Samples()
    private(set) var streams: [MemoryStream: Samples] = [:]

    /// The median FMA peak of all threads of one rank, FLOP/s.
    var fmaPeak: Double { fma.median }

    /// The median bandwidth of a stream, bytes per second.
    func bandwidth(_ stream: MemoryStream) -> Double { streams[stream]?.median ?? 0 }

    /// Takes one sample of the FMA peak.
    mutating func sampleFMA(_ machine: MachineBounds) { fma.add(machine.fmaPeak()) }

    /// Takes one sample of each stream.
    mutating func sampleStreams(_ machine: MachineBounds, _ chosen: [MemoryStream] = MemoryStream.allCases) {
        for stream in chosen { streams[stream, default: Samples()].add(machine.bandwidth(stream)) }
    }

    /// Writes one row per bound.
    func write(to report: BenchReport, machine: MachineBounds) throws {
        let bytes = machine.streamElements * MemoryLayout<Float>.stride
        try report.table(
            "Bounds (streams over arrays of \(bytes >> 20) MiB; bytes read and written by the program are counted)",
            [
                BenchColumn("bound", "name", 10, .text), BenchColumn("median", "value", 9, .number(1)),
                BenchColumn("spread", "value", 19, .spread(1)), BenchColumn("unit", "unit", 8, .text),
            ])
        var peak: JSONObject = ["name": .string("fma_peak"), "unit": .string("GFLOP/s")]
        peak.set("value", fma.map { $0 / 1e9 })
        peak["per_thread"] = .number(fmaPeak / 1e9 / Double(Parallel.threads))
        peak.set("level", machine.fmaLevel)
        try report.add("bound", peak)
        for stream in MemoryStream.allCases {
            guard let samples = streams[stream] else { continue }
            var bound: JSONObject = ["name": .string(stream.rawValue), "unit": .string("GB/s")]
            bound.set("value", samples.map { $0 / 1e9 })
            bound.set("bytes_per_element", stream.bytesPerElement)
            bound.set("array_bytes", bytes)
            try report.add("bound", bound)
        }
    }
}
