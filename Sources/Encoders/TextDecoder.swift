// Reconstructs texts from their embeddings, token by token: the decoder of denoising auto-encoders.
//
// A stack of layers whose tokens see only the tokens before them, and the embedding of their sequence. Parts and engine
// are the encoder's, and so are the weights that the plan ties. Forward and backward are one call: the loss is in the
// head.
//
// Legend: T packed tokens (the last of each sequence left out), S sequences, D hidden.
// Reference: Wang et al. 2021, arXiv 2104.06979.

import TuttiKernels

/// A decoder over the parameters of a store. Used by one thread at a time.
package final class TextDecoder {
    private let plan: DecoderPlan
    private let parameters: ParameterStore
    private let embedding: TokenEmbedding
    private let stack: LayerStack
    private let head: LanguageModelHead
    private var arena = Arena()
    private var saved: [Stage.Saved] = []
    private var inputs = PackedBatch()
    private var labels: [Int32] = []

    /// The decoder of `plan`, whose tensors are in `parameters`.
    package init(_ plan: DecoderPlan, parameters: ParameterStore) {
        self.plan = plan
        self.parameters = parameters
        embedding = TokenEmbedding(plan.stack.embedding, parameters.layout)
        stack = LayerStack(plan.stack, parameters.layout)
        head = LanguageModelHead(plan.head, parameters.layout)
        saved.reserveCapacity(stack.stageCount)
    }

    /// The tokens of `target` to predict: all but the first of each text, and padding, which no text has unless it
    /// contains it.
    package func predictedTokens(of target: PackedBatch) -> Int {
        var count = 0
        for s in 0..<target.sequenceCount {
            let tokens = Int(target.offsets[s])..<Int(target.offsets[s + 1])
            for place in tokens.dropFirst() where target.ids[place] != plan.padTokenID { count += 1 }
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
    package func reconstruct(
        _ target: PackedBatch, from texts: Matrix, factor: Double, weight: Double = 1, dTexts: Matrix?,
        dropout: DropoutStream?
    ) -> Double {
        precondition(
            texts.rows == target.sequenceCount && texts.columns == plan.hiddenSize,
            "TextDecoder: embeddings [\(texts.rows), \(texts.columns)] of \(target.sequenceCount) texts, expected"
                + " [\(target.sequenceCount), \(plan.hiddenSize)]")
        shift(target)
        dTexts?.fill(0)
        if inputs.tokenCount == 0 { return 0 }
        arena.reset()
        saved.removeAll(keepingCapacity: true)
        let (t, d) = (inputs.tokenCount, plan.hiddenSize)
        var pass = PassContext(inputs, dropout: dropout, layers: stack.dropoutLayers, arena: &arena)
        pass.memory = .init(embeddings: texts, dEmbeddings: dTexts, values: arena.matrix(texts.rows, d))
        let forwardScratch = stack.begin(&pass, parameters, keepsActivations: true, arena: &arena)
        let scratch = stack.backwardScratch(pass, parameters, kernel: 0, after: forwardScratch, arena: &arena)

        let embedded = embedding.allocate(tokens: t, arena: &arena)
        let start = arena.matrix(t, d)  // [T, D]
        embedding.forward(pass, parameters, saved: embedded, into: start)
        var (stream, statistics) = stack.enter(start, &pass, parameters, arena: &arena)
        for layer in 0..<stack.count {
            stream = stack.forward(
                layer: layer, stream, pass, parameters, scratch: forwardScratch, saved: &saved, arena: &arena)
        }

        let gradient = dTexts == nil ? nil : stack.beginBackward(&pass, arena: &arena)
        let value = labels.withUnsafeBufferPointer { labels in
            labels.baseAddress.map {
                head.crossEntropy(
                    stack.output(of: stack.count, stream), labels: $0, factor: factor, weight: weight,
                    dHidden: gradient.map { stack.gradient(of: stack.count, $0) }, parameters, scratch: scratch.kernel,
                    arena: &arena)
            } ?? 0
        }
        guard let gradient else { return value }
        for layer in (0..<stack.count).reversed() {
            stack.backward(layer: layer, gradient, pass, parameters, saved: saved, scratch: scratch)
        }
        let dEmbedded = stack.leaveBackward(
            gradient, embedded: start, statistics: statistics, parameters, scratch: scratch)
        embedding.backward(pass, parameters, saved: embedded, dOutput: dEmbedded, scratch: scratch.kernel)
        return value
    }

    /// Splits `target` into inputs and labels: the next token, or -1 for padding.
    private func shift(_ target: PackedBatch) {
        inputs.removeAll()
        labels.removeAll(keepingCapacity: true)
        for s in 0..<target.sequenceCount {
            let tokens = target.ids[Int(target.offsets[s])..<Int(target.offsets[s + 1])]
            inputs.append(tokens.dropLast(), slot: target.slots[s], column: target.columns[s])
            for id in tokens.dropFirst() { labels.append(id == plan.padTokenID ? -1 : id) }
        }
        for id in target.ids {
            precondition(
                id >= 0 && Int(id) < plan.vocabularySize,
                "TextDecoder: token \(id) outside a vocabulary of \(plan.vocabularySize)")
        }
        precondition(
            inputs.longest <= plan.longestSequence,
            "TextDecoder: \(inputs.longest) tokens, but positions end at \(plan.longestSequence)")
    }
}
