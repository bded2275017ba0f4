// Every family in training mode against the reference, which was given Tutti's masks: what is dropped, and where.
// Tests/Golden/families_dropout.py makes the goldens.

import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats

struct DropoutGoldenTests {
    @Test(arguments: FamilyGolden.all)
    func layersEqualTheReference(_ golden: FamilyGolden) throws {
        let file = try SafetensorsFile(path: Goldens.path("families/\(golden.name)/dropout.safetensors"))
        let batch = try golden.batch()
        let encoder = try golden.encoder(heads: [.pooling(modes: [.mean])], dropout: 0.1)
        let taps = Array(0...encoder.layerCount)
        let stream = DropoutStream(seed: 7, step: 3, microStep: 1)
        let dropped = embed(encoder, batch, taps: taps, dropout: stream)
        let plain = embed(encoder, batch, taps: taps)
        let block = batch.sequenceCount * encoder.outputWidth
        for tap in taps {
            let expected = try file.floats("layer.\(tap)")
            let range = tap * block..<(tap + 1) * block
            let scale = max(1, Double(expected.map(abs).max() ?? 1))
            let difference = largestDifference(dropped[range], expected)
            #expect(difference <= 3e-6 * scale, "layer \(tap): \(difference)")
            // Negative control; decoders drop nothing before their first layer.
            if tap > 0 { #expect(largestDifference(plain[range], expected) > 0.01 * scale, "layer \(tap)") }
        }
    }
}
