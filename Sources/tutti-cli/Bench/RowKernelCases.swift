// Every kernel of a training step that is not a dense product, with its memory traffic.
//
// Bytes count operands that are too large for a cache, once as read and once as written; tables and vectors of row
// width are not counted. The stream to compare with is the triad for out-of-place kernels,
// `update` for in-place kernels, `read` for sums.
// Legend: T tokens, S sequences, D hidden, F inner, P parameters.

import TuttiKernels

/// One kernel on given operands.
struct KernelCase {
    /// What bounds a kernel.
    enum Bound {
        /// Memory: bytes of a call, and the closest stream.
        case memory(bytes: Int, MemoryStream)
        /// Arithmetic: FLOPs of a call, for `tokens` tokens.
        case arithmetic(flops: Double, tokens: Int)
    }

    let name: String
    let shape: String
    let bound: Bound
    /// The kernel of a BERT whose share of its bound this one's is compared with; nil = none.
    var like: String?
    let run: () -> Void
}

/// The operands that all cases share.
final class KernelOperands {
    let shape: ModelShape
    let lengths: PackedLengths
    let memory: RotatingMemory
    let ids: [Int32]
    private var arena = Arena()
    let small: UnsafeMutablePointer<Float>  // vectors as wide as the widest row: gamma, beta, bias
    let sums: UnsafeMutablePointer<Float>  // accumulators
    let rows: UnsafeMutablePointer<Float>  // [T, 2] or [T, H]: mean and rstd, norms, log-sum-exp
    let positions: UnsafeMutablePointer<Float>  // [H, 2 L - 1] score biases, or [L, D / H] angles
    let scratch: UnsafeMutablePointer<Float>
    let keys: UnsafeMutablePointer<UInt64>  // [S] dropout keys
    let offsets: UnsafeMutablePointer<Int32>  // [S + 1]
    let disentangled: DisentangledOperands
    let dropoutRate: Float = 0.1

    var tokens: Int { lengths.tokens }
    var mask: DropoutMask {
        DropoutMask(rate: dropoutRate, keys: keys, offsets: offsets, sequences: lengths.sequences)
    }

    init(shape: ModelShape, lengths: PackedLengths, memory: RotatingMemory) {
        self.shape = shape
        self.lengths = lengths
        self.memory = memory
        let widest = max(shape.inner, 3 * shape.hidden)
        let vectors = [arena.floats(widest), arena.floats(3 * widest)]
        (small, sums) = (vectors[0], vectors[1])
        small.initialize(repeating: 0.5, count: widest)
        sums.initialize(repeating: 0, count: 3 * widest)
        rows = arena.floats(lengths.tokens * max(shape.heads, 2))
        rows.initialize(repeating: 1, count: lengths.tokens * max(shape.heads, 2))
        keys = arena.uint64s(lengths.sequences)
        for s in 0..<lengths.sequences { keys[s] = UInt64(s) &* 0x9E37_79B9_7F4A_7C15 }
        offsets = arena.int32s(lengths.offsets.count)
        for (s, offset) in lengths.offsets.enumerated() { offsets[s] = offset }
        // Ids distributed like the words of a text: a few often, most rarely.
        let vocabulary = shape.vocabulary
        ids = (0..<lengths.tokens).map { t in
            let place = Double((t &* 2_654_435_761) & 0xFFFF_FFFF) / 4_294_967_296
            return Int32(Double(vocabulary - 1) * place * place * place)
        }
        let table = max(2 * shape.heads, shape.hidden / shape.heads) * lengths.longest
        positions = arena.floats(table)
        positions.initialize(repeating: 0, count: table)
        disentangled = DisentangledOperands(columns: shape.hidden, longest: lengths.longest, arena: &arena)
        var attention = Attention(
            heads: shape.heads, width: shape.hidden / shape.heads, offsets: offsets, sequences: lengths.sequences,
            positions: UnsafePointer(positions), maximum: lengths.longest)
        attention.relatives = disentangled.tables
        scratch = arena.floats(
            max(attention.scratchCount, NormKernels.backwardScratch(columns: shape.hidden)))
    }

    /// Values and both moments of an optimizer, [3, P]: one after the other, and all positive.
    func optimizerState(_ parameters: Int) -> UnsafeMutablePointer<Float> {
        let state = arena.floats(3 * parameters)
        state.initialize(repeating: 1, count: 3 * parameters)
        return state
    }

    /// Elements of the largest operand of any case.
    static func largestOperand(shape: ModelShape, tokens: Int, parameters: Int) -> Int {
        max(tokens * max(shape.inner, 3 * shape.hidden), shape.vocabulary * shape.hidden, parameters)
    }
}

