// What must not change an embedding or a gradient: batch mates, order, chunks, a replay, a second run.

import TestSupport
import Testing
import TuttiEncoders
import TuttiKernels

struct InvarianceTests {
    private let stream = DropoutStream(seed: 7, step: 3, microStep: 1)

    private func dropoutEncoder(_ kind: GoldenKind) throws -> SequenceEncoder {
        let golden = try Golden(kind)
        return try golden.encoder(
            heads: [.pooling(modes: [.mean, .max]), .dropout(rate: 0.25), .normalize], hiddenDropout: 0.1,
            attentionDropout: 0.2)
    }

    private func gradient(_ encoder: SequenceEncoder) -> [Float] { Array(encoder.parameters.gradients) }

    @Test(arguments: GoldenKind.allCases)
    func batchMatesAndOrder(_ kind: GoldenKind) throws {
        let golden = try Golden(kind)
        for dropout in [nil, stream] {
            let encoder = try dropoutEncoder(kind)
            let d = encoder.outputWidth
            let all = embed(encoder, try golden.batch(), dropout: dropout)
            let order = [5, 2, 7, 0, 3, 6, 1, 4]
            let shuffled = embed(encoder, try golden.batch(order), dropout: dropout)
            for (place, s) in order.enumerated() {
                let alone = embed(encoder, try golden.batch([s]), dropout: dropout)
                #expect(largestDifference(alone, all[s * d..<(s + 1) * d]) <= 1e-6)
                #expect(largestDifference(shuffled[place * d..<(place + 1) * d], all[s * d..<(s + 1) * d]) <= 1e-6)
            }
        }
    }

