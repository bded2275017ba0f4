// The numbers that describe a transformer encoder, whatever file they came from.
//
// Legend: D hidden, H heads, E = D / H head width, F inner, V vocabulary. Names follow config.json of transformers.

import TuttiKernels

/// A transformer encoder's dimensions and settings.
public struct EncoderConfiguration: Sendable, Equatable {
    /// model_type of config.json: a name in `EncoderArchitectures`.
    public var architecture: String
    /// vocab_size, V.
    public var vocabularySize: Int
    /// hidden_size, D.
    public var hiddenSize: Int
    /// num_hidden_layers.
    public var layers: Int
    /// num_attention_heads, H.
    public var heads: Int
    /// intermediate_size, F.
    public var intermediateSize: Int
    /// max_position_embeddings: rows of the position table (some architectures leave the first ones out).
    public var maximumPositions: Int
    /// type_vocab_size; ignored by architectures without token types.
    public var typeVocabularySize: Int
    /// layer_norm_eps.
    public var layerNormEpsilon: Float
    /// hidden_act.
    public var activation: Activation
    /// hidden_dropout_prob, used only while training.
    public var hiddenDropout: Float
    /// attention_probs_dropout_prob, used only while training.
    public var attentionDropout: Float
    /// pad_token_id: its row of the word table gets no gradient.
    public var padTokenID: Int
    /// relative_attention_num_buckets; ignored by architectures without relative positions.
    public var relativeAttentionBuckets: Int

    /// A configuration; defaults are those of BERT.
    public init(
        architecture: String, vocabularySize: Int, hiddenSize: Int, layers: Int, heads: Int, intermediateSize: Int,
        maximumPositions: Int, typeVocabularySize: Int = 2, layerNormEpsilon: Float = 1e-12,
        activation: Activation = .gelu, hiddenDropout: Float = 0.1, attentionDropout: Float = 0.1, padTokenID: Int = 0,
        relativeAttentionBuckets: Int = 32
    ) {
        self.architecture = architecture
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.layers = layers
        self.heads = heads
        self.intermediateSize = intermediateSize
        self.maximumPositions = maximumPositions
        self.typeVocabularySize = typeVocabularySize
        self.layerNormEpsilon = layerNormEpsilon
        self.activation = activation
        self.hiddenDropout = hiddenDropout
        self.attentionDropout = attentionDropout
        self.padTokenID = padTokenID
        self.relativeAttentionBuckets = relativeAttentionBuckets
    }

    /// Width of one attention head, E.
    public var headWidth: Int { hiddenSize / max(heads, 1) }

    /// The longest sequence that has position embeddings.
    public func longestSequence() throws(EncoderError) -> Int {
        maximumPositions - (try EncoderArchitectures.named(architecture)).positionStart
    }

    /// The activation that config.json calls `hidden_act` or torch calls by its module class.
    public static func activation(named name: String) throws(EncoderError) -> Activation {
        if let activation = activations[name] { return activation }
        let known = activations.keys.sorted().joined(separator: ", ")
        throw EncoderError("activation", "'\(name)' is not known", hint: "Known: \(known).")
    }

    private static let activations: [String: Activation] = [
        "gelu": .gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "relu": .relu, "silu": .silu,
        "swish": .silu, "tanh": .tanh, "sigmoid": .sigmoid, "linear": .identity, "Tanh": .tanh, "Identity": .identity,
        "ReLU": .relu, "GELU": .gelu, "SiLU": .silu, "Sigmoid": .sigmoid,
    ]

    /// Refuses dimensions that the kernels cannot compute.
    func validate() throws(EncoderError) {
        for (name, value) in [
            ("vocab_size", vocabularySize), ("hidden_size", hiddenSize), ("num_hidden_layers", layers),
            ("num_attention_heads", heads), ("intermediate_size", intermediateSize),
            ("max_position_embeddings", maximumPositions),
        ] where value < 1 {
            throw EncoderError(name, "is \(value)", hint: "It must be at least 1.")
        }
        guard hiddenSize % heads == 0 else {
            throw EncoderError("num_attention_heads", "\(heads) does not divide hidden_size \(hiddenSize)")
        }
        guard hiddenSize % 16 == 0 else {
            throw EncoderError("hidden_size", "is \(hiddenSize)", hint: "It must be a multiple of 16.")
        }
        guard headWidth % 8 == 0, headWidth <= 128 else {
            throw EncoderError(
                "num_attention_heads", "heads are \(headWidth) wide", hint: "A multiple of 8 up to 128 is supported.")
        }
        for (name, rate) in [
            ("hidden_dropout_prob", hiddenDropout), ("attention_probs_dropout_prob", attentionDropout),
        ] where !(rate >= 0 && rate < 1) {
            throw EncoderError(name, "is \(rate)", hint: "It must be in 0 ..< 1.")
        }
        guard layerNormEpsilon > 0 else { throw EncoderError("layer_norm_eps", "is \(layerNormEpsilon)") }
    }
}
