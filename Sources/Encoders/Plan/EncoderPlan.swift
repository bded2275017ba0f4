// A transformer encoder as a value: its parts, their sizes and the names of their tensors in checkpoints.
//
// A family returns one (Families/); the engine that executes it (SequenceEncoder, TextDecoder) knows no family. The order of
// the layout, tensor names, parameter counts and FLOPs all derive from it.
//
// Legend: V vocabulary, D hidden, T packed tokens, L length of a sequence.

import TuttiKernels

/// The parts of a transformer encoder.
package struct EncoderPlan: Sendable, Equatable {
    /// Tokens to vectors.
    package let embedding: TokenEmbeddingPlan
    /// The norm that the first branch reads its input through, where the plain sum is carried; nil = it reads the embedding.
    package var entry: NormPlan?
    /// The layers, the lowest first.
    package let layers: [LayerPlan]
    /// The kind of residual stream.
    package var carries: CarriedSum
    /// Dropout of the last layer's output, used only during training.
    var outputDropout: Float = 0
    /// Maximum tokens of a sequence.
    package let longestSequence: Int

    /// A convolution of the embedding that joins the stream behind the first layer; nil = none.
    package var convolution: EmbeddingConvolutionPlan?

    /// How a sentence vector is made where there are no token vectors; nil = there are.
    package var bag: BagPlan?

    /// `longestSequence` where positions have no end, or there are none: as many as a batch takes.
    package static let unlimitedLength = Int(Int32.max)

    /// Whether a sequence becomes a vector without token vectors.
    package var isBag: Bool { bag != nil }
    /// Whether that vector counts its words.
    package var countsWords: Bool { if case .words? = bag { true } else { false } }
    /// The tensors that are not trained.
    package var frozen: [TensorSpecification] { embedding.frozen }

    /// V.
    package var vocabularySize: Int { embedding.word.rows }
    /// D.
    package var hiddenSize: Int { embedding.outputWidth }
    /// Number of layers.
    package var layerCount: Int { layers.count }
    /// Attention heads of a layer.
    package var heads: Int { layers.first?.selfAttentions.first?.heads ?? 0 }
    /// The rotations of its layers, each once.
    package var rotations: [RotaryPlan] { RotaryTables(layers.flatMap(\.selfAttentions)).plans }
    /// The dense products of the first layer, in forward order.
    package var productsOfLayer: [BranchPlan.Product] { layers.first?.stages.flatMap(\.branch.products) ?? [] }

    /// Whether each layer computes the same as every other with weights of its own, so that some can be left out.
    package var layersAreAlike: Bool { layers.dropFirst().allSatisfy { $0.isLike(layers[0]) } }

    /// The trained tensors in the groups in which backward finishes their gradients: layer by layer from the last to the
    /// first, then the embedding. A tensor that several parts use is in the group of the last of them.
    package var groups: [[TensorSpecification]] {
        var groups = layers.reversed().map(\.tensors) + [(entry?.tensors ?? []) + embedding.tensors]
        if let convolution { groups[layers.count - 1].insert(contentsOf: convolution.tensors, at: 0) }
        var seen: Set<String> = []
        for place in groups.indices.reversed() { groups[place].removeAll { !seen.insert($0.name).inserted } }
        return groups
    }

    /// All trained tensors, in layout order.
    package var tensors: [TensorSpecification] { groups.flatMap { $0 } }

    /// The names of its dense modules, the lowest first, each once.
    package var denseModules: [String] {
        var names: [String] = []
        for linear in [embedding.projection?.linear].compactMap({ $0 }) + layers.flatMap({ $0.linears.reversed() }) {
            for module in linear.modules where !names.contains(module.name) { names.append(module.name) }
        }
        return names
    }

    /// Numbers in all trained tensors.
    package var parameterCount: Int { tensors.reduce(0) { $0 + $1.shape.reduce(1, *) } }

    /// Numbers in the weight matrices that a token meets: those of all layers, a shared one each time, and those that
    /// project or convolve the embedding.
    package var denseParameters: Int {
        let linears = layers.flatMap(\.linears) + [embedding.projection?.linear].compactMap { $0 }
        return linears.reduce(convolution?.convolution.weights ?? 0) { $0 + $1.inputs * $1.outputs }
    }

    /// FLOPs of a training step over `tokens` tokens in sequences of these lengths: 6 * dense parameters * T (2 forward, 4
    /// backward), and attention's two products of 2 n H E forward and four backward per layer, n the pairs of a token and a
    /// key that it sees: 12 n H E, n = L^2 if it sees all. Recomputation is not counted. Disentangled positions multiply
    /// every token by the rows that its sequence's distances reach, and project those that the longest one reaches.
    package func trainingFLOPs(tokens: Int, lengths: [Int]) -> Double {
        var flops = 6 * Double(denseParameters) * Double(tokens)
        for attention in layers.flatMap(\.selfAttentions) {
            let pairs = lengths.reduce(0) { $0 + attention.span.pairs(length: $1) }
            flops += 12 * Double(attention.queryColumns) * Double(pairs)
            guard case .disentangled(let table) = attention.positions, let own = attention.disentangled else {
                continue
            }
            func rows(_ length: Int) -> Int { min(max(2 * length - 1, 0), 2 * table.rows.reach) }
            for linear in [own.keys, own.queries].compactMap({ $0 }) {
                let products = lengths.reduce(0) { $0 + $1 * rows($1) } + rows(lengths.max() ?? 0) * linear.inputs
                flops += 6 * Double(linear.outputs) * Double(products)
            }
        }
        return flops
    }
}

/// How tokens become a sentence vector without token vectors.
package enum BagPlan: Sendable, Equatable {
    /// The mean of their rows of the word table.
    case mean
    /// A number for each word of the vocabulary: `weights` [V] at the words of the text, added up for each occurrence, or
    /// once.
    case words(weights: [Float], isCumulative: Bool)
}

/// One layer: stages in forward order.
package struct LayerPlan: Sendable, Equatable {
    /// Its branches and junctions.
    package let stages: [StagePlan]

    /// Its self-attentions.
    var selfAttentions: [SelfAttentionPlan] {
        stages.compactMap { if case .selfAttention(let plan) = $0.branch { plan } else { nil } }
    }

    /// Whether another layer differs in the names of its tensors alone.
    func isLike(_ other: LayerPlan) -> Bool {
        tensors.map(\.shape) == other.tensors.map(\.shape) && tensors.map(\.name) != other.tensors.map(\.name)
            && selfAttentions.map(\.span) == other.selfAttentions.map(\.span)
            && selfAttentions.map(\.positions) == other.selfAttentions.map(\.positions)
            && selfAttentions.map(\.rotary) == other.selfAttentions.map(\.rotary)
    }

    /// Its weight matrices, in the order in which backward finishes them.
    var linears: [LinearPlan] { stages.reversed().flatMap(\.branch.linears) }

    /// Its tensors, in the order in which backward finishes them.
    var tensors: [TensorSpecification] { stages.reversed().flatMap(\.tensors) }
}
