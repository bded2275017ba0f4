// The loops behind the machine's bounds do the work that they are said to do. Nothing here asserts a speed.

import CTuttiKernels
import Testing
import TuttiKernels

@Suite struct MachineBoundsTests {
    /// 2 FLOPs a lane of every accumulator and round: 24 of 16 lanes, 12 of 8, 12 of 4.
    @Test(arguments: [(4, 768.0), (3, 192.0), (0, 96.0)])
    func everyLevelCountsItsOperations(_ level: Int32, _ flopsOfARound: Double) {
        var sink: Float = 0
        let flops = tutti_machine_fma(level, 20_000, &sink)
        guard flops > 0 else {
            #expect(level > 0, "the baseline is always there")
            return
        }
        #expect(flops == 20_000 * flopsOfARound)
        // x = 0.999 x + 0.001 goes to 1 in every accumulator; the sink adds one lane of each.
        #expect(abs(sink - (level == 4 ? 24 : 12)) < 0.01)
    }

    @Test func streamsComputeWhatTheyAreNamedFor() {
        let count = 1003  // not a multiple of any vector
        let x = (0..<count).map { Float($0 % 17) }
        let y = (0..<count).map { Float($0 % 5) }
        var out = [Float](repeating: -1, count: count)
        tutti_stream_scale(x, 2, &out, Int64(count))
        #expect(out == x.map { 2 * $0 })
        tutti_stream_triad(x, y, 3, &out, Int64(count))
        #expect(out == zip(x, y).map { $0 + 3 * $1 })
        var sum: Float = 0
        tutti_stream_read(x, Int64(count), &sum)
        #expect(sum == x.reduce(0, +), "small whole numbers add exactly")
    }

    @Test func samplesArePositive() {
        let machine = MachineBounds(streamBytes: 1 << 16)
        #expect(machine.streamElements == 1 << 14)
        #expect(machine.fmaPeak() > 0)
        for stream in MemoryStream.allCases { #expect(machine.bandwidth(stream) > 0, "\(stream)") }
    }
}
