// Every family against the reference in float64, and against itself: layers, embeddings, gradients, finite differences
// with dropout, chunks, taps. All are found by their folders and by the registry.

import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats
import TuttiKernels

struct FamilyTests {
    private let pooling = [HeadConfiguration.pooling(modes: [.cls, .mean, .lastToken])]
    private let stream = DropoutStream(seed: 7, step: 3, microStep: 1)

    @Test func everyFamilyHasAGolden() {
        let tested = Set(FamilyGolden.all.map(\.modelType))
        for family in EncoderFamilies.all {
            #expect(family.modelTypes.contains(where: tested.contains), "\(family) has no golden")
        }
    }

    /// Layers to fp32 noise on values of order ten.
    @Test(arguments: FamilyGolden.all)
    func layersEqualTheReference(_ golden: FamilyGolden) throws {
        let (file, batch) = (try golden.expected(), try golden.batch())
        let encoder = try golden.encoder(heads: [.pooling(modes: [.mean])])
        let taps = Array(0...encoder.layerCount)
        let embeddings = embed(encoder, batch, taps: taps)
        #expect(embeddings == backpropagate(encoder, batch, taps: taps).embeddings)
        let block = batch.sequenceCount * encoder.outputWidth
        for tap in taps {
            let expected = try file.floats("layer.\(tap)")
            let difference = largestDifference(embeddings[tap * block..<(tap + 1) * block], expected)
            let scale = Double(expected.map(abs).max() ?? 1)
            #expect(difference <= 3e-6 * max(1, scale), "layer \(tap): \(difference)")
            let other = try file.floats("layer.\(tap == 0 ? 1 : 0)")
            #expect(largestDifference(expected, other) > 0.01, "layers \(tap) and its neighbour are alike")
        }
    }

    /// 2e-6 on unit vectors.
    @Test(arguments: FamilyGolden.all)
    func embeddingsEqualTheReference(_ golden: FamilyGolden) throws {
        let (file, batch) = (try golden.expected(), try golden.batch())
        let expected = try file.floats("embeddings")
        let own = embed(try golden.encoder(heads: pooling), batch)
        let width = expected.count / batch.sequenceCount / 3
        for start in stride(from: 0, to: expected.count, by: width) {
            let (a, b) = (unit(own[start..<start + width]), unit(expected[start..<start + width]))
            #expect(largestDifference(a, b) <= 2e-6, "\(largestDifference(a, b))")
        }
    }

    @Test(arguments: FamilyGolden.all)
    func gradientsEqualTheReference(_ golden: FamilyGolden) throws {
        let (file, batch) = (try golden.expected(), try golden.batch())
        let encoder = try golden.encoder(heads: pooling)
        let coefficients = try file.floats("coefficients")
        backpropagate(encoder, batch, coefficients)
        var references: [[Float]] = []
        for entry in encoder.layout.entries {
            // What has no gradient in the reference is not in the file; nor is what it never uses.
            references.append(
                file.info("gradient." + entry.name) == nil
                    ? [Float](repeating: 0, count: entry.elementCount) : try file.floats("gradient." + entry.name))
        }
        let largest = references.reduce(0) { $1.reduce($0) { max($0, abs($1)) } }
        for (entry, reference) in zip(encoder.layout.entries, references) {
            let own = reference.reduce(0) { max($0, abs($1)) }
            let difference = largestDifference(encoder.parameters.gradient(of: entry), reference)
            var bound = 1e-5 * Double(max(own, 1e-3 * largest))
            if own <= 1e-9 * largest, entry.name.hasSuffix(".bias") {
                // A key bias: softmax does not see a shift of all keys. What is left of the zero is the rounding of terms
                // as large as the key weights' gradient.
                let weight = "gradient.\(entry.name.dropLast("bias".count))weight"
                bound = 1e-6 * Double(try file.floats(weight).reduce(0) { max($0, abs($1)) })
            } else if file.info("terms." + entry.name) != nil {
                // The same behind a norm of keys, which sees a shift: a small rest of terms that nearly cancel. It is as exact
                // as they are, and the file has the sums of their absolute values.
                bound = max(bound, 1e-6 * Double(try file.floats("terms." + entry.name).reduce(0, max)))
            }
            #expect(difference <= bound, "\(entry.name): \(difference) > \(bound)")
        }
        // Negative control: the bound tells a gradient from one that was added twice.
        backpropagate(encoder, batch, coefficients)
        let first = try #require(encoder.layout.entries.first)
        let own = Double(references[0].reduce(0) { max($0, abs($1)) })
        #expect(largestDifference(encoder.parameters.gradient(of: first), references[0]) > 0.5 * own)
    }

