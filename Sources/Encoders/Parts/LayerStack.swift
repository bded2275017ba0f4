// The layers of a plan, executed one at a time: their stages forward, and backward in reverse. What comes before (tokens)
// and after (pooling, a language model head) belongs to the caller.
//
// Legend: T packed tokens, D hidden, F inner, H heads, L longest sequence.

import TuttiKernels

/// The stages of all layers with their parameters resolved.
struct LayerStack: Sendable {
    private let stages: [Stage]
    /// The stages of each layer.
    private let ranges: [Range<Int>]
    private let carries: CarriedSum
    /// The norm before the first branch.
    private let entry: Norm?
    /// What joins the stream behind the first layer.
    private let convolution: EmbeddingConvolution?
    private let outputDropout: Float
    private let positions: Positions
    private let rotations: RotaryTables
    private let width: Int
    /// Scratch for the widest branch of each kind.
    private let room: BranchPlan.Room
    /// Layers in the dropout keys.
    let dropoutLayers: Int
    /// The lowest stage with a tensor that is trained, and what of it is; nil = none of them is.
    private let lowest: (stage: Int, extent: Stage.Extent)?

    /// The layers of `plan` in `layout`.
    ///
    /// Dropout: layer l draws as layer l + 1; cross-attentions, which were added later, are numbered after the last.
    init(_ plan: EncoderPlan, _ layout: ParameterLayout) {
        var (stages, ranges, last) = ([Stage](), [Range<Int>](), plan.layers.count)
        var lowest: (stage: Int, extent: Stage.Extent)?
        let positions = Positions(plan.layers.flatMap(\.selfAttentions), layout)
        let rotations = RotaryTables(plan.layers.flatMap(\.selfAttentions))
        var lower: [PositionsPlan] = []
        for (number, layer) in plan.layers.enumerated() {
            let start = stages.count
            for stage in layer.stages {
                var place = number + 1
                if case .crossAttention = stage.branch {
                    place += plan.layers.count
                    last = max(last, place)
                }
                if lowest == nil, layout.trains(stage.tensors) {
                    lowest = (stages.count, layout.trains(stage.branch.tensors) ? .tensors : .junction)
                }
                let kind = stage.branch.positions
                stages.append(
                    Stage(
                        stage, layer: place, positions, rotations.plans, isLowest: !lower.contains(kind), layout))
                lower.append(kind)
            }
            ranges.append(start..<stages.count)
        }
        self.stages = stages
        self.ranges = ranges
        self.lowest = lowest
        dropoutLayers = last
        carries = plan.carries
        entry = plan.entry.map { Norm($0, layout) }
        precondition(plan.convolution == nil || plan.carries == .normed, "LayerStack: a convolution in a pre-LN model")
        convolution = plan.convolution.map { EmbeddingConvolution($0, layout) }
        outputDropout = plan.outputDropout
        self.positions = positions
        self.rotations = rotations
        width = plan.hiddenSize
        room = plan.layers.flatMap(\.stages).reduce(BranchPlan.Room()) { $0.joined(with: $1.branch.room) }
    }

    /// Number of layers.
    var count: Int { ranges.count }
    /// Number of stages, to allocate their saved state.
    var stageCount: Int { stages.count }
    /// The lowest layer with a tensor that is trained; the number of layers if there is none.
    var lowestTrained: Int {
        if let convolution, convolution.isTrained { return 0 }
        return ranges.firstIndex { range in lowest.map { range.contains($0.stage) } ?? false } ?? count
    }

    // MARK: Forward

    /// Gives `pass` the layers' score biases and rotations, and returns the memory that layers share.
    func begin(
        _ pass: inout PassContext, _ parameters: ParameterStore, keepsActivations: Bool, arena: inout Arena
    ) -> Stage.ForwardScratch {
        pass.positions = positions.expand(longest: pass.longest, parameters, arena: &arena)
        pass.angles = rotations.angles(longest: pass.longest)
        if pass.longest > 0 {
            pass.disentangled = positions.disentangled?.rows(longest: pass.longest, parameters, arena: &arena)
        }
        let activated =
            keepsActivations
            ? Stage.Room(rows: pass.tokenCount, widest: max(room.activated, room.wide), arena: &arena) : nil
        return Stage.ForwardScratch(kernel: arena.floats(kernelScratch(pass, parameters)), activated: activated)
    }

    /// The stream before the first layer, of the embedded tokens [T, D]; `statistics` are what its backward needs. Gives
    /// `pass` the convolution of the tokens, if there is one.
    func enter(
        _ embedded: Matrix, _ pass: inout PassContext, _ parameters: ParameterStore, arena: inout Arena
    ) -> (stream: Stage.Stream, statistics: Norm.Saved?) {
        pass.convolved = convolution?.convolve(embedded, pass, parameters, arena: &arena)
        guard let entry else { return (Stage.Stream(carried: embedded, input: embedded), nil) }
        let statistics = Norm.Saved(rows: embedded.rows, arena: &arena)
        let input = arena.matrix(embedded.rows, width)  // [T, D]
        entry.forward(embedded, parameters, saved: statistics, into: input)
        return (Stage.Stream(carried: embedded, input: input), statistics)
    }

