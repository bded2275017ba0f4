// A family of encoders: which config.json it reads, by a list of keys of its own, and the plan that this gives.
//
// Adding a family = one file in this folder + one line in `EncoderFamilies.all` + goldens.

import TuttiGround
import TuttiKernels

/// A family's settings, read from config.json; its plan is what they mean.
package protocol EncoderFamily: Sendable {
    /// Values of model_type in config.json that mean this family.
    static var modelTypes: [String] { get }
    /// Prefixes that checkpoints of this family put before the names in its plan ("bert.").
    static var checkpointPrefixes: [String] { get }
    /// The keys of config.json that fill the settings.
    static var keys: [FamilyKey<Self>] { get }

    /// The defaults, as in transformers.
    init()

    /// The encoder that the settings describe.
    ///
    /// Throws: a setting that cannot be computed.
    func plan() throws(TuttiError) -> EncoderPlan
}

/// A family of which transformers has a causal language model with cross-attention.
package protocol DecoderFamily: EncoderFamily {
    /// The decoder that the settings describe. Its own tensors stand behind `prefix`; where it is tied, embeddings,
    /// self-attention and feed-forward are those of the encoder with the same settings.
    ///
    /// Throws: a setting that cannot be computed.
    func decoderPlan(prefix: String, isTied: Bool) throws(TuttiError) -> DecoderPlan
}

extension EncoderFamily {
    /// The plan's name of a checkpoint's tensor: prefix dropped, LayerNorm's gamma and beta as weight and bias.
    package static func canonicalName(_ checkpointName: String) -> String {
        var name = checkpointName
        for prefix in checkpointPrefixes where name.hasPrefix(prefix) {
            name.removeFirst(prefix.count)
            break
        }
        if name.hasSuffix("LayerNorm.gamma") { return name.dropLast("gamma".count) + "weight" }
        if name.hasSuffix("LayerNorm.beta") { return name.dropLast("beta".count) + "bias" }
        return name
    }
}

/// The families that can be built.
package enum EncoderFamilies {
    /// Every family.
    package static let all: [any EncoderFamily.Type] = [
        BERT.self,
        MPNet.self,
    ]

    /// The family that config.json's model_type names.
    package static func named(_ modelType: String) throws(TuttiError) -> any EncoderFamily.Type {
        if let found = all.first(where: { $0.modelTypes.contains(modelType) }) { return found }
        let known = all.flatMap { $0.modelTypes }.joined(separator: ", ")
        throw planError("model_type", "the architecture '\(modelType)' is not known", hint: "Known: \(known).")
    }
}

/// A key of config.json and the setting that it fills.
package struct FamilyKey<Family> {
    /// The types of settings.
    package enum Setting {
        /// A whole number; a required one is at least 1.
        case integer(WritableKeyPath<Family, Int>, isRequired: Bool)
        /// A number.
        case number(WritableKeyPath<Family, Float>)
        /// An activation by its name in transformers.
        case activation(WritableKeyPath<Family, Activation>)
        /// No setting: only this text can be computed, and it is the default.
        case only(String)
        /// No setting: true is refused for this reason, a decoder's own flags in encoders only.
        case refused(because: String, isDecoders: Bool)
    }

    /// The key.
    package let name: String
    /// What it fills.
    package let setting: Setting

    /// A whole number that has a default.
    static func integer(_ name: String, _ path: WritableKeyPath<Family, Int>) -> Self {
        Self(name: name, setting: .integer(path, isRequired: false))
    }

    /// A whole number, at least 1, that must be given.
    static func required(_ name: String, _ path: WritableKeyPath<Family, Int>) -> Self {
        Self(name: name, setting: .integer(path, isRequired: true))
    }

    /// A number that has a default.
    static func number(_ name: String, _ path: WritableKeyPath<Family, Float>) -> Self {
        Self(name: name, setting: .number(path))
    }

    /// An activation.
    static func activation(_ name: String, _ path: WritableKeyPath<Family, Activation>) -> Self {
        Self(name: name, setting: .activation(path))
    }

    /// A key of which only the default can be computed.
    static func only(_ name: String, _ value: String) -> Self { Self(name: name, setting: .only(value)) }

    /// A flag that makes the model a decoder.
    static func isDecoder(_ name: String) -> Self {
        Self(name: name, setting: .refused(because: "only encoders can be trained", isDecoders: true))
    }
}
