// What a training pass keeps of each layer until its backward, where that is not everything in fp32.
//
// The layers then compute in the memory of one layer, the window. After its forward, a layer's matrices are kept in bf16,
// half the size, or only its input is kept; before its backward they return to the window, or the layer's forward runs
// again, with the same masks of dropout and so to the same bits. Kernels compute in fp32 either way. What a norm made of a
// kept sum is not kept in bf16: it is made again.
//
// Reference: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv 1604.06174).
//
// Legend: T packed tokens, D hidden.

import TuttiKernels

/// How the activations of a layer are kept from its forward to its backward.
package enum KeptActivations: String, Sendable, CaseIterable {
    /// As they are.
    case fp32
    /// Rounded to bf16; statistics of norms and of attention stay as they are.
    case bf16
    /// The layer's input alone; its forward runs again.
    case recomputed
}

/// The memory in which one layer computes at a time, and where each layer's state is kept.
final class LayerWindow {
    /// What the stages of a layer keep, one after the other.
    let stages: [Stage.Saved]
    /// [T, D] the normed sum of each stage.
    let outputs: [Matrix]
    /// [T, D] the layer's input, which its first branch reads.
    let input: Matrix
    /// [T, D] the sum before the layer; `input` itself where the normed sum is carried.
    let carried: Matrix

    /// The state of one layer outside of the window.
    private enum Kept {
        case rounded(UnsafeMutablePointer<UInt16>, UnsafeMutablePointer<Float>)
        case inputs(input: Matrix, carried: Matrix)
    }
    private var kept: [Kept] = []
    private let keeping: KeptActivations
    private let carries: CarriedSum
    /// [T, D] the first layer's input, which stays where it is.
    private let first: Matrix
    /// Statistics of norms that are made again.
    let statistics: Norm.Saved
    /// bf16 numbers of a layer before the sum of its last stage.
    private let lastSum: Int

    init(
        stages: [Stage.Saved], outputs: [Matrix], input: Matrix, carried: Matrix, first: Matrix, layers: Int,
        carries: CarriedSum, keeping: KeptActivations, arena: inout Arena
    ) {
        (self.stages, self.outputs, self.input, self.carried) = (stages, outputs, input, carried)
        (self.first, self.carries, self.keeping) = (first, carries, keeping)
        statistics = Norm.Saved(rows: input.rows, arena: &arena)
        var (halves, sum) = (0, 0)
        for stage in stages {
            stage.forEach(
                matrix: {
                    if $0.pointer == stage.junction.lastSum.pointer { sum = halves }
                    halves += $0.rows * $0.columns
                }, statistic: { _, _ in })
        }
        lastSum = sum
        kept.reserveCapacity(layers)
    }

    /// Whether the layer's forward runs again before its backward.
    var recomputes: Bool { keeping == .recomputed }

    /// Brings the stream before a layer into the window; returns it there.
    func enter(_ stream: Stage.Stream) -> Stage.Stream {
        if carries == .plain { carried.copy(from: stream.carried) }
        input.copy(from: stream.input)
        return Stage.Stream(carried: carried, input: input)
    }

    /// Keeps the state of the next layer, whose forward has just run in the window.
    func keep(arena: inout Arena) {
        if recomputes {
            let own = arena.matrix(input.rows, input.columns)
            own.copy(from: input)
            guard carries == .plain else { return kept.append(.inputs(input: own, carried: own)) }
            let sum = arena.matrix(carried.rows, carried.columns)
            sum.copy(from: carried)
            return kept.append(.inputs(input: own, carried: sum))
        }
        var (halves, floats) = (0, 0)
        forEach(matrix: { halves += $0.rows * $0.columns }, statistic: { floats += $1 })
        let (rounded, statistics) = (arena.halves(halves), arena.floats(floats))
        (halves, floats) = (0, 0)
        forEach(
            matrix: {
                Casts.narrow($0.pointer, count: $0.rows * $0.columns, into: rounded + halves)
                halves += $0.rows * $0.columns
            },
            statistic: {
                (statistics + floats).update(from: $0, count: $1)
                floats += $1
            })
        kept.append(.rounded(rounded, statistics))
    }

    /// Brings back what was kept of `layer`, but for the inputs of branches where it is rounded: its state, or the stream
    /// before it, which is returned in either case.
    func restore(layer: Int) -> Stage.Stream {
        switch kept[layer] {
        case .inputs(let own, let sum): return enter(Stage.Stream(carried: sum, input: own))
        case .rounded(let rounded, let statistics):
            var (halves, floats) = (0, 0)
            forEach(
                matrix: {
                    Casts.widen(rounded + halves, count: $0.rows * $0.columns, into: $0.pointer)
                    halves += $0.rows * $0.columns
                },
                statistic: {
                    $0.update(from: statistics + floats, count: $1)
                    floats += $1
                })
            return Stage.Stream(carried: carried, input: input)
        }
    }

    /// [T, D] the sum of the last stage before `layer`, in the place of the last output; nil before the first layer, whose
    /// input is brought back instead.
    func restoreSum(before layer: Int) -> Matrix? {
        guard layer > 0 else {
            input.copy(from: first)
            return nil
        }
        let sum = outputs[outputs.count - 1]
        guard case .rounded(let rounded, _) = kept[layer - 1] else {
            preconditionFailure("LayerWindow: sums are kept in bf16 only")
        }
        Casts.widen(rounded + lastSum, count: sum.rows * sum.columns, into: sum.pointer)
        return sum
    }

    /// Everything that backward reads of a layer, but for the inputs of branches.
    private func forEach(matrix: (Matrix) -> Void, statistic: (UnsafeMutablePointer<Float>, Int) -> Void) {
        for stage in stages { stage.forEach(matrix: matrix, statistic: statistic) }
    }
}

extension Stage.Saved {
    /// The matrices that backward reads, without gaps in memory, and the statistics of their rows with their counts; not the
    /// input, which a norm made of the sum before.
    func forEach(matrix: (Matrix) -> Void, statistic: (UnsafeMutablePointer<Float>, Int) -> Void) {
        switch branch {
        case .selfAttention(let saved):
            matrix(saved.qkv)
            matrix(saved.context)
            statistic(saved.logSumExp, saved.logSumExpCount)
        case .crossAttention(let saved): matrix(saved.context)
        case .feedForward(let saved): matrix(saved.preactivation)
        }
        matrix(junction.sum)
        statistic(junction.norm.mean, input.rows)
        statistic(junction.norm.rstd, input.rows)
        func other(_ rows: Matrix, _ norm: Norm.Saved) {
            matrix(rows)
            statistic(norm.mean, input.rows)
            statistic(norm.rstd, input.rows)
        }
        if let branch = junction.branch { other(branch.product, branch.norm) }
        if let outer = junction.outer { other(outer.sum, outer.norm) }
    }
}