    /// The stream after `layer`; what its backward needs is appended to `saved`.
    func forward(
        layer: Int, _ stream: Stage.Stream, _ pass: PassContext, _ parameters: ParameterStore,
        scratch: Stage.ForwardScratch, saved: inout [Stage.Saved], arena: inout Arena
    ) -> Stage.Stream {
        var stream = stream
        for stage in stages[ranges[layer]] {
            let own = stage.allocate(input: stream.input, tokens: pass.tokenCount, arena: &arena)
            let normed = arena.matrix(pass.tokenCount, width)  // [T, D]
            stream = stage.forward(
                stream, carries: carries, pass, parameters, saved: own, scratch: scratch, into: normed)
            saved.append(own)
        }
        return leave(layer, stream, pass, parameters)
    }

    /// Counts a layer, whose stream is computed by `evaluate`, among those of `saved`: no backward will reach it.
    func skip(layer: Int, shared: [Stage.Saved], saved: inout [Stage.Saved]) {
        for place in ranges[layer] { saved.append(shared[place - ranges[layer].lowerBound]) }
    }

    /// The stream after `layer` without a backward: all layers use the memory of `shared`, which the first one
    /// allocates, and their outputs overwrite their inputs.
    func evaluate(
        layer: Int, _ stream: Stage.Stream, _ pass: PassContext, _ parameters: ParameterStore,
        scratch: Stage.ForwardScratch, shared: inout [Stage.Saved], arena: inout Arena
    ) -> Stage.Stream {
        var stream = stream
        for (place, stage) in stages[ranges[layer]].enumerated() {
            if place == shared.count {
                shared.append(stage.allocate(input: stream.input, tokens: pass.tokenCount, arena: &arena))
            }
            stream = stage.forward(
                stream, carries: carries, pass, parameters, saved: shared[place], scratch: scratch,
                into: stream.input)
        }
        return leave(layer, stream, pass, parameters)
    }

    /// A window in which one layer computes at a time, after `stream`; what it keeps of each is in `arena` too.
    func makeWindow(
        after stream: Stage.Stream, _ pass: PassContext, keeping: KeptActivations, arena: inout Arena
    ) -> LayerWindow {
        let input = arena.matrix(pass.tokenCount, width)  // [T, D]
        let carried = carries == .normed ? input : arena.matrix(pass.tokenCount, width)  // [T, D]
        var (own, outputs) = ([Stage.Saved](), [Matrix]())
        for stage in stages[ranges[0]] {
            own.append(stage.allocate(input: outputs.last ?? input, tokens: pass.tokenCount, arena: &arena))
            outputs.append(arena.matrix(pass.tokenCount, width))
        }
        return LayerWindow(
            stages: own, outputs: outputs, input: input, carried: carried, first: stream.input, layers: count,
            carries: carries, keeping: keeping, arena: &arena)
    }

    /// Brings the state of `layer` back to the window: what was kept, what norms make of it, or all of it by another forward.
    func restore(
        layer: Int, _ pass: PassContext, _ parameters: ParameterStore, scratch: Stage.ForwardScratch,
        in window: LayerWindow
    ) {
        if window.recomputes {
            _ = forward(layer: layer, window.restore(layer: layer), pass, parameters, scratch: scratch, in: window)
            return
        }
        if layer == 1, let convolved = pass.convolved {
            window.input.copy(from: convolved.output)
        } else if let sum = window.restoreSum(before: layer), let before = stages[ranges[layer - 1]].last {
            before.junction.norm(sum, parameters, saved: window.statistics, into: window.input)
        }
        _ = window.restore(layer: layer)
        for (place, stage) in stages[ranges[layer]].dropLast().enumerated() {
            stage.junction.norm(
                window.stages[place].junction.lastSum, parameters, saved: window.statistics,
                into: window.outputs[place])
        }
    }

    /// The stream after `layer`, all of whose state is in `window`, as is the `stream` before it.
    func forward(
        layer: Int, _ stream: Stage.Stream, _ pass: PassContext, _ parameters: ParameterStore,
        scratch: Stage.ForwardScratch, in window: LayerWindow
    ) -> Stage.Stream {
        var stream = stream
        for (place, stage) in stages[ranges[layer]].enumerated() {
            stream = stage.forward(
                stream, carries: carries, pass, parameters, saved: window.stages[place], scratch: scratch,
                into: window.outputs[place])
        }
        return leave(layer, stream, pass, parameters)
    }

    /// The output of `layer` for a tap: of a pre-LN model the sum, after the last layer its norm.
    func output(of layer: Int, _ stream: Stage.Stream) -> Matrix {
        layer == count ? stream.input : stream.carried
    }

