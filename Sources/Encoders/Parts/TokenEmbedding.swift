// Token ids to vectors, forward and backward: dropout(norm(word + type + position)), of which any part but the word may be
// missing, and a projection where the tables are narrower than the layers.
//
// ELECTRA and ALBERT project what comes behind norm and dropout, DeBERTa the sum before the norm. RoBERTa and MPNet number
// positions by the tokens that are not padding, so that a literal padding token in a text moves those behind it.
//
// Legend: T packed tokens, W width of the tables, D hidden. Reference: BertEmbeddings, RobertaEmbeddings,
// ElectraEmbeddings in transformers.

import TuttiKernels

/// The plan of the token embedding.
package struct TokenEmbeddingPlan: Sendable, Equatable {
    /// A table [rows, W].
    package struct Table: Sendable, Equatable {
        package let name: String
        package let rows: Int
    }

    /// What becomes of the word table.
    package enum TableUse: Sendable, Equatable {
        case trained
        /// It keeps its values.
        case frozen
        /// There is none: words are counted.
        case none
    }

    /// How tokens find their rows of the position table.
    package enum Numbering: Sendable, Equatable {
        /// The first token of a sequence uses this row, the next one the next row.
        case from(Int)
        /// Row `padding` + n for the n-th token that is not `padding`; a padding token uses row `padding`, which gets no
        /// gradient.
        case counting(padding: Int)
    }

    /// A projection from W to D.
    package struct Projection: Sendable, Equatable {
        package let linear: LinearPlan
        /// Whether it comes before the norm.
        package let isBeforeNorm: Bool
    }

    /// Rows of tokens, [V, W].
    package let word: Table
    /// Rows of positions in the sequence; families whose attention knows positions have none.
    package var position: Table?
    package var numbering = Numbering.from(0)
    /// Token types; every token has the first one; some families have none.
    package var type: Table?
    /// The word's row without a gradient (torch's padding_idx); nil = every row has one.
    let paddingID: Int?
    /// Factor of the sum.
    package var scale: Float = 1
    /// W.
    package let width: Int
    /// What becomes of the word table.
    package var use = TableUse.trained
    /// nil = the sum is not normed.
    package var norm: NormPlan?
    /// Dropout after the norm, used only during training.
    let dropout: Float
    /// nil = W is D.
    package var projection: Projection?

    /// D.
    var outputWidth: Int { projection?.linear.outputs ?? width }

    /// Its tensors, in the order in which backward finishes their gradients.
    var tensors: [TensorSpecification] {
        let tables = [type, position, use == .trained ? word : nil].compactMap { $0 }.map {
            TensorSpecification($0.name, [$0.rows, width])
        }
        let (norm, linear) = (norm?.tensors ?? [], projection?.linear.tensors ?? [])
        return (projection?.isBeforeNorm == true ? norm + linear : linear + norm) + tables
    }
}

extension TokenEmbeddingPlan {
    /// The word table where it is not trained.
    var frozen: [TensorSpecification] { use == .frozen ? [.init(word.name, [word.rows, width])] : [] }
}

/// The tables, the norm of their sum, and the projection.
struct TokenEmbedding: Sendable {
    private let plan: TokenEmbeddingPlan
    private let word: TensorSlot
    private let position: TensorSlot?
    private let type: TensorSlot?
    private let norm: Norm?
    /// [D, W]
    private let early: Linear?
    private let late: Linear?

    /// What backward needs.
    struct Saved {
        let sum: Matrix  // [T, W]
        /// [T, D] the early projection; the sum itself without one.
        let projected: Matrix
        let norm: Norm.Saved?
        /// [T, W] what the late projection reads, and room for its gradient or for that of the sum.
        let narrow: (output: Matrix, gradient: Matrix)?
        /// [T] rows of the position table, where padding is not counted.
        let rows: UnsafeMutablePointer<Int32>?
    }

    /// `frozen` has the place of a word table that is not trained.
    init(_ plan: TokenEmbeddingPlan, _ layout: ParameterLayout, frozen: ParameterLayout = ParameterLayout()) {
        self.plan = plan
        word = TensorSlot(plan.use == .frozen ? frozen : layout, plan.word.name)
        position = plan.position.map { TensorSlot(layout, $0.name) }
        type = plan.type.map { TensorSlot(layout, $0.name) }
        norm = plan.norm.map { Norm($0, layout) }
        let linear = plan.projection.map { Linear($0.linear, layout) }
        let isEarly = plan.projection?.isBeforeNorm ?? false
        (early, late) = isEarly ? (linear, nil) : (nil, linear)
    }

    func allocate(tokens: Int, arena: inout Arena) -> Saved {
        let sum = arena.matrix(tokens, plan.width)
        var rows: UnsafeMutablePointer<Int32>?
        if case .counting = plan.numbering { rows = arena.int32s(tokens) }
        return Saved(
            sum: sum, projected: early == nil ? sum : arena.matrix(tokens, plan.outputWidth),
            norm: norm.map { _ in Norm.Saved(rows: tokens, arena: &arena) },
            narrow: plan.projection.map { _ in
                (arena.matrix(tokens, plan.width), arena.matrix(tokens, plan.width))
            }, rows: rows)
    }

