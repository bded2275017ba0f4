// Activations by the names in model folders: hidden_act of transformers, module classes of torch.

import TuttiGround
import TuttiKernels

/// The supported activations.
package enum Activations {
    /// The activation that config.json calls `hidden_act`.
    package static func named(_ name: String) throws(TuttiError) -> Activation {
        if let found = all.first(where: { $0.name == name }) { return found.activation }
        throw planError(
            "activation", "unknown activation '\(name)'", hint: TuttiError.hint(unknown: name, known: names))
    }

    /// All names, in the order of the documentation; of several the first is the one that is written.
    fileprivate static let all: [(name: String, activation: Activation)] = [
        ("gelu", .gelu), ("gelu_python", .gelu), ("gelu_new", .geluTanh), ("gelu_pytorch_tanh", .geluTanh),
        ("gelu_python_tanh", .geluTanh), ("gelu_accurate", .geluTanh), ("gelu_fast", .geluTanh),
        ("quick_gelu", .quickGELU), ("relu", .relu), ("relu2", .reluSquared), ("relu6", .relu6),
        ("leaky_relu", .leakyReLU), ("silu", .silu), ("swish", .silu), ("mish", .mish), ("hardswish", .hardSwish),
        ("tanh", .tanh), ("sigmoid", .sigmoid), ("linear", .identity),
    ]

    fileprivate static var names: [String] { all.map(\.name) }

    /// The activation of a torch module class, by the last component of its path; nil is that of Dense.
    package static func module(_ path: String?) throws(OptionProblem) -> Activation {
        guard let path else { return .tanh }
        func className(_ path: String) -> String { path.split(separator: ".").last.map(String.init) ?? path }
        let name = className(path)
        guard let found = modules.first(where: { className($0.path) == name }) else {
            throw OptionProblem(
                "unknown activation '\(path)'",
                hint: TuttiError.hint(unknown: name, known: modules.map { className($0.path) }))
        }
        return found.activation
    }

    /// The path of the torch module class of an activation that `module` gives.
    package static func path(of activation: Activation) -> String {
        guard let found = modules.first(where: { $0.activation == activation }) else {
            preconditionFailure("Activations: torch has no module class of \(activation)")
        }
        return found.path
    }

    private static let modules: [(path: String, activation: Activation)] = [
        ("torch.nn.modules.activation.Tanh", .tanh), ("torch.nn.modules.linear.Identity", .identity),
        ("torch.nn.modules.activation.ReLU", .relu), ("torch.nn.modules.activation.GELU", .gelu),
        ("torch.nn.modules.activation.SiLU", .silu), ("torch.nn.modules.activation.Sigmoid", .sigmoid),
        ("torch.nn.modules.activation.ReLU6", .relu6), ("torch.nn.modules.activation.LeakyReLU", .leakyReLU),
        ("torch.nn.modules.activation.Mish", .mish), ("torch.nn.modules.activation.Hardswish", .hardSwish),
    ]
}

extension Activation: OptionValue {
    package static var words: String { "one of \(Activations.names.joined(separator: ", "))" }

    package init(option json: JSONValue) throws(OptionProblem) {
        let name = try String(option: json)
        do throws(TuttiError) {
            self = try Activations.named(name)
        } catch let error {
            throw OptionProblem(error.problem, hint: error.hint)
        }
    }

    package var optionJSON: JSONValue {
        Activations.all.first { $0.activation == self }.map { .string($0.name) } ?? .null
    }
}
