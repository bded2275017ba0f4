// The numbers that describe BERT and its descendants alike, by the keys that they share in config.json.
//
// Legend: D hidden, H heads, E = D / H head width, F inner, V vocabulary.

import TuttiGround
import TuttiKernels

/// A transformer's dimensions and settings.
package struct TransformerShape: Sendable, Equatable {
    /// A family's names of the keys in config.json; nil = it has no such key.
    struct Keys: Sendable, Equatable {
        var hidden = "hidden_size"
        var layers = "num_hidden_layers"
        var heads = "num_attention_heads"
        var inner = "intermediate_size"
        var epsilon: String? = "layer_norm_eps"
        var activation = "hidden_act"
        var hiddenDropout = "hidden_dropout_prob"
        var attentionDropout = "attention_probs_dropout_prob"
    }

    /// V.
    package var vocabularySize: Int
    /// D.
    package var hiddenSize: Int
    /// Number of layers.
    package var layers: Int
    /// H.
    package var heads: Int
    /// F.
    package var innerSize: Int
    /// Rows of the position table (some families leave the first ones out).
    package var maximumPositions: Int
    /// Epsilon of every norm.
    package var layerNormEpsilon: Float = 1e-12
    /// Of the feed-forward branches.
    package var activation: Activation = .gelu
    /// Dropout behind embeddings and branches, used only while training.
    package var hiddenDropout: Float = 0.1
    /// Dropout of attention probabilities, used only while training.
    package var attentionDropout: Float = 0.1
    /// The padding token: its row of the word table gets no gradient.
    package var padTokenID = 0
    /// Rows of the table of token types; 0 = there is none.
    package var typeRows = 2
    /// Whether tokens see what comes before them only.
    var isDecoder = false
    /// Whether layers attend to an encoder's output too.
    var addsCrossAttention = false
    /// The keys that gave all this, for messages.
    var keys = Keys()

    /// These dimensions, with BERT's settings.
    package init(
        vocabularySize: Int, hiddenSize: Int, layers: Int, heads: Int, innerSize: Int, maximumPositions: Int
    ) {
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.layers = layers
        self.heads = heads
        self.innerSize = innerSize
        self.maximumPositions = maximumPositions
    }

    /// No dimensions yet: each has a required key.
    init() { self.init(vocabularySize: 0, hiddenSize: 0, layers: 0, heads: 0, innerSize: 0, maximumPositions: 0) }

    /// E.
    var headWidth: Int { hiddenSize / max(heads, 1) }

    /// The settings under these keys.
    static func options(_ keys: Keys) -> [Option<TransformerShape>] {
        let epsilon = keys.epsilon.map {
            Option<TransformerShape>($0, \.layerNormEpsilon, "epsilon of the norms", check: .positive)
        }
        return [
            Option("vocab_size", \.vocabularySize, "tokens in the vocabulary", check: .atLeast(1), isRequired: true),
            Option(keys.hidden, \.hiddenSize, "width of a token's vector", check: .atLeast(1), isRequired: true),
            Option(keys.layers, \.layers, "number of layers", check: .atLeast(1), isRequired: true),
            Option(keys.heads, \.heads, "attention heads of a layer", check: .atLeast(1), isRequired: true),
            Option(
                keys.inner, \.innerSize, "width inside the feed-forward branch", check: .atLeast(1), isRequired: true),
            Option(
                "max_position_embeddings", \.maximumPositions, "rows of the position table", check: .atLeast(1),
                isRequired: true),
        ] + [epsilon].compactMap { $0 } + [
            Option(keys.activation, \.activation, "activation of the feed-forward branch"),
            Option(
                keys.hiddenDropout, \.hiddenDropout, "dropout behind embeddings and branches", check: .within(0..<1)),
            Option(
                keys.attentionDropout, \.attentionDropout, "dropout of attention probabilities",
                check: .within(0..<1)),
            Option("pad_token_id", \.padTokenID, "the padding token; its row of the word table gets no gradient"),
        ]
    }

    /// type_vocab_size of families that have it, with this many rows at least.
    static func typeRows(atLeast least: Int) -> Option<TransformerShape> {
        Option("type_vocab_size", \.typeRows, "rows of the table of token types", check: .atLeast(least))
    }

    /// BERT's keys of config.json.
    static let options = OptionList<TransformerShape>(
        options(Keys()) + [
            .only("position_embedding_type", "absolute", "how positions enter"),
            Option("is_decoder", \.isDecoder, "of a decoder, which cannot be trained as an encoder"),
            Option("add_cross_attention", \.addsCrossAttention, "of a decoder, which cannot be trained as an encoder"),
        ])

    /// What these dimensions ask for, where layers may share `blocks`, and tables may be narrower than layers.
    func sizes(
        _ more: (key: String, shape: [Int])..., blocks: (key: String, count: Int)? = nil, tableWidth: Int? = nil,
        hasPositions: Bool = true
    ) -> FamilySizes {
        sizes(of: more, blocks: blocks, tableWidth: tableWidth, hasPositions: hasPositions)
    }

    /// The same, and `more`; `hasPositions` = whether there is a table of positions.
    func sizes(
        of more: [(key: String, shape: [Int])], blocks: (key: String, count: Int)? = nil, tableWidth: Int? = nil,
        hasPositions: Bool
    ) -> FamilySizes {
        let (blocks, width) = (blocks ?? (keys.layers, layers), tableWidth ?? hiddenSize)
        let types: [(key: String, shape: [Int])] = typeRows > 0 ? [("type_vocab_size", [typeRows, width])] : []
        return FamilySizes(
            layersKey: blocks.key, layers: blocks.count,
            shapes: [
                (keys.hidden, [hiddenSize, hiddenSize]), ("vocab_size", [vocabularySize, width]),
                (keys.inner, [innerSize, hiddenSize]), (keys.heads, [heads]),
            ] + (hasPositions ? [("max_position_embeddings", [maximumPositions, width])] : []) + types + more + [
                (blocks.key, [blocks.count, hiddenSize, hiddenSize]),
                (blocks.key, [blocks.count, innerSize, hiddenSize]),
            ])
    }

    /// Refuses dimensions that the kernels cannot compute together, by their keys; of an encoder a decoder's flags too.
    func validate(isEncoder: Bool = true) throws(TuttiError) {
        guard hiddenSize % heads == 0 else {
            throw planError(keys.heads, "\(heads) does not divide \(keys.hidden) \(hiddenSize)")
        }
        guard headWidth <= 256 else {
            throw planError(keys.heads, "heads are \(headWidth) wide", hint: "Up to 256 is supported.")
        }
        guard (0..<vocabularySize).contains(padTokenID) else {
            throw planError("pad_token_id", "is \(padTokenID), which is outside of the vocabulary")
        }
        for (name, isSet) in [("is_decoder", isDecoder), ("add_cross_attention", addsCrossAttention)]
        where isSet && isEncoder {
            throw planError(name, "is true, where only encoders can be trained")
        }
    }

    /// Maximum tokens of a sequence whose positions are numbered from the padding token's id + 1.
    func positionsBehindPadding() throws(TuttiError) -> Int {
        guard maximumPositions > padTokenID + 1 else {
            throw planError(
                "max_position_embeddings", "is \(maximumPositions)",
                hint: "The first \(padTokenID + 1) rows (pad_token_id + 1) are not used for tokens.")
        }
        return maximumPositions - (padTokenID + 1)
    }

    // MARK: Parts

    /// A norm of this shape.
    func norm(_ name: String) -> NormPlan { NormPlan(name: name, width: hiddenSize, epsilon: layerNormEpsilon) }

    /// `branch` with a junction of this shape, whose dropout is by default `hiddenDropout`.
    func stage(_ branch: BranchPlan, norm name: String, dropout: Float? = nil) -> StagePlan {
        StagePlan(branch: branch, junction: JunctionPlan(norm: norm(name), dropout: dropout ?? hiddenDropout))
    }

    /// BERT's embedding, in the module `name`: tables of words, of positions if there is one, of types unless there are no
    /// rows, and their norm.
    func embedding(
        _ name: String = "embeddings", numbering: TokenEmbeddingPlan.Numbering = .from(0), width: Int? = nil,
        projection: LinearPlan? = nil, hasPositions: Bool = true
    ) -> TokenEmbeddingPlan {
        let width = width ?? hiddenSize
        func table(_ kind: String, _ rows: Int) -> TokenEmbeddingPlan.Table {
            .init(name: "\(name).\(kind)_embeddings.weight", rows: rows)
        }
        return TokenEmbeddingPlan(
            word: table("word", vocabularySize), position: hasPositions ? table("position", maximumPositions) : nil,
            numbering: numbering,
            type: typeRows == 0 ? nil : table("token_type", typeRows), paddingID: padTokenID, width: width,
            norm: NormPlan(name: name + ".LayerNorm", width: width, epsilon: layerNormEpsilon), dropout: hiddenDropout,
            projection: projection.map { .init(linear: $0, isBeforeNorm: false) })
    }

    /// BERT's layer, in the module `name`; `between` is what it has between self-attention and feed-forward.
    func layer(
        _ name: String, positions: PositionsPlan = .none, span: AttentionSpan = .full, between: [StagePlan] = []
    ) -> LayerPlan {
        let attention = selfAttention(
            query: name + ".attention.self.query", key: name + ".attention.self.key",
            value: name + ".attention.self.value", output: name + ".attention.output.dense", positions: positions,
            span: span)
        let feedForward = feedForward(inner: name + ".intermediate.dense", output: name + ".output.dense")
        return LayerPlan(
            stages: [stage(attention, norm: name + ".attention.output.LayerNorm")] + between
                + [stage(feedForward, norm: name + ".output.LayerNorm")])
    }

    /// Self-attention whose modules have these names.
    func selfAttention(
        query: String, key: String, value: String, output: String, positions: PositionsPlan = .none,
        span: AttentionSpan = .full
    ) -> BranchPlan {
        .selfAttention(
            SelfAttentionPlan(
                projection: LinearPlan(query, key, value, inputs: hiddenSize, outputs: hiddenSize),
                output: LinearPlan(output, inputs: hiddenSize, outputs: hiddenSize), heads: heads,
                headWidth: headWidth, span: span, positions: positions, dropout: attentionDropout))
    }

    /// Self-attention that rotates queries and keys, which one module projects with the values.
    func rotaryAttention(
        projection: String, output: String, _ rotary: RotaryPlan, span: AttentionSpan = .full, hasBias: Bool = true
    ) -> BranchPlan {
        .selfAttention(
            SelfAttentionPlan(
                projection: LinearPlan(projection, inputs: hiddenSize, outputs: 3 * hiddenSize, hasBias: hasBias),
                output: LinearPlan(output, inputs: hiddenSize, outputs: hiddenSize, hasBias: hasBias), heads: heads,
                headWidth: headWidth, span: span, rotary: rotary, dropout: attentionDropout))
    }

    /// A feed-forward branch whose modules have these names.
    func feedForward(inner: String, output: String) -> BranchPlan {
        .feedForward(
            FeedForwardPlan(
                inner: LinearPlan(inner, inputs: hiddenSize, outputs: innerSize),
                output: LinearPlan(output, inputs: innerSize, outputs: hiddenSize), activation: activation))
    }
}
