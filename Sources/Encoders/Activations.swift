// Activations by the names in model folders: hidden_act of transformers, module classes of torch.

import TuttiGround
import TuttiKernels

/// The supported activations.
package enum Activations {
    /// The activation that config.json calls `hidden_act` or torch calls by its module class.
    package static func named(_ name: String) throws(TuttiError) -> Activation {
        if let activation = all[name] { return activation }
        let known = all.keys.sorted().joined(separator: ", ")
        throw planError("activation", "unknown activation '\(name)'", hint: "Known: \(known).")
    }

    private static let all: [String: Activation] = [
        "gelu": .gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh, "relu": .relu, "silu": .silu,
        "swish": .silu, "tanh": .tanh, "sigmoid": .sigmoid, "linear": .identity, "Tanh": .tanh, "Identity": .identity,
        "ReLU": .relu, "GELU": .gelu, "SiLU": .silu, "Sigmoid": .sigmoid,
    ]
}
