// Hand-written backwards against central differences, dropout on: each kind of layer by itself, and all together.
//
// f = sum(c * embeddings) is smooth along a line, so Richardson's four-point rule leaves fp32 rounding as the error.

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
        let derivative = DirectionalDerivative(encoder, batch, taps: taps, dropout: stream, seed: 11)
        // The plain sum is nowhere normed back to size, so f bends more along a line: with all of MPNet's parts the rule is
        // off by 2.1e-3 at a step of 0.01, and by h^4 less at shorter ones. At half that step all are within 2.5e-4, and
        // below it rounding takes over.
        let h = carries == .plain ? 0.005 : 0.01
        var tested = 0
        for part in Self.parts {
            let entries = encoder.layout.entries.filter { part.isEmpty || $0.name.contains(part) }
            guard !entries.isEmpty else { continue }
            tested += 1
            let (slope, analytic, numeric) = derivative.along(entries, step: h)
            #expect(slope > 1e-3, "\(part): no slope to measure")
            #expect(abs(numeric - analytic) <= 1e-3 * abs(analytic), "\(part): \(analytic) against \(numeric)")
        }
        #expect(tested >= 14)
    }
}
