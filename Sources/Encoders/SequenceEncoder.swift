// Packed token ids to sentence embeddings, and back to parameter gradients: the engine that executes a plan.
//
// A pass with a backward is a value (EncoderPass.swift): every layer keeps what its backward needs. Without one the
// layers share one set of buffers. Nothing is allocated once the largest batch has been seen.
//
// Taps: a forward gives one block [S, D] for each layer in `taps` (0 = embedding output, l = output of layer l), and its
// backward takes one gradient per tap and adds it to the residual stream when that reaches the layer. Layers above the highest
// tap are not computed.
//
// Backward ends where nothing below is trained; the layers below are computed as in an evaluation, dropout included, and
// keep nothing.
//
// A plan without layers is a bag of tokens: gathered and pooled in one, without vectors of tokens.
//
// Legend: T packed tokens, S sequences, D hidden, Dout width of an embedding.

import TuttiGround
import TuttiKernels

/// A transformer encoder with pooling and the modules after it. Used by one thread at a time.
package final class SequenceEncoder {
    /// Its compute settings, by default those of the process. Callers enter them around passes and around computations
    /// on their results: `encoder.compute.run { ... }`.
    package var compute = Compute.process
    /// The size of the noise that token embeddings get in training (NEFTune); 0 = none.
    package var embeddingNoise: Float = 0
    /// How training passes keep activations.
    package var kept = KeptActivations.fp32
    /// The instructions of dense products of training passes, whose operands are rounded to bf16; nil = fp32.
    package var halfProducts: HalfProducts?
    /// How dense products of other passes are computed.
    package var frozenProducts = DenseProducts.fp32
    /// The plan of the transformer.
    package let plan: EncoderPlan
    /// The modules after the transformer.
    package let headConfigurations: [HeadConfiguration]
    /// Values and gradients of all parameters.
    package let parameters: ParameterStore
    /// Width of an embedding.
    package let outputWidth: Int
    /// The position of each parameter.
    package var layout: ParameterLayout { parameters.layout }
    private var trainingProducts: DenseProducts { halfProducts.map { .bf16($0) } ?? .fp32 }

    /// Number of transformer layers.
    package var layerCount: Int { plan.layerCount }
    /// Maximum tokens of a sequence.
    package var longestSequence: Int { plan.longestSequence }

    private let embedding: TokenEmbedding
    /// Of a plan without layers, in place of embedding, layers and pooling.
    private let bag: EmbeddingBag?
    private let stack: LayerStack
    private let pooling: PoolingHead
    private let heads: [Head]
    /// Whether the embedding, and whether the embedding or a layer, has a tensor that is trained.
    private let reachesEmbedding, reachesLayers: Bool
    /// The lowest head with a tensor that is trained; their number if there is none.
    private let lowestHead: Int
    /// The slices of the gradient arena of heads, layers from the last to the first, and embedding.
    private let slices: [Range<Int>]

    /// The last layer alone: the default taps.
    let lastLayer: [Int]
    /// The memory of passes while none is alive.
    private var spare: PassMemory?

    /// An encoder with zero weights, to be set through `parameters`; those that `frozen` names are not trained, and
    /// the modules that `adapters` names have one.
    ///
    /// Throws: if modules do not match each other or the plan.
    package convenience init(
        _ plan: EncoderPlan, heads: [HeadConfiguration], frozen: Set<String> = [],
        adapters: [String: AdapterPlan] = [:]
    ) throws(TuttiError) {
        var layout = ParameterLayout(adapters: adapters)
        let slices = Self.groups(plan, heads).map { layout.append($0, frozen: frozen) }
        try self.init(
            plan, heads: heads, layout: layout, slices: slices,
            parameters: ParameterStore(layout: layout, wordTable: plan.embedding.word.name))
    }

    /// The tensors in the groups in which backward finishes their gradients: heads, layers, embedding.
    static func groups(_ plan: EncoderPlan, _ heads: [HeadConfiguration]) -> [[TensorSpecification]] {
        heads.dropFirst().reversed().map(\.tensors) + plan.groups
    }

    /// An encoder whose parameters are in `parameters`, under the names of `layout`; `slices` are the floats that the
    /// backward of each group finishes.
    ///
    /// Throws: if modules do not match each other or the plan.
    init(
        _ plan: EncoderPlan, heads headConfigurations: [HeadConfiguration], layout: ParameterLayout,
        slices: [Range<Int>], parameters: ParameterStore
    ) throws(TuttiError) {
        guard case .pooling(let modes, _, let includePrompt)? = headConfigurations.first, !modes.isEmpty else {
            throw planError("modules", "the module after the transformer is not a pooling with at least one mode")
        }
        guard !plan.isBag || modes == [.mean] && includePrompt else {
            throw planError("modules", "a model without layers is pooled by the mean of its tokens")
        }
        var widths = [plan.hiddenSize]
        for (place, head) in headConfigurations.enumerated() {
            if case .pooling = head, place > 0 { throw planError("modules", "there is a second pooling module") }
            widths.append(try head.outputWidth(from: widths[place]))
        }
        self.slices = slices
        self.plan = plan
        self.headConfigurations = headConfigurations
        self.parameters = parameters
        outputWidth = widths[widths.count - 1]
        lastLayer = [plan.layerCount]
        embedding = TokenEmbedding(plan.embedding, layout)
        bag = plan.isBag ? EmbeddingBag(plan, layout) : nil
        stack = LayerStack(plan, layout)
        pooling = PoolingHead(modes: modes, includePrompt: includePrompt)
        reachesEmbedding = layout.trains((plan.entry?.tensors ?? []) + plan.embedding.tensors)
        reachesLayers = reachesEmbedding || stack.lowestTrained < plan.layerCount
        let modules = headConfigurations.dropFirst()
        lowestHead = modules.firstIndex { layout.trains($0.tensors) }.map { $0 - 1 } ?? modules.count
        heads = headConfigurations.indices.dropFirst().map { place in
            Head(
                headConfigurations[place], index: place, inputWidth: widths[place], outputWidth: widths[place + 1],
                layout)
        }
    }

    /// Whether any of its parameters is trained.
    package var isTrained: Bool { reachesLayers || lowestHead < heads.count }

    /// Embeds `batch` without a backward: `result` [taps * S, Dout], tap by tap.
    ///
    /// - Parameters:
    ///   - taps: ascending layers; nil = the last.
    ///   - dropout: the masks; nil = evaluation.
    package func embed(_ batch: PackedBatch, taps: [Int]? = nil, dropout: DropoutStream? = nil, into result: Matrix) {
        let memory = takeMemory()
        forward(batch, taps ?? lastLayer, dropout, into: result, memory, keepsActivations: false)
        takeBack(memory)
    }

    /// Embeds `batch`, as `embed`; the pass back-propagates a gradient of `result`.
    package func forward(
        _ batch: PackedBatch, taps: [Int]? = nil, dropout: DropoutStream?, into result: Matrix
    ) -> EncoderPass {
        let memory = takeMemory()
        forward(batch, taps ?? lastLayer, dropout, into: result, memory, keepsActivations: true)
        return EncoderPass(self, memory)
    }

    /// Bytes that a step over `batch` takes for activations and the scratch of its backward; a forward finds them.
    package func activationBytes(of batch: PackedBatch) -> Int {
        let memory = takeMemory()
        defer { takeBack(memory) }
        var results = Arena()
        let result = results.matrix(batch.sequenceCount, outputWidth)
        let dropout = DropoutStream(seed: 0, step: 0)
        forward(batch, lastLayer, dropout, into: result, memory, keepsActivations: true)
        if bag == nil, var pass = memory.context, let scratch = memory.forwardScratch {
            _ = stack.beginBackward(&pass, arena: &memory.arena)
            _ = stack.backwardScratch(pass, parameters, kernel: 0, after: scratch, arena: &memory.arena)
        }
        return memory.arena.used
    }

    /// Embeds `batch` into `result`; a backward of `memory` may follow where activations are kept.
    func forward(
        _ batch: PackedBatch, _ taps: [Int], _ dropout: DropoutStream?, into result: Matrix, _ memory: PassMemory,
        keepsActivations: Bool
    ) {
        requireFits(batch, taps, result)
        parameters.products = keepsActivations || dropout != nil ? trainingProducts : frozenProducts
        defer { parameters.products = .fp32 }
        memory.reset(taps: taps)
        let (t, d) = (batch.tokenCount, plan.hiddenSize)
        var pass = PassContext(batch, dropout: dropout, layers: stack.dropoutLayers, arena: &memory.arena)
        let scratch = stack.begin(&pass, parameters, keepsActivations: keepsActivations, arena: &memory.arena)
        memory.forwardScratch = scratch
        let pooled = memory.arena.matrix(taps.count * pass.sequences, pooling.modes.count * d)  // [taps S, modes D]

        if let bag {
            bag.forward(pass, parameters, into: pooled)
            applyHeads(pooled, pass, memory, into: result)
            memory.context = pass
            return
        }
        let start = memory.arena.matrix(t, d)  // [T, D]
        let saved = embedding.allocate(tokens: t, arena: &memory.arena)
        embedding.forward(pass, parameters, noise: embeddingNoise, saved: saved, into: start)
        var (stream, statistics) = stack.enter(start, parameters, arena: &memory.arena)
        memory.outputs.append(start)
        var nextTap = pool(start, layer: 0, taps, 0, pass, into: pooled)
        if keepsActivations, kept != .fp32 {
            memory.window = stack.makeWindow(after: stream, pass, keeping: kept, arena: &memory.arena)
        }
        let firstKept = keepsActivations ? (reachesEmbedding ? 0 : stack.lowestTrained) : layerCount
        for layer in 0..<taps[taps.count - 1] {
            if let window = memory.window {
                stream = stack.forward(
                    layer: layer, window.enter(stream), pass, parameters, scratch: scratch, in: window)
                memory.window?.keep(arena: &memory.arena)
            } else if layer >= firstKept {
                stream = stack.forward(
                    layer: layer, stream, pass, parameters, scratch: scratch, saved: &memory.stages,
                    arena: &memory.arena)
            } else {
                stream = stack.evaluate(
                    layer: layer, stream, pass, parameters, scratch: scratch, shared: &memory.shared,
                    arena: &memory.arena)
                if keepsActivations { stack.skip(layer: layer, shared: memory.shared, saved: &memory.stages) }
            }
            let output = stack.output(of: layer + 1, stream)
            if keepsActivations {
                memory.outputs.append(
                    memory.window == nil ? output : outlasting(output, memory, isTap: taps[nextTap] == layer + 1))
            }
            nextTap = pool(output, layer: layer + 1, taps, nextTap, pass, into: pooled)
        }
        applyHeads(pooled, pass, memory, into: result)
        (memory.embedding, memory.entry, memory.context) = (saved, statistics, pass)
    }

    /// The embeddings of the pooled rows.
    private func applyHeads(_ pooled: Matrix, _ pass: PassContext, _ memory: PassMemory, into result: Matrix) {
        var rows = pooled
        for head in heads {
            let saved = head.forward(rows, pass, parameters, arena: &memory.arena)
            memory.heads.append(saved)
            rows = saved.output
        }
        result.copy(from: rows)
    }

    /// The backward of the pass stored in `memory`, down to the lowest tensor that is trained.
    func backward(_ dEmbeddings: Matrix, _ memory: PassMemory, finished: (Range<Int>) -> Void) {
        if !isTrained { return }
        guard var pass = memory.context, let forwardScratch = memory.forwardScratch else {
            preconditionFailure("SequenceEncoder: a pass without a forward")
        }
        parameters.products = trainingProducts
        defer { parameters.products = .fp32 }
        let taps = memory.taps
        precondition(
            dEmbeddings.rows == taps.count * pass.sequences && dEmbeddings.columns == outputWidth,
            "SequenceEncoder: gradient [\(dEmbeddings.rows), \(dEmbeddings.columns)] for"
                + " [\(taps.count * pass.sequences), \(outputWidth)]")
        let widest = heads.reduce(0) { max($0, $1.inputWidth) }
        let scratch = stack.backwardScratch(
            pass, parameters, kernel: NormKernels.backwardScratch(columns: widest), after: forwardScratch,
            arena: &memory.arena)

        var dRows = memory.arena.matrix(dEmbeddings.rows, dEmbeddings.columns)  // [taps S, Dout]
        dRows.copy(from: dEmbeddings)
        var group = 0
        func finish() {
            if !slices[group].isEmpty { finished(slices[group]) }
            group += 1
        }
        for place in heads.indices.reversed() where reachesLayers || place >= lowestHead {
            dRows = heads[place].backward(
                memory.heads[place], dOutput: dRows, parameters, scratch: scratch.kernel, arena: &memory.arena)
            finish()
        }
        if !reachesLayers { return }
        if let bag {
            bag.backward(pass, parameters, dPooled: dRows)
            finish()
            return
        }
        guard let embedded = memory.embedding else { preconditionFailure("SequenceEncoder: no embedded tokens") }
        let gradient = stack.beginBackward(&pass, arena: &memory.arena)
        var tap = taps.count - 1
        for layer in ((reachesEmbedding ? 0 : stack.lowestTrained)..<layerCount).reversed() {
            if layer < taps[taps.count - 1] {
                tap = unpool(layer: layer + 1, tap, memory, pass, dPooled: dRows, into: gradient)
                if let window = memory.window {
                    stack.restore(layer: layer, pass, parameters, scratch: forwardScratch, in: window)
                }
                stack.backward(
                    layer: layer, gradient, stops: !reachesEmbedding, pass, parameters,
                    saved: memory.window?.stages ?? memory.stages, isWindow: memory.window != nil, scratch: scratch)
            }
            finish()
        }
        if !reachesEmbedding { return }
        _ = unpool(layer: 0, tap, memory, pass, dPooled: dRows, into: gradient)
        let dEmbedded = stack.leaveBackward(
            gradient, embedded: memory.outputs[0], statistics: memory.entry, parameters, scratch: scratch)
        embedding.backward(pass, parameters, saved: embedded, dOutput: dEmbedded, scratch: scratch.kernel)
        finish()
    }

    /// The output of a layer that computed in a window, outside of it where a tap's backward may read it.
    private func outlasting(_ output: Matrix, _ memory: PassMemory, isTap: Bool) -> Matrix {
        guard isTap else { return output }
        let copy = memory.arena.matrix(output.rows, output.columns)
        copy.copy(from: output)
        return copy
    }

    /// Memory for a pass: the spare one, or new memory while a pass is alive.
    func takeMemory() -> PassMemory {
        if let memory = spare {
            spare = nil
            return memory
        }
        return PassMemory(layers: layerCount, stages: stack.stageCount, heads: heads.count)
    }

    /// Keeps the memory of a finished pass for the next one.
    func takeBack(_ memory: PassMemory) { spare = memory }

    /// Pools `layer`'s output if it is the current tap; returns the next tap.
    private func pool(
        _ output: Matrix, layer: Int, _ taps: [Int], _ tap: Int, _ pass: PassContext, into pooled: Matrix
    ) -> Int {
        guard tap < taps.count, taps[tap] == layer else { return tap }
        pooling.forward(output, pass, into: pooled.rows(tap * pass.sequences..<(tap + 1) * pass.sequences))
        return tap + 1
    }

    /// Adds the gradient of `layer`'s tap to the stream's if there is one; returns the next tap.
    private func unpool(
        layer: Int, _ tap: Int, _ memory: PassMemory, _ pass: PassContext, dPooled: Matrix,
        into gradient: Stage.Gradient
    ) -> Int {
        guard tap >= 0, memory.taps[tap] == layer else { return tap }
        let rows = dPooled.rows(tap * pass.sequences..<(tap + 1) * pass.sequences)
        pooling.backward(
            memory.outputs[layer], pass, dPooled: rows, stream: stack.gradient(of: layer, gradient))
        return tap - 1
    }

    private func requireFits(_ batch: PackedBatch, _ taps: [Int], _ result: Matrix) {
        var isAscending = !taps.isEmpty
        for place in taps.indices {
            let isAbove = place == 0 || taps[place] > taps[place - 1]
            isAscending = isAscending && isAbove && taps[place] >= 0 && taps[place] <= layerCount
        }
        precondition(isAscending, "SequenceEncoder: taps \(taps) are not ascending layers 0 ... \(layerCount)")
        precondition(
            batch.longest <= longestSequence,
            "SequenceEncoder: a sequence of \(batch.longest) tokens, but positions end at \(longestSequence)")
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
