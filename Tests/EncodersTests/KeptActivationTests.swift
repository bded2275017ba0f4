// Passes that do not keep all activations in fp32, and products of bf16 operands, for every family.

import TestSupport
import Testing
import TuttiEncoders
import TuttiKernels

@Suite(.serialized) struct KeptActivationTests {
    private let stream = DropoutStream(seed: 7, step: 3, microStep: 1)

    /// Embeddings and all gradients of a pass with taps, dropout on.
    private func pass(
        _ golden: FamilyGolden, _ kept: KeptActivations, half: HalfProducts? = nil, taps: [Int]? = nil,
        seed: UInt64 = 7, modes: [PoolingMode] = [.mean, .max]
    ) throws -> (embeddings: [Float], gradients: [Float]) {
        let encoder = try golden.encoder(heads: [.pooling(modes: modes)], dropout: 0.2)
        (encoder.kept, encoder.halfProducts) = (kept, half)
        let batch = try golden.batch()
        let count = (taps?.count ?? 1) * batch.sequenceCount * encoder.outputWidth
        let result = backpropagate(
            encoder, batch, noise(count, seed: 3), taps: taps, dropout: DropoutStream(seed: seed, step: 3, microStep: 1)
        )
        return (result.embeddings, Array(encoder.parameters.gradients))
    }

    /// The share of `other` that is not `one`: |a - b| / |a|.
    private func distance(_ one: [Float], _ other: [Float]) -> Double {
        let (part, whole) = zip(one, other).reduce((0.0, 0.0)) {
            let (a, b) = (Double($1.0), Double($1.1))
            return ($0.0 + (a - b) * (a - b), $0.1 + a * a)
        }
        return (part / whole).squareRoot()
    }

    /// A forward that runs again draws the same masks: the same bits, also where taps read layers in between.
    @Test(arguments: FamilyGolden.all)
    func recomputedPassesGiveTheSameBits(_ golden: FamilyGolden) throws {
        for taps in [nil, [0, 1, 2]] {
            let plain = try pass(golden, .fp32, taps: taps)
            let again = try pass(golden, .recomputed, taps: taps)
            #expect(plain.embeddings == again.embeddings && plain.gradients == again.gradients)
        }
        // The control: other masks give other gradients.
        #expect(try pass(golden, .fp32).gradients != pass(golden, .recomputed, seed: 8).gradients)
    }

    /// Rounding what is kept, by 2^-9 of a number, changes no embedding. Gradients change by 0.2 to 2 % of their norm, those
    /// of T5, whose scores are not scaled, by 5 %.
    @Test(arguments: FamilyGolden.all)
    func roundedActivationsGiveNearlyTheSameGradients(_ golden: FamilyGolden) throws {
        for taps in [nil, [0, 1, 2]] {
            let plain = try pass(golden, .fp32, taps: taps)
            let rounded = try pass(golden, .bf16, taps: taps)
            #expect(plain.embeddings == rounded.embeddings)
            let difference = distance(plain.gradients, rounded.gradients)
            #expect(difference > 0 && difference < 0.06, "\(difference)")
        }
    }

    /// Products of bf16 operands, by all instructions of this processor.
    @Test(arguments: FamilyGolden.all)
    func bf16ProductsGiveNearlyTheSameGradients(_ golden: FamilyGolden) throws {
        let modes: [PoolingMode] = [.mean]  // the largest number of a column may be another token's
        let plain = try pass(golden, .fp32, modes: modes)
        for products in HalfProducts.available {
            let half = try pass(golden, .bf16, half: products, modes: modes)
            #expect(plain.embeddings != half.embeddings)
            let (embeddings, gradients) = (
                distance(plain.embeddings, half.embeddings), distance(plain.gradients, half.gradients)
            )
            #expect(embeddings < 0.01 && gradients < 0.06, "\(products): \(embeddings), \(gradients)")
            let again = try pass(golden, .recomputed, half: products, modes: modes)
            #expect(again.embeddings == half.embeddings)
        }
    }

    /// Embeddings without a backward, of 8-bit operands; training passes take no notice.
    @Test(arguments: FamilyGolden.all)
    func int8ProductsGiveNearlyTheSameEmbeddings(_ golden: FamilyGolden) throws {
        let encoder = try golden.encoder(heads: [.pooling(modes: [.mean])], dropout: 0.2)
        let batch = try golden.batch()
        let (plain, trained) = (embed(encoder, batch), embed(encoder, batch, dropout: stream))
        for products in Int8Products.available {
            encoder.frozenProducts = .int8(products)
            let rounded = embed(encoder, batch)
            #expect(rounded != plain && distance(plain, rounded) < 0.05, "\(distance(plain, rounded))")
            #expect(embed(encoder, batch, dropout: stream) == trained)
        }
    }

    /// A layer's input is all that is kept of it; rounded, it is a little more than half.
    @Test func keepingLessTakesLessMemory() throws {
        var shape = TransformerShape(
            vocabularySize: 50, hiddenSize: 128, layers: 12, heads: 4, innerSize: 512, maximumPositions: 80)
        shape.hiddenDropout = 0.1
        let encoder = try SequenceEncoder(BERT(shape).plan(), heads: [.pooling(modes: [.mean])])
        encoder.parameters.allocateGradients()
        var batch = PackedBatch()
        for text in 0..<16 { batch.append((0..<64).map { Int32($0 % 50) }[...], slot: UInt64(text), column: 0) }
        let bytes = KeptActivations.allCases.map { kept in
            encoder.kept = kept
            return encoder.activationBytes(of: batch)
        }
        #expect(Double(bytes[1]) <= 0.55 * Double(bytes[0]), "bf16: \(bytes)")
        #expect(Double(bytes[2]) <= 0.35 * Double(bytes[0]), "recomputed: \(bytes)")
    }
}