extension KernelOperands {
    /// All cases; `parameters` is P.
    func cases(parameters: Int) -> [KernelCase] {
        activationCases + normCases + rowCases + embeddingCases + poolingCases
            + optimizerCases(parameters: parameters) + attentionCases
    }

    func memoryCase(
        _ name: String, _ rows: Int, _ columns: Int, passes: Int, like stream: MemoryStream = .triad,
        beside kernel: String? = nil, _ run: @escaping () -> Void
    ) -> KernelCase {
        KernelCase(
            name: name, shape: "\(rows) x \(columns)",
            bound: .memory(bytes: passes * rows * columns * MemoryLayout<Float>.stride, stream), like: kernel, run: run)
    }

    private var activationCases: [KernelCase] {
        let (t, f, memory, small) = (tokens, shape.inner, memory, small)
        return [
            memoryCase("gelu_forward", t, f, passes: 2) {
                RowKernels.activation(.gelu, memory.input(t, f), bias: small, into: memory.output(t, f))
            },
            memoryCase("gelu_backward", t, f, passes: 3) {
                RowKernels.activationBackward(
                    .gelu, memory.input(t, f), bias: small, dOutput: memory.input(t, f), into: memory.output(t, f))
            },
            // As in backward: the gradient in place, and the activation recomputed for the weight gradient.
            memoryCase("gelu_with_gradient", t, f, passes: 4, like: .update) {
                RowKernels.activationWithGradient(
                    .gelu, memory.input(t, f), bias: small, dOutput: memory.output(t, f),
                    activated: memory.output(t, f))
            },
            // Gate and factor side by side in a row as wide as a plain branch's; half of it is the output.
            memoryCase("gated_silu_forward", t, f / 2, passes: 3, beside: "gelu_forward") {
                RowKernels.gated(.silu, of: .first, memory.input(t, f / 2 * 2), into: memory.output(t, f / 2))
            },
            memoryCase(
                "gated_silu_with_gradient", t, f / 2, passes: 6, like: .update, beside: "gelu_with_gradient"
            ) {
                RowKernels.gatedWithGradient(
                    .silu, of: .first, memory.output(t, f / 2 * 2), dOutput: memory.output(t, f / 2))
            },
        ]
    }

    private var normCases: [KernelCase] {
        let (t, d, memory, small, sums, rows, scratch, mask) = (
            tokens, shape.hidden, memory, small, sums, rows, scratch, mask
        )
        let rstd = rows + t
        return [
            memoryCase("residual_layernorm_forward", t, d, passes: 4) {
                NormKernels.biasDropoutResidualNorm(
                    branch: memory.input(t, d), bias: small, residual: memory.input(t, d), gamma: small, beta: small,
                    epsilon: 1e-12, dropout: mask, sum: memory.output(t, d), mean: rows, rstd: rstd,
                    into: memory.output(t, d))
            },
            memoryCase("residual_layernorm_backward", t, d, passes: 4) {
                NormKernels.biasDropoutResidualNormBackward(
                    dOutput: memory.input(t, d), sum: memory.input(t, d), mean: rows, rstd: rstd, gamma: small,
                    dropout: mask, dResidual: memory.output(t, d), dBranch: memory.output(t, d), dGamma: sums,
                    dBeta: sums + d, dBias: sums + 2 * d, scratch: scratch)
            },
            memoryCase("layernorm_forward", t, d, passes: 2) {
                NormKernels.norm(
                    memory.input(t, d), gamma: small, beta: small, epsilon: 1e-12, dropout: mask, mean: rows,
                    rstd: rstd, into: memory.output(t, d))
            },
            memoryCase("layernorm_backward", t, d, passes: 3) {
                NormKernels.normBackward(
                    dOutput: memory.input(t, d), x: memory.input(t, d), mean: rows, rstd: rstd, gamma: small,
                    dropout: mask, dX: memory.output(t, d), dGamma: sums, dBeta: sums + d, scratch: scratch)
            },
            memoryCase(
                "residual_rmsnorm_forward", t, d, passes: 4, beside: "residual_layernorm_forward"
            ) {
                NormKernels.biasDropoutResidualNorm(
                    .rms, branch: memory.input(t, d), bias: nil, residual: memory.input(t, d), gamma: small, beta: nil,
                    epsilon: 1e-6, dropout: nil, sum: memory.output(t, d), mean: rows, rstd: rstd,
                    into: memory.output(t, d))
            },
            memoryCase(
                "residual_rmsnorm_backward", t, d, passes: 5, beside: "residual_layernorm_backward"
            ) {
                NormKernels.biasDropoutResidualNormBackward(
                    .rms, dOutput: memory.input(t, d), dCarried: memory.input(t, d), sum: memory.input(t, d),
                    mean: rows, rstd: rstd, gamma: small, dropout: nil, dResidual: memory.output(t, d),
                    dBranch: memory.output(t, d), dGamma: sums, dBeta: nil, dBias: nil, scratch: scratch)
            },
        ]
    }

