// Packed token ids to sentence embeddings, and back to parameter gradients.
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
    public let configuration: EncoderConfiguration
    /// The modules behind the transformer.
    public let headConfigurations: [HeadConfiguration]
    /// The family the transformer belongs to: names and aliases of its tensors.
    public let architecture: any EncoderArchitecture
    /// Values and gradients of all parameters.
    public let parameters: ParameterStore
    /// Width of an embedding.
    public let outputWidth: Int
    /// Tokens that a sequence may have.
    public let longestSequence: Int
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
    public var layerCount: Int { configuration.layers }

    private let embeddings: Embeddings
    private let embeddingSlice: Range<Int>
    private let relativePositions: RelativePositions?
    private let blocks: [TransformerBlock]
    private let pooling: PoolingHead
    private let heads: [Head]

    private var arena = Arena()
    private var pass: EncoderPass?
    private var hidden: [Matrix] = []
    private var savedBlocks: [TransformerBlock.Saved] = []
    private var savedHeads: [Head.Saved] = []
    private var savedEmbeddings: Embeddings.Saved?

    /// An encoder with zero weights, to be filled through `parameters`.
    public init(configuration: EncoderConfiguration, heads headConfigurations: [HeadConfiguration]) throws(EncoderError) {
        let architecture = try EncoderArchitectures.named(configuration.architecture)
        try configuration.validate()
        try architecture.validate(configuration)
        guard case .pooling(let modes, let includePrompt)? = headConfigurations.first, !modes.isEmpty else {
            throw EncoderError("modules", "the module behind the transformer is not a pooling with at least one mode")
        }
        var widths = [configuration.hiddenSize]
        for (place, head) in headConfigurations.enumerated() {
            if case .pooling = head, place > 0 { throw EncoderError("modules", "there is a second pooling module") }
            widths.append(try head.outputWidth(from: widths[place]))
        }
        var plan = LayoutPlan()
        let headSlices = headConfigurations.reversed().map { plan.add($0.tensors) }
        let blockSlices = (0..<configuration.layers).reversed().map {
            plan.add(architecture.blockTensors($0, configuration))
        }
        embeddingSlice = plan.add(architecture.embeddingTensors(configuration))
        let layout = plan.layout

        self.configuration = configuration
        self.headConfigurations = headConfigurations
        self.architecture = architecture
        parameters = ParameterStore(layout: layout, wordTable: architecture.embeddingNames.word)
        outputWidth = widths[widths.count - 1]
        longestSequence = configuration.maximumPositions - architecture.positionStart
        taps = [configuration.layers]
        embeddings = Embeddings(configuration, architecture, layout)
        relativePositions = architecture.relativePositionName.map {
            RelativePositions(table: TensorSlot(layout, $0), heads: configuration.heads)
        }
        blocks = (0..<configuration.layers).map {
            TransformerBlock(
                configuration, architecture, layer: $0, layout, slice: blockSlices[configuration.layers - 1 - $0])
        }
        pooling = PoolingHead(modes: modes, includePrompt: includePrompt)
        heads = headConfigurations.indices.dropFirst().map { place in
            Head(
                headConfigurations[place], index: place, inputWidth: widths[place], outputWidth: widths[place + 1],
                layout, slice: headSlices[headConfigurations.count - 1 - place])
        }
        hidden.reserveCapacity(configuration.layers + 1)
        savedBlocks.reserveCapacity(configuration.layers)
        savedHeads.reserveCapacity(heads.count)
    }

    /// Embeds `batch`: result [taps * S, Dout], tap after tap. `dropout` nil = evaluation.
    /// With `keepActivations`, exactly one `backward` may follow.
    public func forward(
        _ batch: PackedBatch, into result: Matrix, dropout: DropoutStream?, keepActivations: Bool
    ) {
        requireFits(batch, result)
        arena.reset()
        hidden.removeAll(keepingCapacity: true)
        savedBlocks.removeAll(keepingCapacity: true)
        savedHeads.removeAll(keepingCapacity: true)
        let (t, d) = (batch.tokenCount, configuration.hiddenSize)
        var pass = EncoderPass(batch, dropout: dropout, layers: layerCount, arena: &arena)
        if let relativePositions, pass.longest > 0 {
            let distances = arena.matrix(configuration.heads, 2 * pass.longest - 1)  // [H, 2 L - 1]
            relativePositions.expand(parameters, longest: pass.longest, into: distances)
            pass.positions = distances
        }
        let pooled = arena.matrix(taps.count * pass.sequences, pooling.modes.count * d)  // [taps S, modes D]
        let activated = arena.matrix(t, keepActivations ? configuration.intermediateSize : 0)  // [T, F]
        let scratch = arena.floats(blocks[0].attention.kernel(pass, parameters).scratchCount)

        var current = arena.matrix(t, d)  // [T, D]
        let saved = Embeddings.Saved(sum: arena.matrix(t, d), mean: arena.floats(t), rstd: arena.floats(t))
        embeddings.forward(pass, parameters, saved: saved, into: current)
        savedEmbeddings = saved
        hidden.append(current)
        var nextTap = pool(current, layer: 0, tap: 0, pass, into: pooled)

        let depth = taps[taps.count - 1]
        var shared: TransformerBlock.Saved?
        for layer in 0..<depth {
            let own = shared ?? TransformerBlock.allocate(configuration, tokens: t, arena: &arena)
            // At inference the blocks share their buffers, and the output may take the place of the input.
            let output = keepActivations ? arena.matrix(t, d) : current  // [T, D]
            blocks[layer].forward(
                current, pass, parameters, saved: own,
                activated: keepActivations ? activated : own.feedForward.preactivation, scratch: scratch, into: output)
            if keepActivations { savedBlocks.append(own) } else { shared = own }
            current = output
            if keepActivations { hidden.append(current) }
            nextTap = pool(current, layer: layer + 1, tap: nextTap, pass, into: pooled)
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
        guard var pass, let savedEmbeddings else {
            preconditionFailure("SequenceEncoder: backward without a forward that kept its activations")
        }
        self.pass = nil
        precondition(
            dEmbeddings.rows == taps.count * pass.sequences && dEmbeddings.columns == outputWidth,
            "SequenceEncoder: gradient [\(dEmbeddings.rows), \(dEmbeddings.columns)] for"
                + " [\(taps.count * pass.sequences), \(outputWidth)]")
        let (t, d) = (pass.tokenCount, configuration.hiddenSize)
        let attention = blocks[0].attention.kernel(pass, parameters)
        let widest = heads.reduce(d) { max($0, $1.inputWidth) }
        let scratch = TransformerBlock.allocateScratch(
            configuration, tokens: t,
            kernel: max(attention.scratchCount, RowKernels.layerNormBackwardScratch(columns: widest)), arena: &arena)

        var dRows = arena.matrix(dEmbeddings.rows, dEmbeddings.columns)  // [taps S, Dout]
        dRows.copy(from: dEmbeddings)
        for place in heads.indices.reversed() {
            dRows = heads[place].backward(
                savedHeads[place], dOutput: dRows, parameters, scratch: scratch.kernel, arena: &arena)
            if !heads[place].slice.isEmpty { finished(heads[place].slice) }
        }
        if let positions = pass.positions {
            let dPositions = arena.matrix(positions.rows, positions.columns)  // [H, 2 L - 1]
            dPositions.fill(0)
            pass.dPositions = dPositions
        }
        let stream = arena.matrix(t, d)  // [T, D]
        stream.fill(0)
        var tap = taps.count - 1
        for layer in (0..<layerCount).reversed() {
            if layer < taps[taps.count - 1] {
                tap = unpool(layer: layer + 1, tap: tap, pass, dPooled: dRows, stream: stream)
                blocks[layer].backward(
                    hidden[layer], pass, parameters, saved: savedBlocks[layer], stream: stream, scratch: scratch)
            }
            finished(blocks[layer].slice)
        }
        tap = unpool(layer: 0, tap: tap, pass, dPooled: dRows, stream: stream)
        if let relativePositions, let dPositions = pass.dPositions {
            relativePositions.accumulate(dPositions, longest: pass.longest, parameters)
        }
        embeddings.backward(pass, parameters, saved: savedEmbeddings, dOutput: stream, scratch: scratch.kernel)
        finished(embeddingSlice)
    }

    /// Pools `layer`'s output if it is the tap that is due; returns the tap due next.
    private func pool(_ output: Matrix, layer: Int, tap: Int, _ pass: EncoderPass, into pooled: Matrix) -> Int {
        guard tap < taps.count, taps[tap] == layer else { return tap }
        pooling.forward(output, pass, into: pooled.rows(tap * pass.sequences..<(tap + 1) * pass.sequences))
        return tap + 1
    }

    /// Adds the gradient of `layer`'s tap to the stream if there is one; returns the tap due next.
    private func unpool(layer: Int, tap: Int, _ pass: EncoderPass, dPooled: Matrix, stream: Matrix) -> Int {
        guard tap >= 0, taps[tap] == layer else { return tap }
        let rows = dPooled.rows(tap * pass.sequences..<(tap + 1) * pass.sequences)
        pooling.backward(hidden[layer], pass, dPooled: rows, stream: stream)
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
                id >= 0 && Int(id) < configuration.vocabularySize,
                "SequenceEncoder: token \(id) outside a vocabulary of \(configuration.vocabularySize)")
        }
    }
}

/// Builds a layout and notes which slice each module gets.
private struct LayoutPlan {
    private(set) var layout = ParameterLayout()

    /// Appends tensors; their common slice.
    mutating func add(_ tensors: [TensorSpecification]) -> Range<Int> {
        let start = layout.count
        for tensor in tensors { layout.append(tensor) }
        return start..<layout.count
    }
}