    /// output [T, D] = the embedded tokens.
    ///
    /// - Parameters:
    ///   - frozen: has the word table where it is not trained.
    ///   - noise: NEFTune's alpha (arXiv 2310.05914): uniform noise in training, in +-alpha / sqrt(L W), L the tokens
    ///     of a text.
    func forward(
        _ pass: PassContext, _ parameters: ParameterStore, frozen: ParameterStore? = nil, noise: Float = 0,
        saved: Saved,
        into output: Matrix
    ) {
        if let rows = saved.rows { number(pass, into: rows) }
        EmbeddingKernels.gatherEmbeddings(
            tokens(pass, saved), word: words(parameters, frozen).pointer(word),
            position: position.map { UnsafePointer(parameters.pointer($0)) }, positionStart: positionStart,
            type: type.map { UnsafePointer(parameters.pointer($0)) }, into: saved.sum)
        if plan.scale != 1 { scale(saved.sum) }
        if noise > 0, let mask = pass.mask(layer: 0, .embeddingNoise, rate: 0.5) {
            RowKernels.addNoise(saved.sum, alpha: noise, mask)
        }
        if let early { project(saved.sum, early, pass, parameters, into: saved.projected) }
        let normed = late.flatMap { _ in saved.narrow?.output } ?? output
        if let norm, let statistics = saved.norm {
            norm.forward(saved.projected, parameters, dropout: mask(pass), saved: statistics, into: normed)
        } else {
            RowKernels.dropout(saved.projected, mask(pass), into: normed)
        }
        if let late { project(normed, late, pass, parameters, into: output) }
    }

    /// Gradients of tables, norm and projection accumulate, and the tokens' rows are marked; `dOutput` [T, D] is
    /// overwritten.
    func backward(
        _ pass: PassContext, _ parameters: ParameterStore, saved: Saved, dOutput: Matrix,
        scratch: UnsafeMutablePointer<Float>
    ) {
        var gradient = dOutput
        if let late, let narrow = saved.narrow {
            late.accumulateGradients(gradient, narrow.output, parameters, draw: pass.draw(layer: 0))
            late.inputGradient(gradient, parameters, draw: pass.draw(layer: 0), into: narrow.gradient)
            gradient = narrow.gradient
        }
        if let norm, let statistics = saved.norm {
            norm.backward(
                saved.projected, parameters, dropout: mask(pass), saved: statistics, inPlace: gradient,
                scratch: scratch)
        } else {
            RowKernels.dropout(gradient, mask(pass), into: gradient)
        }
        if let early, let narrow = saved.narrow {
            early.accumulateGradients(gradient, saved.sum, parameters, draw: pass.draw(layer: 0))
            early.inputGradient(gradient, parameters, draw: pass.draw(layer: 0), into: narrow.gradient)
            gradient = narrow.gradient
        }
        if plan.scale != 1 { scale(gradient) }
        EmbeddingKernels.scatterEmbeddings(
            tokens(pass, saved), dOutput: gradient,
            dWord: plan.use == .frozen ? nil : parameters.gradientPointer(word),
            dPosition: position.flatMap { parameters.gradientPointer($0) }, positionStart: positionStart,
            dType: type.flatMap { parameters.gradientPointer($0) }, paddingID: plan.paddingID ?? -1,
            paddingPosition: paddingPosition)
        if plan.use == .trained, parameters.touched.watches(word) { parameters.touched.mark(pass.tokens) }
    }

    /// The store of the word table.
    private func words(_ parameters: ParameterStore, _ frozen: ParameterStore?) -> ParameterStore {
        guard plan.use == .frozen else { return parameters }
        guard let frozen else { preconditionFailure("TokenEmbedding: no table of words") }
        return frozen
    }

    private func scale(_ x: Matrix) {
        OptimizerKernels.scale(
            UnsafeMutableBufferPointer(start: x.pointer, count: x.rows * x.columns), by: plan.scale)
    }

    private func project(
        _ x: Matrix, _ linear: Linear, _ pass: PassContext, _ parameters: ParameterStore, into y: Matrix
    ) {
        linear.multiply(x, parameters, draw: pass.draw(layer: 0), into: y)
        if let bias = linear.bias(parameters) { RowKernels.addBias(y, bias: bias) }
    }

    private var positionStart: Int { if case .from(let row) = plan.numbering { row } else { 0 } }
    private var paddingPosition: Int { if case .counting(let padding) = plan.numbering { padding } else { -1 } }

    /// The tokens with their rows of the position table.
    private func tokens(_ pass: PassContext, _ saved: Saved) -> PackedTokens {
        var tokens = pass.tokens
        tokens.positions = saved.rows.map { UnsafePointer($0) }
        return tokens
    }

    /// rows [T]: the padding row plus the number of tokens so far that are not padding.
    private func number(_ pass: PassContext, into rows: UnsafeMutablePointer<Int32>) {
        guard case .counting(let padding) = plan.numbering else { return }
        let padding32 = Int32(padding)
        for s in 0..<pass.sequences {
            var next = padding32
            for t in Int(pass.tokens.offsets[s])..<Int(pass.tokens.offsets[s + 1]) {
                let isPadding = pass.tokens.ids[t] == padding32
                if !isPadding { next += 1 }
                rows[t] = isPadding ? padding32 : next
            }
        }
    }

    private func mask(_ pass: PassContext) -> DropoutMask? {
        pass.mask(layer: 0, .embedding, rate: plan.dropout)
    }
}
