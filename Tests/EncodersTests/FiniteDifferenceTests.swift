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
            // A step that is too long bends, one that is too short rounds: a wrong gradient shows at both.
            let numeric = [0.01, 0.005].map { h in
                (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
            }
            let gap = numeric.reduce(.infinity) { min($0, abs($1 - analytic)) }
            _ = value(0)
            #expect(slope > 1e-3, "\(part): no slope to measure")
            #expect(gap <= 1e-3 * abs(analytic), "\(part): \(analytic) against \(numeric)")
        }
        #expect(tested >= 14)
    }

    private func length(_ x: [Float]) -> Double { x.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }
}
