// Hand-written backwards against central differences, dropout on: each kind of layer by itself, and all together.
//
// f = sum(c * embeddings) is smooth along a line, so Richardson's four-point rule leaves fp32 rounding as the error. The
// direction is half the gradient's own (a large slope to measure), half random (to see what the gradient leaves out).

import Testing
import TuttiEncoders
import TuttiKernels

struct FiniteDifferenceTests {
    /// Parts of an encoder by a piece of their parameters' names; "" is everything.
    static let parts = [
        "", "word_embeddings", "position_embeddings", "token_type", "embeddings.LayerNorm", "attention.self.query",
        "attention.self.key.weight", "attention.self.value", "attention.output", "attn.q", "attn.k.weight", "attn.v",
        "attn.o", "attention.LayerNorm", "relative_attention_bias", "intermediate", "output.dense", "output.LayerNorm",
        "2_Dense", "3_LayerNorm", "4_Dense",
    ]

    /// Post-LN as the families are, and pre-LN: the same parts with the plain sum carried on.
    @Test(arguments: GoldenKind.allCases, [CarriedSum.normed, .plain])
    func directionalDerivatives(_ kind: GoldenKind, _ carries: CarriedSum) throws {
        let golden = try Golden(kind)
        let encoder = try golden.encoder(
            heads: golden.denseHeads + [.dropout(rate: 0.3)], hiddenDropout: 0.1, attentionDropout: 0.1,
            carries: carries)
        let taps = [0, 1, 2]
        let batch = try golden.batch()
        let stream = DropoutStream(seed: 1, step: 2)
        let c = noise(taps.count * batch.sequenceCount * encoder.outputWidth, seed: 11)
        backpropagate(encoder, batch, c, taps: taps, dropout: stream)
        let start = Array(encoder.parameters.values)
        let gradient = Array(encoder.parameters.gradients)
        // The plain sum is nowhere normed back to size, so f bends more along a line: with all of MPNet's parts the rule is
        // off by 2.1e-3 at a step of 0.01, and by h^4 less at shorter ones. At half that step all are within 2.5e-4, and
        // below it rounding takes over.
        let h = carries == .plain ? 0.005 : 0.01
        var tested = 0
        for part in Self.parts {
            let entries = encoder.layout.entries.filter { part.isEmpty || $0.name.contains(part) }
            guard !entries.isEmpty else { continue }
            tested += 1
            var direction = [Float](repeating: 0, count: start.count)
            let random = noise(start.count, seed: 13)
            let elements = entries.flatMap { Array($0.elements) }
            let slope = length(elements.map { gradient[$0] })
            let randomLength = length(elements.map { random[$0] })
            for i in elements { direction[i] = Float(Double(gradient[i]) / slope + Double(random[i]) / randomLength) }
            let analytic = elements.reduce(0.0) { $0 + Double(gradient[$1]) * Double(direction[$1]) }
            func value(_ step: Double) -> Double {
                for i in elements {
                    encoder.parameters.values[i] = Float(Double(start[i]) + step * Double(direction[i]))
                }
                let embeddings = embed(encoder, batch, taps: taps, dropout: stream)
                return zip(embeddings, c).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
            }
            let numeric = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
            _ = value(0)
            #expect(slope > 1e-3, "\(part): no slope to measure")
            #expect(abs(numeric - analytic) <= 1e-3 * abs(analytic), "\(part): \(analytic) against \(numeric)")
        }
        #expect(tested >= 14)
    }

    private func length(_ x: [Float]) -> Double { x.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }
}