    /// Parameters of one kind (all layers together) by themselves, and all at once, dropout on.
    @Test(arguments: FamilyGolden.all.filter(\.isSmooth))
    func directionalDerivatives(_ golden: FamilyGolden) throws {
        let encoder = try golden.encoder(heads: [.pooling(modes: [.mean]), .normalize], dropout: 0.1)
        let derivative = DirectionalDerivative(
            encoder, try golden.batch(hasPadding: false), taps: Array(0...encoder.layerCount), dropout: stream,
            seed: 11)
        let kinds = Dictionary(grouping: encoder.layout.entries) { entry in
            entry.name.split(separator: ".").filter { Int($0) == nil }.joined(separator: ".")
        }
        var tested = 0
        for (kind, entries) in [("all", encoder.layout.entries)] + kinds.sorted(by: { $0.key < $1.key }) {
            let (slope, analytic, numeric) = derivative.along(entries, step: 0.01)
            if slope <= 1e-3 {  // only a key bias has a zero gradient
                #expect(kind.hasSuffix("bias"), "\(kind): no slope to measure")
                continue
            }
            tested += 1
            #expect(abs(numeric - analytic) <= 1e-3 * abs(analytic), "\(kind): \(analytic) against \(numeric)")
        }
        #expect(tested >= 8)
    }

    @Test(arguments: FamilyGolden.all)
    func chunksAddUpToTheBatch(_ golden: FamilyGolden) throws {
        let encoder = try golden.encoder(heads: [.pooling(modes: [.mean, .max]), .normalize], dropout: 0.2)
        let d = encoder.outputWidth
        let c = noise(6 * d, seed: 5)
        let whole = backpropagate(encoder, try golden.batch(), c, dropout: stream).embeddings
        let expected = Array(encoder.parameters.gradients)
        #expect(largestDifference(whole, embed(encoder, try golden.batch())) > 0.01, "nothing was dropped")
        encoder.parameters.clearGradients()
        for chunk in [0..<2, 2..<3, 3..<6] {
            let range = chunk.lowerBound * d..<chunk.upperBound * d
            let part = try golden.batch(Array(chunk))
            let replay = backpropagate(encoder, part, Array(c[range]), dropout: stream).embeddings
            #expect(largestDifference(replay, whole[range]) <= 1e-6)
        }
        let scale = Double(expected.map(abs).max() ?? 0)
        #expect(largestDifference(encoder.parameters.gradients, expected) <= 1e-5 * scale)
    }

    /// Gradients at several taps are those of the taps one by one, added; finished slices cover the arena.
    @Test(arguments: FamilyGolden.all)
    func tapsAddUp(_ golden: FamilyGolden) throws {
        let encoder = try golden.encoder(heads: [.pooling(modes: [.mean])], dropout: 0.2)
        let (batch, taps) = (try golden.batch(), Array(0...encoder.layerCount))
        let block = batch.sequenceCount * encoder.outputWidth
        let c = noise(taps.count * block, seed: 3)
        let (together, slices) = backpropagate(encoder, batch, c, taps: taps, dropout: stream)
        #expect(slices.map(\.lowerBound) == [0] + slices.dropLast().map(\.upperBound))
        #expect(slices.last?.upperBound == encoder.layout.count)
        let expected = Array(encoder.parameters.gradients)
        encoder.parameters.clearGradients()
        for tap in taps {
            let range = tap * block..<(tap + 1) * block
            let own = backpropagate(encoder, batch, Array(c[range]), taps: [tap], dropout: stream).embeddings
            #expect(own == Array(together[range]))
        }
        let scale = Double(expected.map(abs).max() ?? 0)
        #expect(largestDifference(encoder.parameters.gradients, expected) <= 1e-5 * scale)
    }

    private func unit(_ x: ArraySlice<Float>) -> [Float] {
        let length = x.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return x.map { Float(Double($0) / length) }
    }
}
