// Packed token ids to sentence embeddings, and back to parameter gradients: the engine that plays a plan.
//
// Forward fills one arena: with `keepActivations` every layer keeps what its backward needs, otherwise the layers take
// turns in one set of buffers. Nothing else is allocated once the largest batch was seen.
//
// Taps: forward returns one block [S, D] for each entry of `taps` (0 = embedding output, l = output of layer l), backward takes
// one gradient a tap and adds it to the residual stream when that reaches the layer. Layers above the highest tap are not
// computed.
//
// Legend: T packed tokens, S sequences, D hidden, Dout width of an embedding.

import TuttiKernels

/// A transformer encoder with pooling and the modules behind it. Used by one thread at a time.
public final class SequenceEncoder {
    /// What the transformer is made of.
    package let plan: EncoderPlan
    /// The modules behind the transformer.
    public let headConfigurations: [HeadConfiguration]
    /// Values and gradients of all parameters.
    public let parameters: ParameterStore
    /// Width of an embedding.
    public let outputWidth: Int
    /// Layers whose output is pooled, ascending; the last layer alone by default.
    public var taps: [Int] {
        didSet {
            precondition(
                !taps.isEmpty && taps.allSatisfy((0...layerCount).contains) && zip(taps, taps.dropFirst()).allSatisfy(<),
                "SequenceEncoder: taps \(taps) are not ascending layers 0 ... \(layerCount)")
        }
    }

    /// Where each parameter lies.
    public var layout: ParameterLayout { parameters.layout }
    /// Number of transformer layers.
    public var layerCount: Int { plan.layerCount }
    /// Tokens that a sequence may have.
    public var longestSequence: Int { plan.longestSequence }

    private let embedding: TokenEmbedding
    private let stack: LayerStack
    private let pooling: PoolingHead
    private let heads: [Head]
    /// The slices of the gradient arena of heads, layers from the last to the first, and embedding.
    private let slices: [Range<Int>]

    private var arena = Arena()
    private var pass: PassContext?
    private var outputs: [Matrix] = []
    private var savedStages: [Stage.Saved] = []
    private var savedHeads: [Head.Saved] = []
    private var savedEmbedding: TokenEmbedding.Saved?

    /// An encoder with zero weights, to be filled through `parameters`.
    ///
    /// Throws: modules that do not fit each other or the plan.
    package init(_ plan: EncoderPlan, heads headConfigurations: [HeadConfiguration]) throws(EncoderError) {
        guard case .pooling(let modes, let includePrompt)? = headConfigurations.first, !modes.isEmpty else {
            throw EncoderError("modules", "the module behind the transformer is not a pooling with at least one mode")
        }
        var widths = [plan.hiddenSize]
        for (place, head) in headConfigurations.enumerated() {
            if case .pooling = head, place > 0 { throw EncoderError("modules", "there is a second pooling module") }
            widths.append(try head.outputWidth(from: widths[place]))
        }
        var layout = ParameterLayout()
        slices = (headConfigurations.dropFirst().reversed().map(\.tensors) + plan.groups).map { layout.append($0) }
        self.plan = plan
        self.headConfigurations = headConfigurations
        parameters = ParameterStore(layout: layout, wordTable: plan.embedding.word.name)
        outputWidth = widths[widths.count - 1]
        taps = [plan.layerCount]
        embedding = TokenEmbedding(plan.embedding, layout)
        stack = LayerStack(plan, layout)
        pooling = PoolingHead(modes: modes, includePrompt: includePrompt)
        heads = headConfigurations.indices.dropFirst().map { place in
            Head(
                headConfigurations[place], index: place, inputWidth: widths[place], outputWidth: widths[place + 1],
                layout)
        }
        outputs.reserveCapacity(plan.layerCount + 1)
        savedStages.reserveCapacity(stack.stageCount)
        savedHeads.reserveCapacity(heads.count)
    }

    /// Embeds `batch`: result [taps * S, Dout], tap after tap. `dropout` nil = evaluation.
    /// With `keepActivations`, exactly one `backward` may follow.
    public func forward(
        _ batch: PackedBatch, into result: Matrix, dropout: DropoutStream?, keepActivations: Bool
    ) {
        requireFits(batch, result)
        arena.reset()
        outputs.removeAll(keepingCapacity: true)
        savedStages.removeAll(keepingCapacity: true)
        savedHeads.removeAll(keepingCapacity: true)
        let (t, d) = (batch.tokenCount, plan.hiddenSize)
        var pass = PassContext(batch, dropout: dropout, layers: stack.dropoutLayers, arena: &arena)
        let scratch = stack.begin(&pass, parameters, keepsActivations: keepActivations, arena: &arena)
        let pooled = arena.matrix(taps.count * pass.sequences, pooling.modes.count * d)  // [taps S, modes D]

        let start = arena.matrix(t, d)  // [T, D]
        let saved = embedding.allocate(tokens: t, arena: &arena)
        embedding.forward(pass, parameters, saved: saved, into: start)
        savedEmbedding = saved
        var stream = Stage.Stream(carried: start, input: start)
        outputs.append(start)
        var nextTap = pool(start, layer: 0, tap: 0, pass, into: pooled)
        for layer in 0..<taps[taps.count - 1] {
            if keepActivations {
                stream = stack.forward(
                    layer: layer, stream, pass, parameters, scratch: scratch, saved: &savedStages, arena: &arena)
            } else {
                stream = stack.evaluate(
                    layer: layer, stream, pass, parameters, scratch: scratch, shared: &savedStages, arena: &arena)
            }
            let output = stack.output(of: layer + 1, stream)
            if keepActivations { outputs.append(output) }
            nextTap = pool(output, layer: layer + 1, tap: nextTap, pass, into: pooled)
        }
        var rows = pooled
        for head in heads {
            let saved = head.forward(rows, pass, parameters, arena: &arena)
            savedHeads.append(saved)
            rows = saved.output
        }
        result.copy(from: rows)
        self.pass = keepActivations ? pass : nil
    }

