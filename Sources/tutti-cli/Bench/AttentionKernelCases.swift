// Attention of every kind, and the rotation of queries and keys, for `tutti bench kernels`.
//
// FLOPs count the pairs of a query and a key that it sees; with disentangled positions also the products of queries and
// keys with the rows of positions that a sequence reaches.
// Legend: T tokens, D hidden, H heads, E head width.

import TuttiEncoders
import TuttiKernels

extension KernelOperands {
    /// Plain, with trained score biases, with slopes (ALiBi), with shared keys, causal, windowed, and disentangled.
    var attentionCases: [KernelCase] {
        let (t, d, memory, small, rows, scratch, positions) = (
            tokens, shape.hidden, memory, small, rows, scratch, positions
        )
        let (heads, width) = (shape.heads, d / shape.heads)
        func cases(
            _ name: String, span: AttentionSpan = .full, keyHeads: Int? = nil, hasPositions: Bool = false,
            trainsPositions: Bool = true, relatives: DisentangledOperands? = nil
        ) -> [KernelCase] {
            let keys = keyHeads ?? heads
            let columns = (heads + 2 * keys) * width
            var attention = Attention(
                heads: heads, keyHeads: keys, width: width, span: span, offsets: offsets,
                sequences: lengths.sequences, queryBias: small, keyBias: small, valueBias: small,
                positions: hasPositions ? UnsafePointer(positions) : nil, maximum: lengths.longest, dropout: mask)
            attention.relatives = relatives?.tables
            let pairs = lengths.all.reduce(0) { $0 + span.pairs(length: $1) }
            let met = relatives.map { r in lengths.all.reduce(0) { $0 + $1 * r.rows(length: $1) } } ?? 0
            func arithmetic(
                _ pass: String, products: Double, ofPositions: Double, _ run: @escaping () -> Void
            ) -> KernelCase {
                let sums = products * Double(pairs) + ofPositions * Double(met)
                return KernelCase(
                    name: "\(name)_\(pass)", shape: "\(t) x \(d), \(lengths.sequences) sequences",
                    bound: .arithmetic(flops: 2 * sums * Double(d), tokens: t),
                    like: name == "attention" ? nil : "attention_\(pass)", run: run)
            }
            func split(_ qkv: Matrix) -> AttentionRows {
                AttentionRows(qkv, heads: heads, keyHeads: keys, width: width)
            }
            return [
                // Two products of H E multiply-adds a pair of query and key forward: scores and context; queries and keys
                // with rows of positions.
                arithmetic("forward", products: 2, ofPositions: 2) {
                    attention.forward(
                        split(memory.input(t, columns)), context: memory.output(t, d), logSumExp: rows,
                        scratch: scratch)
                },
                // Five in backward: scores recomputed, dP, dV, dQ and dK; both with positions recomputed, and two
                // gradients of each.
                arithmetic("backward", products: 5, ofPositions: 6) {
                    attention.backward(
                        split(memory.input(t, columns)), context: memory.input(t, d), logSumExp: rows,
                        dContext: memory.input(t, d), into: split(memory.output(t, columns)),
                        dPositions: hasPositions && trainsPositions ? positions : nil,
                        dRelatives: relatives?.gradients, scratch: scratch)
                },
            ]
        }
        let shared = (1...heads).last { heads % $0 == 0 && $0 <= max(heads / 4, 1) } ?? 1
        return cases("attention") + cases("attention_biased", hasPositions: true)
            + cases("attention_alibi", hasPositions: true, trainsPositions: false)
            + cases("attention_grouped", keyHeads: shared) + cases("attention_causal", span: .causal)
            + cases("attention_window", span: .window(reach: 64))
            + cases("attention_disentangled", relatives: disentangled) + rotaryCases
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
            memoryCase("rotary_forward", t, d, passes: 2, like: .update, beside: "bias_add") {
                let rows = memory.output(t, d)
                heads.forward(rows, into: rows)
            },
            memoryCase("rotary_backward", t, d, passes: 2, like: .update, beside: "bias_add") {
                let rows = memory.output(t, d)
                heads.backward(rows, inPlace: rows, dWeight: nil, scratch: scratch)
            },
        ]
    }
}

/// Projected tables of positions, and their gradients.
struct DisentangledOperands {
    /// As DeBERTa v3: distances up to 256 in both directions.
    static let distances = DistanceRows(reach: 256)

    let tables: AttentionRelatives
    let gradients: AttentionRelatives

    /// Tables [512, `columns`], for sequences of up to `longest` tokens.
    init(columns: Int, longest: Int, arena: inout Arena) {
        let index = arena.int32s(max(2 * longest - 1, 1))
        for place in 0..<max(2 * longest - 1, 1) { index[place] = Int32(Self.distances.row(place - longest + 1)) }
        func make() -> AttentionRelatives {
            let rows = 2 * Self.distances.reach
            let (keys, queries) = (arena.matrix(rows, columns), arena.matrix(rows, columns))
            for table in [keys, queries] { table.pointer.initialize(repeating: 0.01, count: rows * columns) }
            return AttentionRelatives(keys: keys, queries: queries, rows: index, maximum: longest)
        }
        (tables, gradients) = (make(), make())
    }

    /// Rows of a table that the distances of a sequence reach.
    func rows(length: Int) -> Int {
        length < 1 ? 0 : Self.distances.row(length - 1) - Self.distances.row(1 - length) + 1
    }
}
