// Reconstructs texts from their embeddings, token after token: the decoder of denoising auto-encoders.
//
// A BERT whose tokens see only what stands before them, and the embedding of their sequence (CrossAttention.swift).
// Blocks and embeddings are the encoder's own code, and its own weights where they are tied; that a token sees nothing
// behind it is a relative-position bias that no softmax survives. Forward and backward are one call: the loss is the
// head's.
//
// Legend: T packed tokens (the last of each sequence left out), S sequences, D hidden.
// Reference: Wang et al. 2021, arXiv 2104.06979; BertLMHeadModel in transformers.

import TuttiKernels

/// A decoder over the parameters of a store. Used by one thread at a time.
public final class TextDecoder {
    /// What it is made of.
    public let configuration: EncoderConfiguration
    private let parameters: ParameterStore
    private let embeddings: Embeddings
    private let layers: [(attention: SelfAttention, cross: CrossAttention, feedForward: FeedForward)]
    private let head: LanguageModelHead
    private var arena = Arena()
    private var inputs = PackedBatch()
    private var labels: [Int32] = []

    /// What backward needs of one layer.
    private struct Saved {
        let input: Matrix  // [T, D]
        let block: TransformerBlock.Saved  // `hidden` is what self-attention gives
        let cross: CrossAttention.Saved
    }

    /// A decoder whose tensors, called `names`, lie in `parameters`.
    public init(configuration: EncoderConfiguration, names: DecoderNames, parameters: ParameterStore) {
        self.configuration = configuration
        self.parameters = parameters
        let layout = parameters.layout
        embeddings = Embeddings(configuration, names, layout)
        layers = (0..<configuration.layers).map { layer in
            let block = names.blockNames(layer)
            return (
                SelfAttention(configuration, block, layer: layer, layout),
                CrossAttention(
                    configuration, names.crossAttention(layer), layer: configuration.layers + layer + 1, layout),
                FeedForward(configuration, block, layer: layer, layout)
            )
        }
        head = LanguageModelHead(configuration, names, layout)
    }

    /// The tokens of `target` that are to be predicted: all but the first of each text, and padding, which no text has
    /// unless it spells it.
    public func predictedTokens(of target: PackedBatch) -> Int {
        var count = 0
        for s in 0..<target.sequenceCount {
            let tokens = Int(target.offsets[s])..<Int(target.offsets[s + 1])
            for place in tokens.dropFirst() where target.ids[place] != configuration.padTokenID { count += 1 }
        }
        return count
    }

    /// factor * the sum of the cross entropies of all predicted tokens of `target`.
    ///
    /// - Parameters:
    ///   - texts: embeddings of the sequences, `[S, D]`.
    ///   - dTexts: assigned the derivative, weight included; gradients of the parameters accumulate. nil = evaluation.
    ///   - weight: factor of all gradients.
    ///   - dropout: the masks; nil = none.
    public func reconstruct(
        _ target: PackedBatch, from texts: Matrix, factor: Double, weight: Double = 1, dTexts: Matrix?,
        dropout: DropoutStream?
    ) -> Double {
        precondition(
            texts.rows == target.sequenceCount && texts.columns == configuration.hiddenSize,
            "TextDecoder: embeddings [\(texts.rows), \(texts.columns)] of \(target.sequenceCount) texts, where"
                + " [\(target.sequenceCount), \(configuration.hiddenSize)] are needed")
        shift(target)
        dTexts?.fill(0)
        if inputs.tokenCount == 0 { return 0 }
        arena.reset()
        let (t, d) = (inputs.tokenCount, configuration.hiddenSize)
        var pass = EncoderPass(inputs, dropout: dropout, layers: 2 * layers.count, arena: &arena)
        pass.positions = causality(longest: pass.longest)
        let kernel = layers[0].attention.kernel(pass, parameters).scratchCount
        let scratch = TransformerBlock.allocateScratch(
            configuration, tokens: t, kernel: max(kernel, RowKernels.layerNormBackwardScratch(columns: d)),
            arena: &arena)
        let values = arena.matrix(texts.rows, d)  // [S, D]

        let embedded = Embeddings.Saved(sum: arena.matrix(t, d), mean: arena.floats(t), rstd: arena.floats(t))
        var current = arena.matrix(t, d)  // [T, D]
        embeddings.forward(pass, parameters, saved: embedded, into: current)
        var saved: [Saved] = []
        for layer in layers {
            let own = Saved(
                input: current, block: TransformerBlock.allocate(configuration, tokens: t, arena: &arena),
                cross: CrossAttention.allocate(configuration, tokens: t, arena: &arena))
            layer.attention.forward(
                current, pass, parameters, saved: own.block.attention, scratch: scratch.kernel, into: own.block.hidden)
            layer.cross.forward(
                own.block.hidden, embeddings: texts, pass, parameters, saved: own.cross, values: values)
            current = arena.matrix(t, d)
            layer.feedForward.forward(
                own.cross.output, pass, parameters, saved: own.block.feedForward, activated: scratch.inner,
                into: current)
            saved.append(own)
        }

        let stream = arena.matrix(t, d)  // [T, D]
        let value = labels.withUnsafeBufferPointer { labels in
            labels.baseAddress.map {
                head.crossEntropy(
                    current, labels: $0, factor: factor, weight: weight, dHidden: dTexts == nil ? nil : stream,
                    parameters, scratch: scratch.kernel, arena: &arena)
            } ?? 0
        }
        guard let dTexts else { return value }
        for (layer, own) in zip(layers, saved).reversed() {
            layer.feedForward.backward(
                own.cross.output, pass, parameters, saved: own.block.feedForward, stream: stream,
                dBranch: scratch.branch, inner: scratch.inner, activated: own.block.feedForward.preactivation,
                scratch: scratch.kernel)
            layer.cross.backward(
                embeddings: texts, pass, parameters, saved: own.cross, stream: stream, dEmbeddings: dTexts,
                dBranch: scratch.branch, dContext: scratch.context, dValues: values, scratch: scratch.kernel)
            layer.attention.backward(
                own.input, pass, parameters, saved: own.block.attention, stream: stream, dBranch: scratch.branch,
                dContext: scratch.context, dQKV: scratch.qkv, scratch: scratch.kernel)
        }
        embeddings.backward(pass, parameters, saved: embedded, dOutput: stream, scratch: scratch.kernel)
        return value
    }

    /// Splits `target` into what is read and what is to be predicted from it: the next token, or -1 for padding.
    private func shift(_ target: PackedBatch) {
        inputs.removeAll()
        labels.removeAll(keepingCapacity: true)
        for s in 0..<target.sequenceCount {
            let tokens = target.ids[Int(target.offsets[s])..<Int(target.offsets[s + 1])]
            inputs.append(tokens.dropLast(), slot: target.slots[s], column: target.columns[s])
            for id in tokens.dropFirst() { labels.append(id == configuration.padTokenID ? -1 : id) }
        }
        for id in target.ids {
            precondition(
                id >= 0 && Int(id) < configuration.vocabularySize,
                "TextDecoder: token \(id) outside a vocabulary of \(configuration.vocabularySize)")
        }
        precondition(
            inputs.longest <= configuration.maximumPositions,
            "TextDecoder: \(inputs.longest) tokens, where positions end at \(configuration.maximumPositions)")
    }

    /// Biases by distance, [H, 2 L - 1], that leave nothing of the scores of later tokens.
    private func causality(longest: Int) -> Matrix {
        let biases = arena.matrix(configuration.heads, 2 * longest - 1)
        biases.fill(0)
        biases.columns(longest..<2 * longest - 1).fill(-1e9)
        return biases
    }
}