    /// Adds the gradients of all parameters, given the gradient [taps * S, Dout] of the embeddings of the last forward.
    /// `finished` gets each completed slice of the gradient arena: in layout order, together the whole arena, once each.
    public func backward(_ dEmbeddings: Matrix, finished: (Range<Int>) -> Void) {
        guard var pass, let savedEmbedding else {
            preconditionFailure("SequenceEncoder: backward without a forward that kept its activations")
        }
        self.pass = nil
        precondition(
            dEmbeddings.rows == taps.count * pass.sequences && dEmbeddings.columns == outputWidth,
            "SequenceEncoder: gradient [\(dEmbeddings.rows), \(dEmbeddings.columns)] for"
                + " [\(taps.count * pass.sequences), \(outputWidth)]")
        let widest = heads.reduce(0) { max($0, $1.inputWidth) }
        let scratch = stack.backwardScratch(
            pass, parameters, kernel: RowKernels.layerNormBackwardScratch(columns: widest), arena: &arena)

        var dRows = arena.matrix(dEmbeddings.rows, dEmbeddings.columns)  // [taps S, Dout]
        dRows.copy(from: dEmbeddings)
        var group = 0
        func finish() {
            if !slices[group].isEmpty { finished(slices[group]) }
            group += 1
        }
        for place in heads.indices.reversed() {
            dRows = heads[place].backward(
                savedHeads[place], dOutput: dRows, parameters, scratch: scratch.kernel, arena: &arena)
            finish()
        }
        let gradient = stack.beginBackward(&pass, arena: &arena)
        var tap = taps.count - 1
        for layer in (0..<layerCount).reversed() {
            if layer < taps[taps.count - 1] {
                tap = unpool(layer: layer + 1, tap: tap, pass, dPooled: dRows, into: gradient)
                stack.backward(
                    layer: layer, gradient, pass, parameters, saved: savedStages, scratch: scratch)
            }
            if layer == 0 { stack.finishBackward(pass, parameters) }
            finish()
        }
        _ = unpool(layer: 0, tap: tap, pass, dPooled: dRows, into: gradient)
        embedding.backward(
            pass, parameters, saved: savedEmbedding, dOutput: gradient.carried, scratch: scratch.kernel)
        finish()
    }

    /// Pools `layer`'s output if it is the tap that is due; returns the tap due next.
    private func pool(_ output: Matrix, layer: Int, tap: Int, _ pass: PassContext, into pooled: Matrix) -> Int {
        guard tap < taps.count, taps[tap] == layer else { return tap }
        pooling.forward(output, pass, into: pooled.rows(tap * pass.sequences..<(tap + 1) * pass.sequences))
        return tap + 1
    }

    /// Adds the gradient of `layer`'s tap to the stream's if there is one; returns the tap due next.
    private func unpool(
        layer: Int, tap: Int, _ pass: PassContext, dPooled: Matrix, into gradient: Stage.Gradient
    ) -> Int {
        guard tap >= 0, taps[tap] == layer else { return tap }
        let rows = dPooled.rows(tap * pass.sequences..<(tap + 1) * pass.sequences)
        pooling.backward(outputs[layer], pass, dPooled: rows, stream: stack.gradient(of: layer, gradient))
        return tap - 1
    }

    private func requireFits(_ batch: PackedBatch, _ result: Matrix) {
        precondition(
            batch.longest <= longestSequence,
            "SequenceEncoder: a sequence of \(batch.longest) tokens, where positions end at \(longestSequence)")
        precondition(
            result.rows == taps.count * batch.sequenceCount && result.columns == outputWidth,
            "SequenceEncoder: \(taps.count) taps of \(batch.sequenceCount) sequences of width \(outputWidth)"
                + " into [\(result.rows), \(result.columns)]")
        for id in batch.ids {
            precondition(
                id >= 0 && Int(id) < plan.vocabularySize,
                "SequenceEncoder: token \(id) outside a vocabulary of \(plan.vocabularySize)")
        }
    }
}
