// What the tensors of a decoder are called: those of a BERT with a language-model head, as BertLMHeadModel of
// transformers names them, behind a prefix; and which of them are the encoder's own where both share their weights.

/// The names of a decoder's tensors. The block's own are those of BERT.
public struct DecoderNames: EncoderArchitecture {
    /// What stands before "bert." and "cls.": "decoder." by itself.
    public let prefix: String
    /// Whether embeddings, self-attention and feed-forward are the encoder's.
    public let isTied: Bool

    private let family = BERTArchitecture()

    /// Names behind `prefix`.
    public init(prefix: String = "decoder.", isTied: Bool) {
        self.prefix = prefix
        self.isTied = isTied
    }

    public var modelTypes: [String] { family.modelTypes }
    public var checkpointPrefixes: [String] { family.checkpointPrefixes }
    public var positionStart: Int { family.positionStart }
    public var relativePositionName: String? { nil }
    public var unusedTensorPrefixes: [String] { [] }
    public func paddingID(_ configuration: EncoderConfiguration) -> Int { configuration.padTokenID }
    public func validate(_ configuration: EncoderConfiguration) throws(EncoderError) {
        try family.validate(configuration)
    }

    private var base: String { isTied ? "" : prefix + "bert." }

    public var embeddingNames: EmbeddingNames {
        let names = family.embeddingNames
        return EmbeddingNames(
            word: base + names.word, position: base + names.position, type: names.type.map { base + $0 },
            norm: base + names.norm)
    }

    public func blockNames(_ layer: Int) -> BlockNames {
        let names = family.blockNames(layer)
        return BlockNames(
            query: base + names.query, key: base + names.key, value: base + names.value,
            attentionOutput: base + names.attentionOutput, attentionNorm: base + names.attentionNorm,
            inner: base + names.inner, output: base + names.output, outputNorm: base + names.outputNorm)
    }

    /// What the modules of the cross-attention of a layer are called before ".self.value" and the like.
    func crossAttention(_ layer: Int) -> String { "\(prefix)bert.encoder.layer.\(layer).crossattention" }

    /// What the modules of the head are called before ".transform.dense" and the like.
    var head: String { prefix + "cls.predictions" }

    /// The tensors that are the decoder's own, in the order in which backward finishes them.
    public func ownTensors(_ configuration: EncoderConfiguration) -> [TensorSpecification] {
        let d = configuration.hiddenSize
        func pair(_ module: String, _ shape: [Int]) -> [TensorSpecification] {
            [.init(module + ".weight", shape), .init(module + ".bias", [shape[0]])]
        }
        var tensors: [TensorSpecification] = [.init(head + ".bias", [configuration.vocabularySize])]
        tensors += pair(head + ".transform.LayerNorm", [d]) + pair(head + ".transform.dense", [d, d])
        for layer in (0..<configuration.layers).reversed() {
            let cross = crossAttention(layer)
            tensors += pair(cross + ".output.LayerNorm", [d])
            for module in ["output.dense", "self.value", "self.key", "self.query"] {
                tensors += pair("\(cross).\(module)", [d, d])
            }
            if !isTied { tensors += blockTensors(layer, configuration) }
        }
        return tensors + (isTied ? [] : embeddingTensors(configuration))
    }
}
