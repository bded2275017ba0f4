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
// A bag of tokens is pooled without vectors of tokens. Modules between the layers and pooling (TokenModules/) need the last
// layer: they read its output, or mix those of several layers; with them there is no other tap.
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
    /// The modules after the first.
    package let headConfigurations: [HeadConfiguration]
    /// Values and gradients of all parameters.
    package let parameters: ParameterStore
    /// The values of what is not trained.
    package let fixed: ParameterStore
    /// Width of an embedding.
    package let outputWidth: Int
    /// The position of each parameter.
    package var layout: ParameterLayout { parameters.layout }
    private var trainingProducts: DenseProducts { halfProducts.map { .bf16($0) } ?? .fp32 }

    /// Number of transformer layers.
    package var layerCount: Int { plan.layerCount }
    /// Maximum tokens of a sequence.
    package var longestSequence: Int { plan.longestSequence }

    /// Nil where tokens have no vectors.
    private let embedding: TokenEmbedding?
    /// In place of embedding, layers and pooling.
    private let bag: EmbeddingBag?
    private let stack: LayerStack
    private let mixture: LayerMixture?
    private let modules: [TokenModule]
    private let pooling: PoolingHead
    private let heads: [Head]
    /// Whether the embedding, and whether the embedding or a layer, has a tensor that is trained.
    private let reachesEmbedding, reachesLayers: Bool
    /// The same of the modules over tokens, or what is below them.
    private let reachesTokens: Bool
    /// The lowest head with a tensor that is trained; their number if there is none.
    private let lowestHead: Int
    /// Width of the vectors that are pooled.
    private let pooledWidth: Int
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
            parameters: ParameterStore(layout: layout, wordTable: plan.embedding.word.name),
            fixed: ParameterStore(layout: ParameterLayout(plan.frozen)))
    }

    /// The tensors in the groups in which backward finishes their gradients: heads, modules over tokens, layers,
    /// embedding.
    static func groups(_ plan: EncoderPlan, _ heads: [HeadConfiguration]) -> [[TensorSpecification]] {
        heads.filter { !$0.isPooling }.reversed().map(\.tensors) + plan.groups
    }

    /// An encoder whose parameters are in `parameters`, under the names of `layout`, and tables that are never trained in `fixed`;
    /// `slices` are the floats that the backward of each group finishes.
    ///
    /// Throws: if modules do not match each other or the plan.
    init(
        _ plan: EncoderPlan, heads headConfigurations: [HeadConfiguration], layout: ParameterLayout,
        slices: [Range<Int>], parameters: ParameterStore, fixed: ParameterStore, fixedLayout: ParameterLayout? = nil
    ) throws(TuttiError) {
        let chain = try ModuleChain(headConfigurations, plan)
        let (place, widths) = (chain.pooling, chain.widths)
        self.slices = slices
        self.plan = plan
        self.headConfigurations = headConfigurations
        self.parameters = parameters
        self.fixed = fixed
        outputWidth = widths[widths.count - 1]
        lastLayer = [plan.layerCount]
        embedding =
            plan.isBag ? nil : TokenEmbedding(plan.embedding, layout, frozen: fixedLayout ?? fixed.layout)
        bag = plan.bag.map { EmbeddingBag($0, plan, layout) }
        stack = LayerStack(plan, layout)
        reachesEmbedding = layout.trains((plan.entry?.tensors ?? []) + plan.embedding.tensors)
        reachesLayers = reachesEmbedding || stack.lowestTrained < plan.layerCount
        reachesTokens = reachesLayers || headConfigurations.prefix(place).contains { layout.trains($0.tensors) }
        lowestHead =
            (place + 1..<headConfigurations.count).first { layout.trains(headConfigurations[$0].tensors) }
            .map { $0 - place - 1 } ?? headConfigurations.count - place - 1
        if case .layerMixture(let own)? = headConfigurations.first?.overTokens {
            mixture = LayerMixture(own, layout)
        } else {
            mixture = nil
        }
        modules = headConfigurations.prefix(place).enumerated().compactMap { number, head in
            head.overTokens.flatMap { TokenModule($0, index: number, inputWidth: widths[number], layout) }
        }
        pooledWidth = widths[place]
        pooling = PoolingHead(modes: chain.modes, includePrompt: chain.includePrompt)
        heads = headConfigurations.indices.dropFirst(place + 1).map { place in
            Head(
                headConfigurations[place], index: place, inputWidth: widths[place], outputWidth: widths[place + 1],
                layout)
        }
    }

    /// Whether any of its parameters is trained.
    package var isTrained: Bool { reachesTokens || lowestHead < heads.count }

    /// Whether modules between the layers and pooling need the last layer.
    package var worksOnTokens: Bool { mixture != nil || !modules.isEmpty }

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

    /// Bytes that a step over `batch` takes for activations and, in training, the scratch of its backward; a forward finds
    /// them.
    package func activationBytes(of batch: PackedBatch, isTraining: Bool = true) -> Int {
        let memory = takeMemory()
        defer { takeBack(memory) }
        var results = Arena()
        let result = results.matrix(batch.sequenceCount, outputWidth)
        let dropout = isTraining ? DropoutStream(seed: 0, step: 0) : nil
        forward(batch, lastLayer, dropout, into: result, memory, keepsActivations: isTraining)
        if isTraining, bag == nil, var pass = memory.context, let scratch = memory.forwardScratch {
            for module in memory.modules {
                _ = memory.arena.matrix(module.input.rows, module.input.columns)
            }
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
        // [taps S, modes D]
        let pooled = memory.arena.matrix(taps.count * pass.sequences, pooling.modes.count * pooledWidth)
        memory.pooled = pooled

        guard let embedding else {
            guard let bag else { preconditionFailure("SequenceEncoder: neither tokens nor a bag") }
            bag.forward(pass, parameters, into: pooled)
            applyHeads(pooled, pass, memory, into: result)
            memory.context = pass
            return
        }
        let start = memory.arena.matrix(t, d)  // [T, D]
        let saved = embedding.allocate(tokens: t, arena: &memory.arena)
        embedding.forward(pass, parameters, frozen: fixed, noise: embeddingNoise, saved: saved, into: start)
        var (stream, statistics) = stack.enter(start, &pass, parameters, arena: &memory.arena)
        memory.outputs.append(start)
        let mixed = mixture.map { _ in memory.arena.matrix(t, d) }  // [T, D]
        mixed?.fill(0)
        var last = start
        var nextTap = tap(start, layer: 0, taps, 0, pass, into: pooled, mixed)
        if keepsActivations, kept != .fp32, layerCount > 0 {
            memory.window = stack.makeWindow(after: stream, pass, keeping: kept, arena: &memory.arena)
        }
        let firstKept = keepsActivations ? (reachesEmbedding ? 0 : stack.lowestTrained) : layerCount
        for layer in 0..<taps[taps.count - 1] {
            if let window = memory.window {
                stream = stack.forward(
                    layer: layer, window.enter(stream), pass, parameters, scratch: scratch, in: window)
                window.keep(arena: &memory.arena)
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
                let isRead = mixture != nil || taps[nextTap] == layer + 1
                let isReused = memory.window != nil || mixture != nil && layer < firstKept
                memory.outputs.append(isReused && isRead ? memory.copy(of: output) : output)
            }
            nextTap = tap(output, layer: layer + 1, taps, nextTap, pass, into: pooled, mixed)
            last = output
        }
        if worksOnTokens {
            var tokens = mixed ?? last  // [T, D]
            for module in modules {
                memory.modules.append(module.forward(tokens, &pass, parameters, arena: &memory.arena))
                tokens = memory.modules[memory.modules.count - 1].output
            }
            memory.tokens = tokens
            pooling.forward(tokens, pass, into: pooled)
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
        for place in heads.indices.reversed() where reachesTokens || place >= lowestHead {
            dRows = heads[place].backward(
                memory.heads[place], dOutput: dRows, parameters, scratch: scratch.kernel, arena: &memory.arena)
            finish()
        }
        if !reachesTokens { return }
        guard let embedding, let embedded = memory.embedding else {
            bag?.backward(pass, parameters, dPooled: dRows)
            finish()
            return
        }
        let gradient = stack.beginBackward(&pass, arena: &memory.arena)
        let dMixed = backThroughTokens(memory, pass, dPooled: dRows, gradient, finish)
        var tap = taps.count - 1
        for layer in ((reachesEmbedding ? 0 : stack.lowestTrained)..<layerCount).reversed() {
            if layer < taps[taps.count - 1] {
                tap = unpool(layer: layer + 1, tap, memory, pass, dPooled: dRows, dMixed, into: gradient)
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
        _ = unpool(layer: 0, tap, memory, pass, dPooled: dRows, dMixed, into: gradient)
        let dEmbedded = stack.leaveBackward(
            gradient, embedded: memory.outputs[0], statistics: memory.entry, parameters, scratch: scratch)
        embedding.backward(pass, parameters, saved: embedded, dOutput: dEmbedded, scratch: scratch.kernel)
        finish()
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

    /// The backward of pooling and of the modules before it; what comes before them gets its gradient, but for a mixture of
    /// layers, whose gradient is the result.
    private func backThroughTokens(
        _ memory: PassMemory, _ pass: PassContext, dPooled: Matrix, _ gradient: Stage.Gradient, _ finish: () -> Void
    ) -> Matrix? {
        guard let tokens = memory.tokens, let pooled = memory.pooled else { return nil }
        var dTokens = memory.arena.matrix(tokens.rows, tokens.columns)  // [T, D']
        dTokens.fill(0)
        pooling.backward(tokens, pooled: pooled, pass, dPooled: dPooled, stream: dTokens)
        for place in modules.indices.reversed() {
            dTokens = modules[place].backward(
                memory.modules[place], pass, dOutput: dTokens, parameters, arena: &memory.arena)
            finish()
        }
        guard let mixture else {
            stack.gradient(of: layerCount, gradient).add(dTokens)
            return nil
        }
        let mixed = memory.modules.first?.input ?? tokens
        mixture.backward(memory.outputs, mixed: mixed, parameters, dMixed: dTokens)
        finish()
        return dTokens
    }

    /// Adds `layer`'s output to a mixture, or pools it if it is the current tap; returns the next tap.
    private func tap(
        _ output: Matrix, layer: Int, _ taps: [Int], _ tap: Int, _ pass: PassContext, into pooled: Matrix,
        _ mixed: Matrix?
    ) -> Int {
        if let mixture, let mixed { mixture.add(output, layer: layer, parameters, to: mixed) }
        if worksOnTokens { return tap }
        guard tap < taps.count, taps[tap] == layer else { return tap }
        pooling.forward(output, pass, into: pooled.rows(tap * pass.sequences..<(tap + 1) * pass.sequences))
        return tap + 1
    }

    /// Adds the gradient of `layer`'s tap, or that of a mixture, to the stream's if there is one; returns the next tap.
    private func unpool(
        layer: Int, _ tap: Int, _ memory: PassMemory, _ pass: PassContext, dPooled: Matrix, _ dMixed: Matrix?,
        into gradient: Stage.Gradient
    ) -> Int {
        if worksOnTokens {
            guard let mixture, let dMixed else { return tap }
            mixture.addGradient(dMixed, layer: layer, parameters, to: stack.gradient(of: layer, gradient))
            return tap
        }
        guard tap >= 0, memory.taps[tap] == layer, let pooled = memory.pooled else { return tap }
        let rows = tap * pass.sequences..<(tap + 1) * pass.sequences
        pooling.backward(
            memory.outputs[layer], pooled: pooled.rows(rows), pass, dPooled: dPooled.rows(rows),
            stream: stack.gradient(of: layer, gradient))
        return tap - 1
    }
}
