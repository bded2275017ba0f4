// The decoder of denoising auto-encoders: its hand-written backward against central differences, dropout on; that no
// token sees what comes behind it; that rows, chunks and padding do not meet.

import TestSupport
import Testing
import TuttiEncoders
import TuttiKernels

@Suite struct DecoderTests {
    static let parts = [
        "", "embeddings.word", "embeddings.position", "embeddings.token_type", "embeddings.LayerNorm",
        ".attention.self.query", ".attention.self.key.weight", ".attention.self.value", ".attention.output.dense",
        ".attention.output.LayerNorm", "crossattention.self.value", "crossattention.output.dense",
        "crossattention.output.LayerNorm", "intermediate", ".output.dense", "predictions.bias", "transform.dense",
        "transform.LayerNorm",
    ]

    /// A tiny decoder with random weights, tied to the encoder whose store it lives in or not.
    private final class Tiny {
        let encoder: SequenceEncoder
        let decoder: TextDecoder
        var store: ParameterStore { encoder.parameters }

        init(isTied: Bool, dropout: Float = 0.1, carries: CarriedSum = .normed) throws {
            var settings = BERT(
                TransformerShape(
                    vocabularySize: 37, hiddenSize: 16, layers: 2, heads: 2, innerSize: 32, maximumPositions: 10))
            (settings.shape.hiddenDropout, settings.shape.attentionDropout) = (dropout, dropout)
            encoder = try SequenceEncoder(
                settings.plan(), heads: [.pooling(modes: [.mean], includePrompt: true)])
            if !isTied { settings.shape.vocabularySize = 53 }
            var plan = try settings.decoderPlan(prefix: "set.decoder.", isTied: isTied)
            plan.stack.carries = carries
            encoder.parameters.setLossParameters(plan.ownTensors)
            encoder.parameters.allocateGradients()
            let random = noise(encoder.layout.count, seed: 5)
            for entry in encoder.layout.entries {
                let isNorm = entry.name.hasSuffix("LayerNorm.weight")
                for i in entry.elements { encoder.parameters.values[i] = 0.25 * random[i] + (isNorm ? 1 : 0) }
            }
            decoder = TextDecoder(plan, parameters: encoder.parameters)
        }

        func value(
            _ target: PackedBatch, _ texts: [Float], gradient: Bool = false, weight: Double = 1,
            dropout: DropoutStream? = DropoutStream(seed: 1, step: 2)
        ) -> (value: Double, dTexts: [Float]) {
            let (texts, d) = (FloatBlock(texts), FloatBlock(count: texts.count))
            let rows = target.sequenceCount
            let value = decoder.reconstruct(
                target, from: texts.matrix(rows, 16), factor: 0.05, weight: weight,
                dTexts: gradient ? d.matrix(rows, 16) : nil, dropout: dropout)
            return (value, d.values)
        }
    }

    /// Texts of 6, 1, 9, 0 and 4 tokens; the third spells the padding token.
    private func target(_ sequences: [Int] = Array(0..<5)) -> PackedBatch {
        let texts: [[Int32]] = [[1, 7, 30, 7, 2, 9], [4], [1, 3, 0, 12, 11, 36, 35, 8, 2], [], [5, 6, 6, 2]]
        var batch = PackedBatch()
        for s in sequences { batch.append(texts[s], slot: UInt64(40 + s), column: 1) }
        return batch
    }

    private func texts(_ sequences: [Int] = Array(0..<5)) -> [Float] {
        let all = noise(5 * 16, seed: 21)
        return sequences.flatMap { all[$0 * 16..<($0 + 1) * 16] }
    }

    @Test(arguments: [true, false], [CarriedSum.normed, .plain])
    func directionalDerivatives(isTied: Bool, carries: CarriedSum) throws {
        let tiny = try Tiny(isTied: isTied, carries: carries)
        let (batch, texts) = (target(), texts())
        let (value, dTexts) = tiny.value(batch, texts, gradient: true)
        #expect(abs(tiny.value(batch, texts).value - value) <= 1e-12 && value > 1)
        #expect(gradientGap(at: texts, gradient: dTexts, step: 1e-2) { tiny.value(batch, $0).value } <= 1e-3)
        let store = tiny.store
        let start = Array(store.values), gradient = Array(store.gradients)
        let random = noise(start.count, seed: 13)
        for part in Self.parts {
            // With the plain sum carried on, only cross-attention would read this norm, and it reads the embedding alone.
            if carries == .plain, part == ".attention.output.LayerNorm" { continue }
            let entries = store.layout.entries.filter { entry in
                // Without the encoder's tensors where the decoder has its own, and what has no gradient.
                (isTied || entry.owner == .loss) && !entry.name.contains("crossattention.self.query")
                    && !entry.name.contains("crossattention.self.key") && (part.isEmpty || entry.name.contains(part))
            }
            #expect(!entries.isEmpty, "\(part)")
            // The padding token's row gets no gradient as an embedding, although a text that spells it reads the row.
            let elements = entries.flatMap { entry in
                Array(entry.name.contains("word_embeddings") ? entry.elements.dropFirst(16) : entry.elements)
            }
            let slope = length(elements.map { gradient[$0] }), randomLength = length(elements.map { random[$0] })
            var direction = [Int: Double]()
            for i in elements { direction[i] = Double(gradient[i]) / slope + Double(random[i]) / randomLength }
            let analytic = elements.reduce(0.0) { $0 + Double(gradient[$1]) * direction[$1, default: 0] }
            func moved(_ step: Double) -> Double {
                for i in elements { store.values[i] = Float(Double(start[i]) + step * direction[i, default: 0]) }
                return tiny.value(batch, texts).value
            }
            let h = 0.02
            let numeric = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
            _ = moved(0)
            #expect(slope > 1e-3, "\(part): no slope to measure")
            #expect(abs(numeric - analytic) <= 1e-3 * abs(analytic), "\(part): \(analytic) against \(numeric)")
        }
        let unread = carries == .plain ? ".attention.output.LayerNorm" : "crossattention.self.query"
        for entry in store.layout.entries
        where entry.name.contains("crossattention.self.query") || (entry.name.contains(unread) && entry.owner == .loss)
        {
            #expect(store.gradient(of: entry).allSatisfy { $0 == 0 }, "\(entry.name)")
        }
        if !isTied {
            for entry in store.layout.entries where entry.owner == .model {
                #expect(store.gradient(of: entry).allSatisfy { $0 == 0 }, "\(entry.name) is not the decoder's")
            }
        }
    }

