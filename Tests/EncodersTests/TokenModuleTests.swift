// Modules over tokens: gradients by central differences, a text's embedding whatever its batch mates, the slices that are
// reported, dropout between the layers of an LSTM, and lists that do not fit.

import TestSupport
import Testing
import TuttiEncoders
import TuttiGround
import TuttiKernels

/// A model of words with one module over tokens.
struct TokenModuleCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let heads: [HeadConfiguration]
    var isTrained = true

    static let rows = 30
    static let width = 10

    static let all = [
        TokenModuleCase(testDescription: "words", heads: [.pooling(modes: [.mean]), dense(width)]),
        TokenModuleCase(
            testDescription: "word weights",
            heads: [
                .tokens(
                    .wordWeights(
                        WordWeightsPlan(
                            name: "1_WordWeights", vocabulary: (0..<rows).map { "w\($0)" },
                            weights: [Float](repeating: 1, count: rows), unknownWeight: 1))),
                .pooling(modes: [.mean, .meanSqrtLength, .weightedMean, .lastToken]), dense(4 * width),
            ]),
        TokenModuleCase(
            testDescription: "convolutions",
            heads: [
                .tokens(
                    .convolution(ConvolutionPlan(name: "1_CNN", inputWidth: width, channels: 6, widths: [1, 5, 3]))),
                .pooling(modes: [.mean, .lastToken]), .normalize,
            ]),
        TokenModuleCase(
            testDescription: "LSTM",
            heads: [
                .tokens(
                    .recurrence(
                        RecurrencePlan(
                            name: "1_LSTM", inputWidth: width, cells: 7, layers: 1, isBidirectional: false, dropout: 0))
                ),
                .pooling(modes: [.mean, .lastToken]),
            ]),
        TokenModuleCase(
            testDescription: "deep LSTM, frozen words",
            heads: [
                .tokens(
                    .recurrence(
                        RecurrencePlan(
                            name: "1_LSTM", inputWidth: width, cells: 5, layers: 3, isBidirectional: true, dropout: 0.2)
                    )),
                .pooling(modes: [.mean]), dense(10),
            ], isTrained: false),
    ]

    private static func dense(_ width: Int) -> HeadConfiguration {
        .dense(name: "3_Dense", inputWidth: width, outputWidth: 8)
    }

    func encoder() throws -> SequenceEncoder {
        let plan = try WordEmbeddings(rows: Self.rows, width: Self.width, isTrained: isTrained).plan()
        let encoder = try SequenceEncoder(plan, heads: heads)
        for store in [encoder.parameters, encoder.fixed] {
            for (number, entry) in store.layout.entries.enumerated() {
                let values = noise(entry.elementCount, seed: UInt64(number + 1))
                let isWeight = entry.shape == [Self.rows, 1]
                for (place, value) in zip(entry.elements, values) {
                    store.values[place] = isWeight ? 1.5 + 0.2 * value : 0.3 * value
                }
            }
        }
        encoder.parameters.allocateGradients()
        return encoder
    }
}

@Suite struct TokenModuleTests {
    private static let sequences = [[3, 3, 29], [], [7], [1, 2, 3, 4, 5, 6, 7, 8], [9, 8]]
    private let stream = DropoutStream(seed: 7, step: 3, microStep: 1)

    private func batch(_ order: [Int] = [0, 1, 2, 3, 4]) -> PackedBatch {
        var batch = PackedBatch()
        for s in order { batch.append(Self.sequences[s].map { Int32($0) }, slot: UInt64(s)) }
        return batch
    }

    @Test(arguments: TokenModuleCase.all)
    func gradientsEqualDifferences(_ module: TokenModuleCase) throws {
        let encoder = try module.encoder()
        let derivative = DirectionalDerivative(encoder, batch(), taps: [0], dropout: stream, seed: 5)
        for entry in encoder.layout.entries {
            let (slope, analytic, numeric) = derivative.along([entry], step: 0.02)
            #expect(slope > 1e-3, "\(entry.name): no slope to measure")
            #expect(abs(numeric - analytic) <= 1e-3 * abs(analytic), "\(entry.name): \(analytic) against \(numeric)")
        }
        #expect(encoder.layout.entries.contains { $0.name == "emb_layer.weight" } == module.isTrained)
    }

