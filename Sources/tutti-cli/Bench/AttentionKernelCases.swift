// Attention of every kind, and the rotation of queries and keys, for `tutti bench kernels`.
//
// FLOPs count the pairs of a query and a key that it sees.
// Legend: T tokens, D hidden, H heads, E head width.

import TuttiKernels

extension KernelOperands {
    /// Plain, with score biases, with shared keys, causal, and windowed.
    var attentionCases: [KernelCase] {
        let (t, d, memory, small, rows, scratch, positions) = (
            tokens, shape.hidden, memory, small, rows, scratch, positions
        )
        let (heads, width) = (shape.heads, d / shape.heads)
        func cases(
            _ name: String, span: AttentionSpan = .full, keyHeads: Int? = nil, hasPositions: Bool = false
        ) -> [KernelCase] {
            let keys = keyHeads ?? heads
            let columns = (heads + 2 * keys) * width
            let attention = Attention(
                heads: heads, keyHeads: keys, width: width, span: span, offsets: offsets,
                sequences: lengths.sequences, queryBias: small, valueBias: small,
                positions: hasPositions ? UnsafePointer(positions) : nil, maximum: lengths.longest, dropout: mask)
            let pairs = lengths.all.reduce(0) { $0 + span.pairs(length: $1) }
            func arithmetic(_ pass: String, products: Double, _ run: @escaping () -> Void) -> KernelCase {
                KernelCase(
                    name: "\(name)_\(pass)", shape: "\(t) x \(d), \(lengths.sequences) sequences",
                    bound: .arithmetic(flops: products * 2 * Double(pairs) * Double(d), tokens: t), run: run)
            }
            func split(_ qkv: Matrix) -> AttentionRows {
                AttentionRows(qkv, heads: heads, keyHeads: keys, width: width)
            }
            return [
                // Two products of H E multiply-adds a pair of query and key forward: scores and context.
                arithmetic("forward", products: 2) {
                    attention.forward(
                        split(memory.input(t, columns)), context: memory.output(t, d), logSumExp: rows,
                        scratch: scratch)
                },
                // Five in backward: scores recomputed, dP, dV, dQ and dK.
                arithmetic("backward", products: 5) {
                    attention.backward(
                        split(memory.input(t, columns)), context: memory.input(t, d), logSumExp: rows,
                        dContext: memory.input(t, d), into: split(memory.output(t, columns)),
                        dPositions: hasPositions ? positions : nil, scratch: scratch)
                },
            ]
        }
        let shared = (1...heads).last { heads % $0 == 0 && $0 <= max(heads / 4, 1) } ?? 1
        return cases("attention") + cases("attention_biased", hasPositions: true)
            + cases("attention_grouped", keyHeads: shared) + cases("attention_causal", span: .causal)
            + cases("attention_window", span: .window(reach: 64)) + rotaryCases
    }

    /// Queries and keys rotated in place.
    private var rotaryCases: [KernelCase] {
        let (t, d, memory, scratch) = (tokens, shape.hidden, memory, scratch)
        let width = d / shape.heads
        guard width % 2 == 0 else { return [] }
        let heads = HeadRows(
            heads: shape.heads, width: width, rotation: .init(angles: UnsafePointer(positions), width: width),
            offsets: offsets, sequences: lengths.sequences)
        return [
            memoryCase("rotary_forward", t, d, passes: 2, like: .update) {
                let rows = memory.output(t, d)
                heads.forward(rows, into: rows)
            },
            memoryCase("rotary_backward", t, d, passes: 2, like: .update) {
                let rows = memory.output(t, d)
                heads.backward(rows, inPlace: rows, dWeight: nil, scratch: scratch)
            },
        ]
    }
}
