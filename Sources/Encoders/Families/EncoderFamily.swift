// A family of encoders: which config.json it reads, by a list of options of its own, and the plan that this gives.
//
// Adding a family = one file in this folder + one line in `EncoderFamilies.all` + goldens.

import TuttiGround

/// A family's settings, read from config.json; its plan is what they mean.
package protocol EncoderFamily: Sendable {
    /// Values of model_type in config.json that mean this family.
    static var modelTypes: [String] { get }
    /// Whether a config.json means this family: by model_type, unless a family also asks for another key.
    static func reads(_ configuration: JSONObject) -> Bool
    /// Prefixes that checkpoints of this family put before the names in its plan ("bert.").
    static var checkpointPrefixes: [String] { get }
    /// What the names of tensors of larger classes begin with that are no part of the encoder, where the encoder's own have no
    /// prefix; by default none.
    static var foreignPrefixes: [String] { get }
    /// The reference's classes of the encoder alone, by model_type; by default none.
    static var encoderClasses: [String: String] { get }
    /// Second names that checkpoints may give a tensor of the plan, without prefix; by default none.
    static var aliases: [String: String] { get }
    /// What transformers calls modules where its files have other names, in the order of its own conversion; by default none.
    static var moduleRenamings: [ModuleRenaming] { get }
    /// The keys of config.json that fill the settings.
    static var options: OptionList<Self> { get }
    /// Further keys of the family's files that change nothing an encoder computes; by default none.
    static var inertKeys: [String] { get }

    /// The defaults, as in transformers.
    init()

    /// The sizes that the settings ask for, to be compared with the weights before a plan is made.
    var sizes: FamilySizes { get }

    /// The encoder that the settings describe.
    ///
    /// Throws: a setting that cannot be computed.
    func plan() throws(TuttiError) -> EncoderPlan
}

/// A family of which transformers has a causal language model with cross-attention.
package protocol DecoderFamily: EncoderFamily {
    /// The deviation of weights that a checkpoint does not hold.
    var initializerRange: Float { get }

    /// The decoder that the settings describe. Its own tensors stand behind `prefix`; where it is tied, embeddings,
    /// self-attention and feed-forward are those of the encoder with the same settings.
    ///
    /// Throws: a setting that cannot be computed.
    func decoderPlan(prefix: String, isTied: Bool) throws(TuttiError) -> DecoderPlan
}

extension EncoderFamily {
    package static func reads(_ configuration: JSONObject) -> Bool {
        configuration["model_type"]?.string.map(modelTypes.contains) ?? false
    }

    package static var moduleRenamings: [ModuleRenaming] { [] }
    package static var aliases: [String: String] { [:] }
    package static var foreignPrefixes: [String] { [] }
    package static var encoderClasses: [String: String] { [:] }

    /// The plan's name of a checkpoint's tensor: prefix dropped, LayerNorm's gamma and beta as weight and bias, aliases
    /// resolved.
    package static func canonicalName(_ checkpointName: String) -> String {
        var name = checkpointName
        for prefix in checkpointPrefixes where name.hasPrefix(prefix) {
            name.removeFirst(prefix.count)
            break
        }
        if name.hasSuffix("LayerNorm.gamma") { return name.dropLast("gamma".count) + "weight" }
        if name.hasSuffix("LayerNorm.beta") { return name.dropLast("beta".count) + "bias" }
        return aliases[name] ?? name
    }

    /// What transformers has for the plan's module `name`: the same under this or another name, or several, each a part of it.
    package static func referenceModules(_ name: String) -> [(name: String, part: ModulePart?)] {
        let names = moduleRenamings.reduce([name]) { names, renaming in names.flatMap(renaming.renamed) }
        if names == [name] { return [(name, nil)] }
        return names.enumerated().map { ($1, ModulePart(of: name, index: $0, count: names.count)) }
    }

    /// Refuses a setting that its option does not take.
    func checkOptions() throws(TuttiError) {
        do throws(OptionProblem) {
            try Self.options.check(self)
        } catch let flaw {
            throw planError(flaw.path, flaw.problem, hint: flaw.hint)
        }
    }
}

/// What transformers calls a module instead of the name in its files.
package struct ModuleRenaming: Sendable {
    private let stored: [Substring]
    private let reference: [String]

    /// - Parameters:
    ///   - stored: dotted parts of a name in a file.
    ///   - reference: what stands in their place; several names, if the module is cut into as many.
    init(_ stored: String, _ reference: String...) {
        (self.stored, self.reference) = (stored.split(separator: "."), reference)
    }

    /// The names in the place of `name`.
    func renamed(_ name: String) -> [String] {
        let parts = name.split(separator: ".")
        guard let place = parts.firstRange(of: stored) else { return [name] }
        return reference.map {
            (parts[..<place.lowerBound] + [$0[...]] + parts[place.upperBound...]).joined(separator: ".")
        }
    }
}

/// The families that can be built.
package enum EncoderFamilies {
    /// Every family.
    package static let all: [any EncoderFamily.Type] = [
        JinaBERT.self,
        BERT.self,
        MPNet.self,
        RoBERTa.self,
        XLMRobertaXL.self,
        DistilBERT.self,
        ELECTRA.self,
        ALBERT.self,
        T5.self,
        UMT5.self,
        Llama.self,
        Mistral.self,
        Qwen2.self,
        Qwen3.self,
        Gemma3.self,
        EuroBERT.self,
        ModernBERT.self,
        NomicBERT.self,
        GTE.self,
        JinaEmbeddingsV3.self,
        DeBERTa.self,
        DeBERTaV1.self,
    ]

    /// The family of a model whose config.json says no more than its model_type.
    package static func named(_ modelType: String) throws(TuttiError) -> any EncoderFamily.Type {
        try reading(["model_type": .string(modelType)])
    }

    /// The family that a config.json means.
    package static func reading(_ configuration: JSONObject) throws(TuttiError) -> any EncoderFamily.Type {
        if let found = all.first(where: { $0.reads(configuration) }) { return found }
        var known: [String] = []
        for type in all.flatMap({ $0.modelTypes }) where !known.contains(type) { known.append(type) }
        throw planError(
            "model_type", "the architecture '\(configuration["model_type"]?.string ?? "")' is not known",
            hint: "Known: \(known.joined(separator: ", ")).")
    }
}

/// The sizes that a family's settings ask for.
package struct FamilySizes: Sendable {
    /// The key that says how many layers there are.
    package let layersKey: String
    /// Number of layers.
    package let layers: Int
    /// Shapes of what there is, each with the key that asks for most of it.
    package let shapes: [(key: String, shape: [Int])]
}

extension Option {
    /// The option, for which another key may be given.
    func orElse(_ substitute: String?) -> Option {
        Option(
            name, words: words, meaning, isRequired: isRequired, substitute: substitute, read: read, write: write)
    }

    /// A key of which one value alone can be computed, which is its default.
    static func only<Value: OptionValue & Equatable>(_ name: String, _ value: Value, _ meaning: String) -> Option {
        Option(
            name, words: value.optionJSON.configurationText, meaning,
            read: { (json, _) throws(OptionProblem) in
                guard !json.isNull, try Value(option: json) != value else { return }
                throw OptionProblem(
                    "is \(json.configurationText), where only \(value.optionJSON.configurationText) can be computed")
            }, write: { _ in value.optionJSON })
    }
}