    private var rowCases: [KernelCase] {
        let (t, d, f, memory, small, sums, mask) = (tokens, shape.hidden, shape.inner, memory, small, sums, mask)
        return [
            memoryCase("bias_add", t, 3 * d, passes: 2, like: .update) {
                RowKernels.addBias(memory.output(t, 3 * d), bias: small)
            },
            memoryCase("column_sums", t, f, passes: 1, like: .read) {
                RowKernels.biasGradient(memory.input(t, f), into: sums)
            },
            memoryCase("dropout", t, d, passes: 2) {
                RowKernels.dropout(memory.input(t, d), mask, into: memory.output(t, d))
            },
        ]
    }

    private var embeddingCases: [KernelCase] {
        let (t, d, v, memory, offsets, sequences, ids, small, sums) = (
            tokens, shape.hidden, shape.vocabulary, memory, offsets, lengths.sequences, ids, small, sums
        )
        func withTokens(_ body: @escaping (PackedTokens) -> Void) -> () -> Void {
            {
                ids.withUnsafeBufferPointer { ids in
                    guard let base = ids.baseAddress else { return }
                    body(PackedTokens(ids: base, offsets: offsets, sequences: sequences))
                }
            }
        }
        return [
            memoryCase(
                "embedding_gather", t, d, passes: 2,
                withTokens { tokens in
                    EmbeddingKernels.gatherEmbeddings(
                        tokens, word: memory.input(v, d).pointer, type: small, into: memory.output(t, d))
                }),
            memoryCase(
                "embedding_scatter", t, d, passes: 3, like: .update,
                withTokens { tokens in
                    EmbeddingKernels.scatterEmbeddings(
                        tokens, dOutput: memory.input(t, d), dWord: memory.output(v, d).pointer, dType: sums)
                }),
            // A static model reads rows and writes nearly nothing.
            memoryCase(
                "embedding_bag_forward", t, d, passes: 1, like: .read, beside: "embedding_gather",
                withTokens { tokens in
                    EmbeddingBagKernels.forward(
                        tokens, table: memory.input(v, d).pointer, into: memory.output(sequences, d))
                }),
            memoryCase(
                "embedding_bag_backward", t, d, passes: 2, like: .update, beside: "embedding_scatter",
                withTokens { tokens in
                    EmbeddingBagKernels.backward(
                        tokens, dOutput: memory.input(sequences, d), dTable: memory.output(v, d).pointer)
                }),
        ]
    }

    private var poolingCases: [KernelCase] {
        let (t, d, s, memory, offsets, rows) = (tokens, shape.hidden, lengths.sequences, memory, offsets, rows)
        return [
            memoryCase("mean_pooling_forward", t, d, passes: 1, like: .read) {
                Pooling.forward(.mean, memory.input(t, d), offsets: offsets, into: memory.output(s, d))
            },
            memoryCase("mean_pooling_backward", t, d, passes: 2, like: .update) {
                Pooling.backward(
                    .mean, memory.input(t, d), offsets: offsets, dOutput: memory.input(s, d),
                    into: memory.output(t, d))
            },
            memoryCase("normalize_forward", s, d, passes: 2) {
                RowKernels.normalize(memory.input(s, d), norms: rows, into: memory.output(s, d))
            },
        ]
    }

    private func optimizerCases(parameters p: Int) -> [KernelCase] {
        let memory = memory
        let state = optimizerState(p)
        func vector(_ start: UnsafeMutablePointer<Float>) -> UnsafeMutableBufferPointer<Float> {
            UnsafeMutableBufferPointer(start: start, count: p)
        }
        func gradients() -> UnsafeBufferPointer<Float> { UnsafeBufferPointer(vector(memory.input(1, p).pointer)) }
        return [
            memoryCase("adamw", 1, p, passes: 7, like: .update) {
                OptimizerKernels.adamW(
                    parameters: vector(state), gradients: gradients(), first: vector(state + p),
                    second: vector(state + 2 * p), step: 10, learningRate: 1e-5, weightDecay: 0.01)
            },
            memoryCase("sum_of_squares", 1, p, passes: 1, like: .read) {
                _ = OptimizerKernels.sumOfSquares { part in part(gradients()) }
            },
        ]
    }
}
