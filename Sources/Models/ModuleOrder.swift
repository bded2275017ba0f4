// Which modules may follow which: a first module, modules over tokens, pooling, modules over sentence vectors.
//
// What the reference cannot compute either is refused here: an LSTM needs the lengths that only WordEmbeddings give, a
// WeightedLayerPooling the layers of a Transformer, and WordEmbeddings have no token that stands for the text.

import TuttiEncoders
import TuttiGround

/// The order of the modules of a route.
enum ModuleOrder {
    /// Checks the modules after one of kind `first`, listed at `place`.
    ///
    /// Throws: `.data` naming the module that does not fit.
    static func check(
        _ first: InputModule, _ modules: [HeadConfiguration], place: String
    ) throws(TuttiError) {
        func refused(_ problem: String, hint: String? = nil) -> TuttiError {
            TuttiError(.data, "read model", place, problem, hint: hint)
        }
        guard first.hasTokenVectors else {
            for module in modules where module.isPooling || module.overTokens != nil {
                throw refused("there is a \(module.className) after \(first.rawValue), which has no token vectors")
            }
            return
        }
        let rest = modules.drop { $0.overTokens != nil }
        guard case .pooling(let modes, _, _)? = rest.first else {
            let after = rest.count < modules.count ? "after the modules over tokens" : "after the \(first.rawValue)"
            throw refused(
                "the module \(after) is not Pooling",
                hint: "Tutti trains models of one transformer, one pooling and the heads after it.")
        }
        guard !rest.dropFirst().contains(where: \.isPooling) else { throw refused("there is a second pooling module") }
        for (number, module) in modules.enumerated() {
            guard let plan = module.overTokens else { continue }
            guard number < modules.count - rest.count else {
                throw refused("there is a \(plan.className) after Pooling, which leaves no token vectors")
            }
            switch plan {
            case .wordWeights, .recurrence:
                guard first == .wordEmbeddings else {
                    throw refused("there is a \(plan.className) after a \(first.rawValue), and it needs WordEmbeddings")
                }
            case .layerMixture:
                guard first == .transformer, number == 0 else {
                    throw refused("there is a WeightedLayerPooling that does not come right after a Transformer")
                }
            case .convolution: break
            }
        }
        guard first != .wordEmbeddings || !modes.contains(.cls) else {
            throw refused(
                "the pooling takes the first token, and no token of WordEmbeddings stands for the text",
                hint: "Use mean, max or another pooling_mode.")
        }
    }
}