    @Test(arguments: TokenModuleCase.all)
    func aTextHasNoBatchMates(_ module: TokenModuleCase) throws {
        let encoder = try module.encoder()
        let (together, d) = (embed(encoder, batch(), dropout: stream), encoder.outputWidth)
        #expect(together == backpropagate(encoder, batch(), dropout: stream).embeddings)
        for s in Self.sequences.indices {
            let alone = embed(encoder, batch([s]), dropout: stream)
            #expect(largestDifference(alone, together[s * d..<(s + 1) * d]) <= 1e-6, "text \(s)")
        }
        let mixed = embed(encoder, batch([4, 2, 3]), dropout: stream)
        #expect(largestDifference(mixed[..<d], together[(4 * d)...]) <= 1e-6)
        #expect(largestDifference(together[..<d], together[(3 * d)..<(4 * d)]) > 0.01)
    }

    @Test(arguments: TokenModuleCase.all)
    func slicesCoverTheArena(_ module: TokenModuleCase) throws {
        let encoder = try module.encoder()
        let slices = backpropagate(encoder, batch()).slices
        #expect(slices.map(\.lowerBound) == [0] + slices.dropLast().map(\.upperBound))
        #expect(slices.last?.upperBound == encoder.layout.count)
    }

    @Test func dropoutBetweenLayersIsThatOfTraining() throws {
        let deep = try #require(TokenModuleCase.all.last).encoder()
        let still = embed(deep, batch())
        let dropped = embed(deep, batch(), dropout: stream)
        #expect(largestDifference(still, dropped) > 0.01)
        #expect(embed(deep, batch(), dropout: DropoutStream(seed: 7, step: 4, microStep: 1)) != dropped)
    }

    @Test func wordsAreCounted() throws {
        for isCumulative in [true, false] {
            let plan = try BagOfWords(weights: (0..<30).map { Float($0) / 2 }, isCumulative: isCumulative).plan()
            let encoder = try SequenceEncoder(plan, heads: [.pooling(modes: [.mean])])
            let found = embed(encoder, batch())
            #expect(found[3] == (isCumulative ? 3 : 1.5) && found[29] == 14.5 && found[30..<60].allSatisfy { $0 == 0 })
            #expect(encoder.layout.count == 0 && plan.countsWords)
        }
    }

    @Test func listsThatDoNotFitAreRefused() throws {
        let plan = try WordEmbeddings(rows: 30, width: 10, isTrained: true).plan()
        let convolution = HeadConfiguration.tokens(
            .convolution(ConvolutionPlan(name: "1_CNN", inputWidth: 10, channels: 4, widths: [3])))
        let second = HeadConfiguration.tokens(
            .convolution(ConvolutionPlan(name: "2_CNN", inputWidth: 10, channels: 4, widths: [3])))
        let pooling = HeadConfiguration.pooling(modes: [.mean])
        func weights(_ count: Int) -> HeadConfiguration {
            .tokens(
                .wordWeights(
                    WordWeightsPlan(
                        name: "1_W", vocabulary: (0..<count).map { "\($0)" },
                        weights: [Float](repeating: 1, count: count), unknownWeight: 1)))
        }
        for (heads, word) in [
            ([convolution], "not a pooling"), ([pooling, convolution], "after pooling"),
            ([convolution, second, pooling], "outputs 4"), ([weights(29), pooling], "29 words"),
            (
                [.tokens(.layerMixture(LayerMixturePlan(name: "1_L", width: 10, start: 1, layers: 2))), pooling],
                "0 layers"
            ),
            (
                [
                    .tokens(
                        .recurrence(
                            RecurrencePlan(
                                name: "1_LSTM", inputWidth: 9, cells: 2, layers: 1, isBidirectional: true, dropout: 0))),
                    pooling,
                ], "is 9"
            ),
        ] as [([HeadConfiguration], String)] {
            let error = #expect(throws: TuttiError.self) { try SequenceEncoder(plan, heads: heads) }
            #expect(error?.description.contains(word) == true, "\(word): \(String(describing: error))")
        }
    }
}