    /// What a tied table's gradient is added to must be summed and cleared: every row of it.
    @Test(arguments: [true, false])
    func aTiedTableIsTouchedWhole(isTied: Bool) throws {
        let tiny = try Tiny(isTied: isTied)
        _ = tiny.value(target(), texts(), gradient: true)
        #expect(tiny.store.touched.marks.allSatisfy { $0 == (isTied ? 1 : 0) })
        tiny.store.clearGradients()
        #expect(tiny.store.gradients.allSatisfy { $0 == 0 })
    }

    @Test func noTokenSeesWhatIsBehindIt() throws {
        let tiny = try Tiny(isTied: true, dropout: 0)
        let text: [Int32] = [1, 7, 30, 8, 2, 9]
        func value(_ tokens: some Collection<Int32>) -> Double {
            var batch = PackedBatch()
            batch.append(tokens, slot: 0)
            return tiny.value(batch, texts([0]), dropout: nil).value
        }
        // The cross entropy of a text is the sum of those of its tokens, each from the tokens before it alone.
        var sum = 0.0
        for count in 2...text.count {
            let (whole, before) = (value(text[..<count]), count == 2 ? 0 : value(text[..<(count - 1)]))
            #expect(whole - before > 1e-3)
            // With another last token, what the others cost is the same.
            var other = Array(text[..<count])
            other[count - 1] = 0  // padding: not predicted
            #expect(abs(value(other) - before) <= 1e-6)
            sum += whole - before
        }
        #expect(abs(sum - value(text)) <= 1e-6)
        var changed = text
        changed[1] = 11
        #expect(abs(value(changed) - value(text)) > 1e-3, "a token is blind to what stands before it")
    }

    @Test func theEmbeddingIsSeenByEveryToken() throws {
        let tiny = try Tiny(isTied: true, dropout: 0)
        let (_, dTexts) = tiny.value(target(), texts(), gradient: true, dropout: nil)
        for s in 0..<5 {
            let isUsed = dTexts[s * 16..<(s + 1) * 16].contains { abs($0) > 1e-6 }
            #expect(isUsed == (target([s]).tokenCount > 1), "text \(s)")
        }
    }

    /// Dropout on: a text costs the same in any company, and gradients add up.
    @Test func textsDoNotMeet() throws {
        let (whole, parts) = (try Tiny(isTied: true), try Tiny(isTied: true))
        let (value, dTexts) = whole.value(target(), texts(), gradient: true)
        var (sum, gathered) = (0.0, [Float]())
        for sequences in [[0], [1, 2], [], [3, 4]] {
            let part = parts.value(target(sequences), texts(sequences), gradient: true)
            sum += part.value
            gathered += part.dTexts
        }
        #expect(abs(sum - value) <= 1e-6 && largestDifference(gathered, dTexts) <= 1e-6)
        let largest = whole.store.gradients.reduce(0) { max($0, abs($1)) }
        #expect(largestDifference(parts.store.gradients, whole.store.gradients) <= 1e-5 * Double(largest))
        let other = whole.value(target(), texts(), dropout: DropoutStream(seed: 1, step: 3)).value
        #expect(abs(other - value) > 1e-3, "masks do not matter")
    }

    @Test func weightsWeighGradientsOnly() throws {
        let (plain, weighted) = (try Tiny(isTied: false), try Tiny(isTied: false))
        let one = plain.value(target(), texts(), gradient: true)
        let three = weighted.value(target(), texts(), gradient: true, weight: 3)
        #expect(one.value == three.value)
        #expect(relativeDifference(three.dTexts, one.dTexts.map { 3 * Double($0) }) <= 1e-5)
        #expect(
            relativeDifference(Array(weighted.store.gradients), plain.store.gradients.map { 3 * Double($0) }) <= 1e-5)
    }

    @Test func predictedTokens() throws {
        let tiny = try Tiny(isTied: true)
        #expect(tiny.decoder.predictedTokens(of: target()) == 5 + 0 + 7 + 0 + 3)
    }

    private func length(_ x: [Float]) -> Double { x.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }
}