    // MARK: Backward

    /// Zeroed gradients of the stream, and of the layers' score biases.
    func beginBackward(_ pass: inout PassContext, arena: inout Arena) -> Stage.Gradient {
        pass.dPositions = positions.gradient(of: pass.positions, arena: &arena)
        pass.disentangled?.addGradient(arena: &arena)
        let carried = arena.matrix(pass.tokenCount, width)  // [T, D]
        carried.fill(0)
        if carries == .normed { return Stage.Gradient(carried: carried, input: carried) }
        let input = arena.matrix(pass.tokenCount, width)  // [T, D]
        input.fill(0)
        return Stage.Gradient(carried: carried, input: input)
    }

    /// The memory that backwards share; `kernel` = floats that the caller's own kernels need. What the `forward` needed for
    /// activations serves again.
    func backwardScratch(
        _ pass: PassContext, _ parameters: ParameterStore, kernel: Int, after forward: Stage.ForwardScratch,
        arena: inout Arena
    ) -> Stage.BackwardScratch {
        let kernel = max(
            kernel, kernelScratch(pass, parameters), NormKernels.backwardScratch(columns: width))
        let wide = forward.activated ?? Stage.Room(rows: pass.tokenCount, widest: room.wide, arena: &arena)
        return Stage.BackwardScratch(
            kernel: arena.floats(kernel), branch: arena.matrix(pass.tokenCount, width),
            context: Stage.Room(rows: pass.tokenCount, widest: room.context, arena: &arena), wide: wide)
    }

    /// The matrix that the gradient of a tap at `layer` is added to.
    func gradient(of layer: Int, _ gradient: Stage.Gradient) -> Matrix {
        layer == count ? gradient.input : gradient.carried
    }

    /// Replaces the gradients of the stream after `layer` by those of the stream before it; gradients of its
    /// parameters accumulate.
    ///
    /// - Parameters:
    ///   - stops: whether it ends where nothing below is trained; then the gradients of the stream are void.
    ///   - saved: the state of the stages of all layers, or of this one where a window has it.
    func backward(
        layer: Int, _ gradient: Stage.Gradient, stops: Bool = false, _ pass: PassContext,
        _ parameters: ParameterStore, saved: [Stage.Saved], isWindow: Bool = false, scratch: Stage.BackwardScratch
    ) {
        let first = isWindow ? ranges[layer].lowerBound : 0
        if layer == count - 1 { RowKernels.dropout(gradient.input, outputMask(pass), into: gradient.input) }
        let convolved = layer == 0 ? pass.convolved : nil
        if let convolution, let convolved {
            convolution.backward(
                gradient.carried, pass, parameters, saved: convolved, wantsEmbedding: !stops, scratch: scratch)
        }
        // Layers above a convolution that is trained pass the stream's gradient on, whether they are trained or not.
        let ends = stops && (layer == 0 || !(convolution?.isTrained ?? false))
        for place in ranges[layer].reversed() {
            var extent = Stage.Extent.whole
            if ends {
                guard let lowest, place >= lowest.stage else { return }
                if place == lowest.stage { extent = lowest.extent }
            }
            stages[place].backward(
                gradient, carries: carries, isFirst: place == 0 && entry == nil, extent: extent, pass, parameters,
                saved: saved[place - first], scratch: scratch)
        }
        if let convolved, !stops { gradient.carried.add(convolved.convolved) }
    }

    /// The gradient of the embedded tokens, after the backward of the first layer.
    func leaveBackward(
        _ gradient: Stage.Gradient, embedded: Matrix, statistics: Norm.Saved?, _ parameters: ParameterStore,
        scratch: Stage.BackwardScratch
    ) -> Matrix {
        if let entry, let statistics {
            entry.backward(
                embedded, parameters, saved: statistics, dOutput: gradient.input, addedTo: gradient.carried,
                scratch: scratch.kernel)
        }
        return gradient.carried
    }

    /// The stream after the first layer with the convolution, after the last without what is dropped, where the plan says
    /// so.
    private func leave(
        _ layer: Int, _ stream: Stage.Stream, _ pass: PassContext, _ parameters: ParameterStore
    ) -> Stage.Stream {
        var stream = stream
        if layer == 0, let convolution, let convolved = pass.convolved {
            convolution.join(stream.carried, parameters, saved: convolved)
            stream = Stage.Stream(carried: convolved.output, input: convolved.output)
        }
        if layer == count - 1 { RowKernels.dropout(stream.input, outputMask(pass), into: stream.input) }
        return stream
    }

    private func outputMask(_ pass: PassContext) -> DropoutMask? {
        pass.mask(layer: 0, .lastOutput, rate: outputDropout)
    }

    private func kernelScratch(_ pass: PassContext, _ parameters: ParameterStore) -> Int {
        var count = 0
        for stage in stages { count = max(count, stage.branch.scratchCount(pass, parameters)) }
        return count
    }
}