    @Test(arguments: GoldenKind.allCases)
    func masksDependOnEveryCoordinate(_ kind: GoldenKind) throws {
        let golden = try Golden(kind)
        let encoder = try dropoutEncoder(kind)
        let batch = try golden.batch()
        let first = embed(encoder, batch, dropout: stream)
        #expect(embed(encoder, batch, dropout: stream) == first)
        #expect(backpropagate(encoder, batch, dropout: stream).embeddings == first)
        for other in [
            DropoutStream(seed: 8, step: 3, microStep: 1), DropoutStream(seed: 7, step: 4, microStep: 1),
            DropoutStream(seed: 7, step: 3, microStep: 2),
        ] { #expect(largestDifference(embed(encoder, batch, dropout: other), first) > 0.01) }
        #expect(largestDifference(embed(encoder, batch), first) > 0.01)
        var moved = PackedBatch()
        moved.append(batch.ids[0..<7], slot: 100, column: 1)
        var same = PackedBatch()
        same.append(batch.ids[0..<7], slot: 100, column: 0)
        let width = encoder.outputWidth
        #expect(largestDifference(embed(encoder, same, dropout: stream), first[0..<width]) <= 1e-6)
        #expect(largestDifference(embed(encoder, moved, dropout: stream), first[0..<width]) > 0.01)
    }

    @Test(arguments: GoldenKind.allCases)
    func chunksAddUpToTheBatch(_ kind: GoldenKind) throws {
        let golden = try Golden(kind)
        let encoder = try dropoutEncoder(kind)
        let d = encoder.outputWidth
        let c = noise(8 * d, seed: 5)
        let whole = backpropagate(encoder, try golden.batch(), c, dropout: stream).embeddings
        let expected = gradient(encoder)
        encoder.parameters.clearGradients()
        for chunk in [0..<3, 3..<4, 4..<8] {
            let part = try golden.batch(Array(chunk))
            let range = chunk.lowerBound * d..<chunk.upperBound * d
            let replay = backpropagate(encoder, part, Array(c[range]), dropout: stream).embeddings
            #expect(largestDifference(replay, whole[range]) <= 1e-6)
        }
        let scale = Double(expected.map(abs).max() ?? 0)
        #expect(scale > 0.1)
        #expect(largestDifference(gradient(encoder), expected) <= 1e-5 * scale)
    }

    @Test(arguments: GoldenKind.allCases)
    func twoRunsGiveTheSameBits(_ kind: GoldenKind) throws {
        let golden = try Golden(kind)
        var runs: [[Float]] = []
        for _ in 0..<2 {
            let encoder = try dropoutEncoder(kind)
            backpropagate(
                encoder, try golden.batch(), noise(8 * encoder.outputWidth, seed: 9), dropout: stream)
            runs.append(gradient(encoder))
        }
        #expect(runs[0] == runs[1])
    }

    /// A pass is a value: others may begin and end while it lives, and one may be dropped.
    @Test(arguments: GoldenKind.allCases)
    func passesDoNotMeet(_ kind: GoldenKind) throws {
        let golden = try Golden(kind)
        let encoder = try dropoutEncoder(kind)
        let (first, second) = (try golden.batch([0, 1, 2]), try golden.batch([3, 4]))
        let width = encoder.outputWidth
        let (c, d) = (noise(3 * width, seed: 5), noise(2 * width, seed: 6))
        let alone = (backpropagate(encoder, first, c, dropout: stream), backpropagate(encoder, second, d))
        let expected = gradient(encoder)
        encoder.parameters.clearGradients()
        let (one, two, none) = (
            FloatBlock(count: 3 * width), FloatBlock(count: 2 * width), FloatBlock(count: 3 * width)
        )
        let outer = encoder.forward(first, dropout: stream, into: one.matrix(3, width))
        let inner = encoder.forward(second, dropout: nil, into: two.matrix(2, width))
        _ = encoder.forward(first, dropout: nil, into: none.matrix(3, width))
        #expect(embed(encoder, second) == two.values)
        outer.backward(FloatBlock(c).matrix(3, width)) { _ in }
        inner.backward(FloatBlock(d).matrix(2, width)) { _ in }
        #expect(one.values == alone.0.embeddings && two.values == alone.1.embeddings)
        #expect(gradient(encoder) == expected)
    }

    /// Slices come in layout order and cover the arena once, with an empty batch too.
    @Test(arguments: GoldenKind.allCases)
    func finishedSlicesCoverTheArena(_ kind: GoldenKind) throws {
        let golden = try Golden(kind)
        let encoder = try golden.encoder(heads: golden.denseHeads)
        for (batch, taps) in [(try golden.batch(), [2]), (PackedBatch(), [2]), (try golden.batch(), [0, 1])] {
            let slices = backpropagate(encoder, batch, taps: taps).slices
            var end = 0
            for slice in slices {
                #expect(slice.lowerBound == end && !slice.isEmpty)
                end = slice.upperBound
            }
            #expect(end == encoder.layout.count)
            #expect(slices.count == 3 + 2 + 1)
        }
    }

    /// Gradients at several taps are those of the taps one by one, added.
    @Test(arguments: GoldenKind.allCases, [CarriedSum.normed, .plain])
    func tapsAddUp(_ kind: GoldenKind, _ carries: CarriedSum) throws {
        let golden = try Golden(kind)
        let encoder = try golden.encoder(heads: [.pooling(modes: [.mean])], carries: carries)
        let batch = try golden.batch()
        let block = batch.sequenceCount * encoder.outputWidth
        let c = noise(3 * block, seed: 3)
        let together = backpropagate(encoder, batch, c, taps: [0, 1, 2]).embeddings
        #expect(embed(encoder, batch, taps: [0, 1, 2]) == together, "keeping activations changes the embeddings")
        let expected = gradient(encoder)
        encoder.parameters.clearGradients()
        for tap in 0...2 {
            let range = tap * block..<(tap + 1) * block
            let own = backpropagate(encoder, batch, Array(c[range]), taps: [tap]).embeddings
            #expect(own == Array(together[range]))
        }
        let scale = Double(expected.map(abs).max() ?? 0)
        #expect(largestDifference(gradient(encoder), expected) <= 1e-5 * scale)
    }
}
