// The modules after the first, as listed in a model folder.

import TuttiGround
import TuttiKernels

/// How token vectors become a sentence vector.
package typealias PoolingMode = Pooling.Mode

/// What is computed of every number of a layer.
package typealias ActivationFunction = Activation

extension Pooling.Mode: OptionValue {
    package static var words: String { "one of \(allCases.map(\.name).joined(separator: ", "))" }

    /// The mode by its name in sentence-transformers ("mean", "mean_sqrt_len_tokens" ...).
    package init(option json: JSONValue) throws(OptionProblem) {
        let name = try String(option: json)
        guard let mode = Self.allCases.first(where: { $0.name == name }) else {
            throw OptionProblem(
                "unknown pooling mode '\(name)'",
                hint: TuttiError.hint(unknown: name, known: Self.allCases.map(\.name)))
        }
        self = mode
    }

    package var optionJSON: JSONValue { .string(name) }

    /// The mode's name in sentence-transformers.
    package var name: String {
        switch self {
        case .cls: "cls"
        case .max: "max"
        case .mean: "mean"
        case .meanSqrtLength: "mean_sqrt_len_tokens"
        case .weightedMean: "weightedmean"
        case .lastToken: "lasttoken"
        }
    }
}

/// One module after the first: those over tokens, pooling, those over sentence vectors.
package enum HeadConfiguration: Sendable, Equatable {
    /// [T, D] -> [T, D'], before pooling.
    case tokens(TokenModulePlan)
    /// [T, D] -> [S, modes * D]: the modes' vectors side by side, in the order given. The boolean spelling of older
    /// model folders means `PoolingMode.allCases` order: cls, max, mean, mean_sqrt, weightedmean, lasttoken.
    /// `width`: D as the folder says it; nil where nothing does.
    case pooling(modes: [PoolingMode], width: Int? = nil, includePrompt: Bool = true)
    /// Rows scaled to unit length.
    case normalize
    /// activation(x W^T + b); parameters `<name>.linear.weight` and `.bias`, where name is the module's folder. With a
    /// residual x is added, or x R^T where the widths differ, with the parameter `<name>.residual.weight`.
    case dense(
        name: String, inputWidth: Int, outputWidth: Int, bias: Bool = true, activation: Activation = .tanh,
        hasResidual: Bool = false)
    /// torch's LayerNorm with epsilon 1e-5; parameters `<name>.norm.weight` and `.bias`.
    case layerNorm(name: String, width: Int)
    /// Dropout during training.
    case dropout(rate: Float)

    /// Output width of the module for an input width.
    package func outputWidth(from width: Int) throws(TuttiError) -> Int {
        switch self {
        case .tokens(let plan):
            try plan.check(width: width)
            return plan.outputWidth(from: width)
        case .pooling(let modes, _, _): return modes.count * width
        case .normalize: return width
        case .dense(let name, let inputWidth, let outputWidth, _, _, _):
            guard inputWidth == width else {
                throw planError("\(name).in_features", "is \(inputWidth), but the previous module outputs \(width)")
            }
            guard outputWidth > 0 else { throw planError("\(name).out_features", "is \(outputWidth)") }
            return outputWidth
        case .layerNorm(let name, let dimension):
            guard dimension == width else {
                throw planError("\(name).dimension", "is \(dimension), but the previous module outputs \(width)")
            }
            return width
        case .dropout(let rate):
            guard rate >= 0, rate < 1 else { throw planError("dropout", "is \(rate)", hint: "It must be in 0 ..< 1.") }
            return width
        }
    }

    /// True for pooling.
    package var isPooling: Bool { if case .pooling = self { true } else { false } }

    /// The module over tokens, if it is one.
    package var overTokens: TokenModulePlan? { if case .tokens(let plan) = self { plan } else { nil } }

    /// The weights of dense.
    package var linear: LinearPlan? {
        guard case .dense(let name, let inputs, let outputs, let bias, _, _) = self else { return nil }
        return LinearPlan(name + ".linear", inputs: inputs, outputs: outputs, hasBias: bias)
    }

    /// The weights that project the residual of dense to another width.
    package var residual: LinearPlan? {
        guard case .dense(let name, let inputs, let outputs, _, _, true) = self, inputs != outputs else { return nil }
        return LinearPlan(name + ".residual", inputs: inputs, outputs: outputs, hasBias: false)
    }

    /// The parameters of layerNorm.
    package var norm: NormPlan? {
        guard case .layerNorm(let name, let width) = self else { return nil }
        return NormPlan(name: name + ".norm", width: width, epsilon: 1e-5)
    }

    /// Parameters of the module, in the order in which its backward finishes them.
    package var tensors: [TensorSpecification] {
        if case .tokens(let plan) = self { return plan.tensors }
        return (linear?.tensors ?? []) + (residual?.tensors ?? []) + (norm?.tensors ?? [])
    }
}
