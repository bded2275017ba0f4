// What must not change an embedding or a gradient: batch mates, order, chunks, a replay, a second run.

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
        #expect(embed(encoder, batch, dropout: stream, keep: true) == first)
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
        let whole = embed(encoder, try golden.batch(), dropout: stream, keep: true)
        backpropagate(encoder, c)
        let expected = gradient(encoder)
        encoder.parameters.clearGradients()
        for chunk in [0..<3, 3..<4, 4..<8] {
            let part = try golden.batch(Array(chunk))
            let range = chunk.lowerBound * d..<chunk.upperBound * d
            let replay = embed(encoder, part, dropout: stream, keep: true)
            #expect(largestDifference(replay, whole[range]) <= 1e-6)
            backpropagate(encoder, Array(c[range]))
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
            _ = embed(encoder, try golden.batch(), dropout: stream, keep: true)
            backpropagate(encoder, noise(8 * encoder.outputWidth, seed: 9))
            runs.append(gradient(encoder))
        }
        #expect(runs[0] == runs[1])
    }

    /// Slices come in layout order and cover the arena once, with an empty batch too.
    @Test(arguments: GoldenKind.allCases)
    func finishedSlicesCoverTheArena(_ kind: GoldenKind) throws {
        let golden = try Golden(kind)
        let encoder = try golden.encoder(heads: golden.denseHeads)
        for (batch, taps) in [(try golden.batch(), [2]), (PackedBatch(), [2]), (try golden.batch(), [0, 1])] {
            encoder.taps = taps
            let embeddings = embed(encoder, batch, keep: true)
            let slices = backpropagate(encoder, [Float](repeating: 1, count: embeddings.count))
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
        encoder.taps = [0, 1, 2]
        let together = embed(encoder, batch, keep: true)
        #expect(embed(encoder, batch) == together, "keeping activations changes the embeddings")
        backpropagate(encoder, c)
        let expected = gradient(encoder)
        encoder.parameters.clearGradients()
        for tap in 0...2 {
            encoder.taps = [tap]
            #expect(embed(encoder, batch, keep: true) == Array(together[tap * block..<(tap + 1) * block]))
            backpropagate(encoder, Array(c[tap * block..<(tap + 1) * block]))
        }
        let scale = Double(expected.map(abs).max() ?? 0)
        #expect(largestDifference(gradient(encoder), expected) <= 1e-5 * scale)
    }
}
