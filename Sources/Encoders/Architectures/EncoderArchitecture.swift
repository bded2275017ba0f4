// What tells one family of post-LN encoders from another: names, position numbering, what else the scores contain.
//
// Adding a family = one file in this folder + one line in `EncoderArchitectures.all` + one test.

/// A family of encoders whose blocks are those of BERT.
public protocol EncoderArchitecture: Sendable {
    /// Values of model_type in config.json that mean this family.
    var modelTypes: [String] { get }
    /// Prefixes that checkpoints of this family put before the names used here ("bert.").
    var checkpointPrefixes: [String] { get }
    /// Row of the position table that the first token uses.
    var positionStart: Int { get }
    /// Row of the word table without a gradient (torch's padding_idx).
    func paddingID(_ configuration: EncoderConfiguration) -> Int
    /// Names of the embedding tensors.
    var embeddingNames: EmbeddingNames { get }
    /// Names of the tensors of block `layer`.
    func blockNames(_ layer: Int) -> BlockNames
    /// Name of the relative-position table [buckets, H] that all blocks share, or none.
    var relativePositionName: String? { get }
    /// Refuses settings that this family cannot compute.
    func validate(_ configuration: EncoderConfiguration) throws(EncoderError)
    /// Name prefixes of tensors that checkpoints hold and the encoder does not use; their bytes are kept as they are.
    var unusedTensorPrefixes: [String] { get }
}

/// Names of the embedding tensors; a family without token types has no `type`.
public struct EmbeddingNames: Sendable {
    let word: String
    let position: String
    let type: String?
    let norm: String
}

/// Names of the modules of one block; tensors add ".weight" and ".bias".
public struct BlockNames: Sendable {
    let query: String
    let key: String
    let value: String
    let attentionOutput: String
    let attentionNorm: String
    let inner: String
    let output: String
    let outputNorm: String
}

extension EncoderArchitecture {
    /// The name used here of a checkpoint's tensor: prefix dropped, LayerNorm's gamma and beta as weight and bias.
    public func canonicalName(_ checkpointName: String) -> String {
        var name = checkpointName
        for prefix in checkpointPrefixes where name.hasPrefix(prefix) {
            name.removeFirst(prefix.count)
            break
        }
        if name.hasSuffix("LayerNorm.gamma") { return name.dropLast("gamma".count) + "weight" }
        if name.hasSuffix("LayerNorm.beta") { return name.dropLast("beta".count) + "bias" }
        return name
    }

    /// Whether a checkpoint's tensor is known to be of no use to the encoder.
    public func isUnused(_ canonicalName: String) -> Bool {
        unusedTensorPrefixes.contains { canonicalName.hasPrefix($0) }
    }

    /// The tensors of the transformer that a checkpoint must hold, in layout order: blocks from the last to the first, and
    /// the embeddings, with what all blocks share, at the end.
    public func tensors(_ configuration: EncoderConfiguration) -> [TensorSpecification] {
        (0..<configuration.layers).reversed().flatMap { blockTensors($0, configuration) }
            + embeddingTensors(configuration)
    }

    /// Tensors of one block, in the order in which its backward finishes them.
    func blockTensors(_ layer: Int, _ configuration: EncoderConfiguration) -> [TensorSpecification] {
        let names = blockNames(layer)
        let (d, f) = (configuration.hiddenSize, configuration.intermediateSize)
        func pair(_ module: String, _ shape: [Int]) -> [TensorSpecification] {
            [.init(module + ".weight", shape), .init(module + ".bias", [shape[0]])]
        }
        let projections = [names.query, names.key, names.value]
        return pair(names.outputNorm, [d]) + pair(names.output, [d, f]) + pair(names.inner, [f, d])
            + pair(names.attentionNorm, [d]) + pair(names.attentionOutput, [d, d])
            + projections.map { .init($0 + ".weight", [d, d]) } + projections.map { .init($0 + ".bias", [d]) }
    }

    /// Tensors that are finished last.
    func embeddingTensors(_ configuration: EncoderConfiguration) -> [TensorSpecification] {
        let (d, names) = (configuration.hiddenSize, embeddingNames)
        var tensors: [TensorSpecification] = []
        if let relativePositionName {
            tensors.append(.init(relativePositionName, [configuration.relativeAttentionBuckets, configuration.heads]))
        }
        tensors += [.init(names.norm + ".weight", [d]), .init(names.norm + ".bias", [d])]
        if let type = names.type { tensors.append(.init(type, [configuration.typeVocabularySize, d])) }
        return tensors + [
            .init(names.position, [configuration.maximumPositions, d]),
            .init(names.word, [configuration.vocabularySize, d]),
        ]
    }
}

/// The families that can be built.
public enum EncoderArchitectures {
    /// Every family.
    public static let all: [any EncoderArchitecture] = [BERTArchitecture(), MPNetArchitecture()]

    /// The family that config.json's model_type names.
    public static func named(_ modelType: String) throws(EncoderError) -> any EncoderArchitecture {
        if let found = all.first(where: { $0.modelTypes.contains(modelType) }) { return found }
        let known = all.flatMap(\.modelTypes).joined(separator: ", ")
        throw EncoderError("model_type", "the architecture '\(modelType)' is not known", hint: "Known: \(known).")
    }
}
