// Adafactor: second moments of a matrix kept as those of its rows and of its columns.
//
// State is R + C floats for a matrix [R, C], which is what it is for; of the arenas in the layout of the parameters only
// those pages are ever touched. Tensors of more than two dimensions are factored over the last two.
//
// Reference: Shazeer & Stern 2018, arXiv 1804.04235; transformers.optimization.Adafactor, with the trainer's
// scale_parameter False and relative_step False.

import Foundation
import TuttiEncoders
import TuttiGround
import TuttiKernels

/// `optim: adafactor`.
struct Adafactor: Optimizer {
    /// Its options.
    struct Settings: DescribedSettings {
        var clipThreshold = 1.0
        var decayRate = -0.8
        var beta1: Double?
        var epsilon = 1e-30
        var scaleEpsilon = 1e-3
        var scalesParameter = false

        static let options = OptionList<Settings>([
            Option("clip_threshold", \.clipThreshold, "root mean square that an update may have", check: .positive),
            Option("decay_rate", \.decayRate, "beta2 of step t is 1 - t^decay_rate", check: .within(-10...0)),
            Option("beta1", \.beta1, "decay of a moment of updates; none if not given", check: .within(0..<1)),
            Option("eps", \.epsilon, "added to squared gradients", check: .within(1e-38...1)),
            Option(
                "scale_parameter", \.scalesParameter,
                "multiply the learning rate by the root mean square of a parameter"),
            Option(
                "eps_scale", \.scaleEpsilon, "the least such root mean square", check: .within(0...1e6)),
        ])
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["adafactor"], summary: "second moments by rows and columns: almost no state", settings: Settings.self
    ) { Adafactor(settings: $0) }

    let settings: Settings

    var stateNames: [String] { ["exp_avg_sq_row", "exp_avg_sq_col"] + (settings.beta1 == nil ? [] : ["exp_avg"]) }
    var needsWholeTensors: Bool { true }

    func stateTensors(of entry: ParameterLayout.Entry) -> [StateTensor] {
        let shape = entry.shape
        func tensor(_ prefix: String, _ arena: Int, _ shape: [Int]) -> StateTensor {
            let start = entry.range.lowerBound
            return StateTensor(
                prefix: prefix, arena: arena, elements: start..<start + shape.reduce(1, *), shape: shape)
        }
        let moment = settings.beta1 == nil ? [] : [tensor("exp_avg", 2, shape)]
        guard shape.count > 1 else { return [tensor("exp_avg_sq", 0, shape)] + moment }
        return [
            tensor("exp_avg_sq_row", 0, Array(shape.dropLast())),
            tensor("exp_avg_sq_col", 1, Array(shape.dropLast(2)) + shape.suffix(1)),
        ] + moment
    }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        guard let entry = run.tensor, entry.elementCount > 0 else { return }
        let values = UnsafeMutableBufferPointer(rebasing: parameters.values[entry.elements])
        let update = UnsafeMutableBufferPointer(rebasing: parameters.gradients[entry.elements])  // in place
        guard let u = update.baseAddress, let first = state.arenas[0][entry.elements].baseAddress,
            let second = state.arenas[1][entry.elements].baseAddress
        else { return }
        var scalars = UpdateScalars(gradientScale: gradientScale)
        scalars.epsilon = settings.epsilon
        scalars.beta2 = 1 - pow(Double(step), settings.decayRate)
        var rate = run.baseRate * factor
        if settings.scalesParameter {
            rate *= max(settings.scaleEpsilon, OptimizerKernels.rootMeanSquare(UnsafeBufferPointer(values)))
        }
        if entry.shape.count > 1 {
            let (rows, columns) = (entry.shape[entry.shape.count - 2], entry.shape[entry.shape.count - 1])
            for matrix in 0..<entry.elementCount / (rows * columns) {
                let at = u + matrix * rows * columns
                let (ofRows, ofColumns) = (first + matrix * rows, second + matrix * columns)
                OptimizerKernels.factoredMoments(
                    at, rows: rows, columns: columns, rowState: ofRows, columnState: ofColumns, scalars)
                OptimizerKernels.divideByFactoredRoot(
                    at, rows: rows, columns: columns, rowState: ofRows, columnState: ofColumns, scalars)
            }
        } else {
            OptimizerKernels.divideByRoot(update, state: first, scalars)
        }
        let size = OptimizerKernels.rootMeanSquare(UnsafeBufferPointer(update))
        scalars.correction1 = max(1, size / settings.clipThreshold)
        scalars.rate = rate
        scalars.beta1 = settings.beta1 ?? 0
        scalars.decay = run.weightDecay * rate
        let arrays = UpdateArrays(
            parameters: values, gradients: UnsafeBufferPointer(update),
            a: settings.beta1 == nil ? nil : state.arenas[2][entry.elements])
        OptimizerKernels.adafactorMove(arrays, scalars)
    }
}
