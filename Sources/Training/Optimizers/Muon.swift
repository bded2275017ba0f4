// Muon: the matrices of the layers move along their momentum made orthogonal; everything else is AdamW's.
//
// Orthogonal: five Newton-Schulz steps in bf16, which bring all singular values near 1. Embeddings, biases, norms and
// parameters of losses are updated as by AdamW, at the same learning rate; `adjust_lr_fn=match_rms_adamw` gives both kinds
// of update the same size, so that a learning rate of AdamW's serves.
//
// Products run through the same provider as the model's (Gemm.swift), on bf16 numbers kept in fp32, and are rounded to
// bf16: on nodes of different processors their last bit may differ, which the comparison of copies notices.
//
// Reference: Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv 2502.16982; torch.optim.Muon.

import Foundation
import TuttiEncoders
import TuttiGround
import TuttiKernels

/// `optim: muon`.
struct Muon: Optimizer {
    /// How the size of an orthogonal update follows from the shape of its matrix.
    enum Adjustment: String, OptionChoice, CaseIterable {
        case original
        case matchRMSAdamW = "match_rms_adamw"
        case spectralUnclamped = "spectral_unclamped"

        /// What the learning rate of a matrix is multiplied by.
        func factor(rows: Int, columns: Int) -> Double {
            let (a, b) = (Double(rows), Double(columns))
            return switch self {
            case .original: Swift.max(1, a / b).squareRoot()
            case .matchRMSAdamW: 0.2 * Swift.max(a, b).squareRoot()
            case .spectralUnclamped: (a / b).squareRoot()
            }
        }
    }

    /// Its options.
    struct Settings: DescribedSettings {
        var adam = AdamW.Settings()
        var momentum = 0.95
        var nesterov = true
        var steps = 5
        var epsilon = 1e-7
        var adjustment = Adjustment.original

        static let options = OptionList<Settings>(AdamW.options(at: \.adam) + own)
        private static let own: [Option<Settings>] = [
            Option("momentum", \.momentum, "decay of the momentum", check: .within(0..<1)),
            Option("nesterov", \.nesterov, "look ahead along the momentum"),
            Option("ns_steps", \.steps, "Newton-Schulz steps", check: .atLeast(1)),
            Option("ns_eps", \.epsilon, "the least norm that a momentum is divided by", check: .positive),
            Option("adjust_lr_fn", \.adjustment, "how the rate follows from a matrix's shape"),
        ]
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["muon"],
        summary: "orthogonal updates of the layers' matrices, AdamW for the rest; adjust_lr_fn=match_rms_adamw takes "
            + "AdamW's learning rates", settings: Settings.self, start: { AdamW.takeArguments(&$0.adam, $1) }
    ) { Muon(settings: $0) }

    let settings: Settings
    private let workspace = OrthogonalWorkspace()

    var stateNames: [String] { ["momentum_buffer", "exp_avg_sq"] }
    var needsWholeTensors: Bool { true }

    /// Whether a tensor is a matrix of a layer.
    static func isOrthogonal(_ entry: ParameterLayout.Entry) -> Bool {
        entry.owner == .model && entry.shape.count == 2 && entry.shape.allSatisfy { $0 > 1 }
            && LayerDepths.layer(of: entry.name) != nil && !entry.name.lowercased().contains("embed")
            && !entry.name.hasSuffix("relative_attention_bias.weight")
    }

