// Tiny BERT and MPNet against torch in float64: every layer's tokens, every pooling mode, every gradient.

import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats
import TuttiKernels

struct GoldenTests {
    /// fp32 noise of two layers on values of order ten.
    private let activationBound = 1e-5

    @Test(arguments: GoldenKind.allCases)
    func poolingModes(_ kind: GoldenKind) throws {
        let golden = try Golden(kind)
        for mode in PoolingMode.allCases {
            for (prefix, includePrompt) in [("pooled", true), ("promptless", false)] {
                let encoder = try golden.encoder(heads: [.pooling(modes: [mode], includePrompt: includePrompt)])
                let expected = try golden.file.floats("\(prefix).\(mode.name)")
                let scale = Double(expected.map(abs).max() ?? 1)
                let difference = largestDifference(embed(encoder, try golden.batch()), expected)
                #expect(difference <= activationBound * max(1, scale), "\(prefix) \(mode.name): \(difference)")
            }
        }
        // Negative control: another mode is not mistaken for the mean.
        let last = try golden.encoder(heads: [.pooling(modes: [.lastToken])])
        #expect(largestDifference(embed(last, try golden.batch()), try golden.file.floats("pooled.mean")) > 0.1)
    }

    /// The tokens of every layer, seen through taps: first and last token, and three reductions over all of them.
    @Test(arguments: GoldenKind.allCases)
    func everyLayer(_ kind: GoldenKind) throws {
        let golden = try Golden(kind)
        let modes: [PoolingMode] = [.cls, .lastToken, .mean, .weightedMean, .max]
        let encoder = try golden.encoder(heads: [.pooling(modes: modes)])
        let taps = Array(0...encoder.layerCount)
        let batch = try golden.batch()
        let d = encoder.plan.hiddenSize
        let embeddings = embed(encoder, batch, taps: taps)
        #expect(embeddings == backpropagate(encoder, batch, taps: taps).embeddings)
        for layer in taps {
            let tokens = try golden.file.floats("hidden.\(layer)")
            for s in 0..<batch.sequenceCount {
                let rows = Int(batch.offsets[s])..<Int(batch.offsets[s + 1])
                for (place, mode) in modes.enumerated() {
                    let expected = (0..<d).map { column -> Float in
                        let values = rows.map { Double(tokens[$0 * d + column]) }
                        switch mode {
                        case .cls: return Float(values[0])
                        case .lastToken: return Float(values[values.count - 1])
                        case .max: return Float(values.max() ?? 0)
                        case .mean: return Float(values.reduce(0, +) / Double(values.count))
                        default:
                            let weights = values.indices.map { Double($0 + 1) }
                            let sum = zip(values, weights).reduce(0) { $0 + $1.0 * $1.1 }
                            return Float(sum / weights.reduce(0, +))
                        }
                    }
                    let start = ((layer * batch.sequenceCount + s) * modes.count + place) * d
                    let difference = largestDifference(embeddings[start..<start + d], expected)
                    #expect(
                        difference <= activationBound * 3, "layer \(layer), sequence \(s), \(mode.name): \(difference)")
                }
            }
        }
    }

    @Test(arguments: GoldenKind.allCases, gemmProviders)
    func gradients(_ kind: GoldenKind, _ provider: GemmProvider) throws {
        try withGemm(provider) {
            for name in ["all", "heads"] { try requireGradients(kind, name) }
        }
    }

    private func requireGradients(_ kind: GoldenKind, _ name: String) throws {
        let golden = try Golden(kind)
        let heads = name == "all" ? [.pooling(modes: PoolingMode.allCases)] : golden.denseHeads
        let encoder = try golden.encoder(heads: heads)
        let batch = try golden.batch()
        let coefficients = try golden.file.floats("coefficients.\(name)")
        let embeddings = backpropagate(encoder, batch, coefficients).embeddings
        let expected = try golden.file.floats("embeddings.\(name)")
        let scale = Double(expected.map(abs).max() ?? 1)
        #expect(largestDifference(embeddings, expected) <= activationBound * scale)
        let references = try encoder.layout.entries.map { try golden.file.floats("gradient.\(name).\($0.name)") }
        let largest = references.reduce(0) { $1.reduce($0) { max($0, abs($1)) } }
        for (entry, reference) in zip(encoder.layout.entries, references) {
            let own = reference.reduce(0) { max($0, abs($1)) }
            let difference = largestDifference(encoder.parameters.gradient(of: entry), reference)
            var bound = 1e-5 * Double(max(own, 1e-3 * largest))
            if entry.name.hasSuffix("self.key.bias") || entry.name.hasSuffix("attn.k.bias") {
                // Softmax does not see a shift of all keys: the true gradient is zero (1e-15 in float64), what is left is
                // the rounding of terms as large as the key weights' gradients.
                let weight = "gradient.\(name).\(entry.name.dropLast("bias".count))weight"
                bound = 1e-6 * Double(try golden.file.floats(weight).reduce(0) { max($0, abs($1)) })
            }
            #expect(difference <= bound, "\(entry.name): \(difference) > \(bound)")
        }
        // Negative control: the bound tells a gradient from one that was added twice.
        backpropagate(encoder, batch, coefficients)
        let entry = try #require(encoder.layout.entry(named: "embeddings.LayerNorm.weight"))
        let reference = try golden.file.floats("gradient.\(name).\(entry.name)")
        let own = Double(reference.reduce(0) { max($0, abs($1)) })
        #expect(largestDifference(encoder.parameters.gradient(of: entry), reference) > 0.5 * own)
    }
}