    func stateTensors(of entry: ParameterLayout.Entry) -> [StateTensor] {
        func tensor(_ prefix: String, _ arena: Int) -> StateTensor {
            StateTensor(prefix: prefix, arena: arena, elements: entry.elements, shape: entry.shape)
        }
        if Self.isOrthogonal(entry) { return [tensor("momentum_buffer", 0)] }
        return [tensor("exp_avg", 0), tensor("exp_avg_sq", 1)]
    }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        guard let entry = run.tensor, entry.elementCount > 0 else { return }
        guard Self.isOrthogonal(entry) else {
            return AdamW(settings: settings.adam).update(
                run, of: parameters, state: state, step: step, factor: factor, gradientScale: gradientScale)
        }
        let gradient = UnsafeMutableBufferPointer(rebasing: parameters.gradients[entry.elements])
        let values = UnsafeMutableBufferPointer(rebasing: parameters.values[entry.elements])
        let momentum = state.arenas[0][entry.elements]
        if gradientScale != 1 { OptimizerKernels.scale(gradient, by: gradientScale) }
        OptimizerKernels.interpolate(
            from: UnsafeBufferPointer(momentum), to: UnsafeBufferPointer(gradient), weight: 1 - settings.momentum,
            into: momentum)
        if settings.nesterov {
            OptimizerKernels.interpolate(
                from: UnsafeBufferPointer(gradient), to: UnsafeBufferPointer(momentum), weight: settings.momentum,
                into: gradient)
        } else {
            _ = gradient.update(fromContentsOf: momentum)
        }
        let (rows, columns) = (entry.shape[0], entry.shape[1])
        guard let direction = gradient.baseAddress else { return }
        workspace.orthogonalize(
            Matrix(direction, rows, columns), steps: settings.steps, epsilon: settings.epsilon)
        let rate = run.baseRate * factor
        OptimizerKernels.scale(values, by: Float(1 - rate * run.weightDecay))
        let step = rate * settings.adjustment.factor(rows: rows, columns: columns)
        OptimizerKernels.addScaled(UnsafeBufferPointer(gradient), factor: Float(-step), to: values)
    }
}

/// Memory for Newton-Schulz steps, as large as the largest matrix seen; tensors are updated one after the other.
final class OrthogonalWorkspace: @unchecked Sendable {
    private var arena = Arena()
    private static let (a, b, c): (Float, Float, Float) = (3.4445, -4.775, 2.0315)

    /// Replaces `x` by a matrix with the same singular vectors, whose singular values are near 1.
    func orthogonalize(_ x: Matrix, steps: Int, epsilon: Double) {
        arena.reset()
        let isTall = x.rows > x.columns
        let (short, long) = isTall ? (x.columns, x.rows) : (x.rows, x.columns)
        func matrix(_ rows: Int, _ columns: Int) -> Matrix { Matrix(arena.floats(rows * columns), rows, columns) }
        var (current, next) = (matrix(short, long), matrix(short, long))
        let (gram, update) = (matrix(short, short), matrix(short, short))
        transposeIfNeeded(x, into: current, isTall)
        round(current)
        let count = short * long
        let floats = UnsafeBufferPointer(start: UnsafePointer(current.pointer), count: count)
        let norm = OptimizerKernels.rootMeanSquare(floats) * Double(count).squareRoot()
        round(current, factor: Float(1 / max(norm, epsilon)))
        for _ in 0..<steps {
            Gemm.multiply(current, current, transposeB: true, into: gram)
            round(gram)
            update.copy(from: gram)
            Gemm.multiply(gram, gram, into: update, alpha: Self.c, beta: Self.b)
            round(update)
            next.copy(from: current)
            Gemm.multiply(update, current, into: next, alpha: 1, beta: Self.a)
            round(next)
            swap(&current, &next)
        }
        transposeIfNeeded(current, into: x, isTall)
    }

    private func transposeIfNeeded(_ x: Matrix, into out: Matrix, _ isTransposed: Bool) {
        guard isTransposed else { return out.copy(from: x) }
        Parallel.forRange(out.rows, grain: 16) { part in
            for row in part {
                for column in 0..<out.columns { out[row, column] = x[column, row] }
            }
        }
    }

    private func round(_ x: Matrix, factor: Float = 1) {
        OptimizerKernels.roundToBF16(x.pointer, factor: factor, count: x.rows * x.columns, into: x.pointer)
    }
}
