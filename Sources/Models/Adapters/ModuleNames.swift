// Which modules of a model get an adapter, by peft's rules.
//
// A list names modules by the last dotted parts of their names, a string is a regular expression of the whole name, and
// "all-linear" is every dense module. layers_to_transform goes with lists only, and finds the number of a layer as peft
// does: behind two dotted parts at least, unless layers_pattern says what stands before it.
//
// Reference: check_target_module_exists in peft/tuners/tuners_utils.py (0.21).

import TuttiGround

/// Names of modules, as target_modules has them.
package enum ModuleNames: Sendable, Equatable, OptionValue {
    case list([String])
    case expression(String)

    package static var words: String { "a list of names, a regular expression or all-linear" }

    package init(option json: JSONValue) throws(OptionProblem) {
        if let text = json.string {
            if text.lowercased() != Self.allLinear { _ = try Self.regex(text) }
            self = .expression(text)
        } else {
            self = .list(try [String](option: json))
        }
    }

    package var optionJSON: JSONValue {
        switch self {
        case .list(let names): names.optionJSON
        case .expression(let text): .string(text)
        }
    }

    private static let allLinear = "all-linear"

    /// Whether every dense module is meant.
    var isAllLinear: Bool {
        if case .expression(let text) = self { text.lowercased() == Self.allLinear } else { false }
    }

    /// Whether a module of this name is meant.
    func contains(_ name: String) throws(OptionProblem) -> Bool {
        switch self {
        case .list(let names): names.contains { name == $0 || name.hasSuffix("." + $0) }
        case .expression(let text): try Self.matchesWhole(name, text)
        }
    }

    /// Whether the whole of `name` is what `expression` matches.
    static func matchesWhole(_ name: String, _ expression: String) throws(OptionProblem) -> Bool {
        name.wholeMatch(of: try regex(expression)) != nil
    }

    /// Throws: for what is no regular expression.
    static func regex(_ expression: String) throws(OptionProblem) -> Regex<AnyRegexOutput> {
        do { return try Regex(expression) } catch { throw OptionProblem("not a regular expression: \(error)") }
    }

    /// The modules that peft has for models of a type, where the configuration names none.
    static func usual(_ modelType: String) -> ModuleNames? {
        switch modelType {
        case "t5", "mt5": .list(["q", "v"])
        case "bert", "roberta", "xlm-roberta", "electra": .list(["query", "value"])
        case "deberta-v2": .list(["query_proj", "value_proj"])
        case "deberta": .list(["in_proj"])
        case "llama", "mistral", "qwen2", "qwen3", "gemma3_text": .list(["q_proj", "v_proj"])
        default: nil
        }
    }
}

/// The modules of a model, as far as adapters are concerned.
struct ModuleCatalogue {
    /// The dense modules that have a part in embeddings.
    let dense: [String]
    /// All others: tables, norms, those that hold modules.
    let others: Set<String>
    /// Dense modules of the checkpoint that have no part in embeddings, such as a pooler's.
    let unused: [String]
    /// model_type of config.json.
    let modelType: String

    /// The modules that get an adapter, and those that would but have no part in embeddings.
    ///
    /// - Throws: a problem where none is meant, or one that cannot have an adapter.
    func targets(
        of configuration: AdapterConfiguration
    ) throws(OptionProblem) -> (modules: [String], unused: [String]) {
        guard let names = configuration.targets ?? ModuleNames.usual(modelType) else {
            throw OptionProblem(
                "is needed: there is no usual choice for model_type \(modelType)",
                hint: "Name modules, such as [\(lastParts.prefix(4).joined(separator: ", "))], or take all-linear.",
                at: "target_modules")
        }
        func isMeant(_ name: String) throws(OptionProblem) -> Bool {
            if try configuration.excluded?.contains(name) ?? false { return false }
            if configuration.saves(name) { return false }
            if !names.isAllLinear, try !names.contains(name) { return false }
            guard case .list = names, !configuration.layers.isEmpty else { return true }
            return try layer(of: name, configuration.layersPattern).map(configuration.layers.contains) ?? false
        }
        var found: (modules: [String], unused: [String]) = ([], [])
        for name in dense where try isMeant(name) { found.modules.append(name) }
        for name in unused where try isMeant(name) { found.unused.append(name) }
        if !names.isAllLinear {
            for name in others.sorted() where try isMeant(name) {
                throw OptionProblem(
                    "means '\(name)', which is not a dense module",
                    hint: "Known: \(lastParts.joined(separator: ", ")).",
                    at: "target_modules")
            }
        }
        guard !found.modules.isEmpty else {
            let wanted = if case .list(let list) = names { list.first ?? "" } else { "" }
            let nearest = nearestName(to: wanted, among: lastParts).map { "Did you mean '\($0)'? " } ?? ""
            throw OptionProblem(
                configuration.layers.isEmpty ? "means no module of the model" : "means no module of these layers",
                hint: nearest + "Known: \(lastParts.joined(separator: ", ")).",
                at: configuration.layers.isEmpty ? "target_modules" : "layers_to_transform")
        }
        return found
    }

    /// The last parts of the names of dense modules, each once.
    private var lastParts: [String] {
        var parts: [String] = []
        for name in dense {
            let last = String(name.split(separator: ".").last ?? "")
            if !parts.contains(last) { parts.append(last) }
        }
        return parts
    }

    /// The number of the layer that a module is in.
    private func layer(of name: String, _ patterns: [String]) throws(OptionProblem) -> Int? {
        if patterns.isEmpty {
            let parts = name.split(separator: ".")
            return parts.indices.first { $0 >= 2 && $0 < parts.count - 1 && parts[$0].allSatisfy(\.isNumber) }
                .flatMap { Int(parts[$0]) }
        }
        for pattern in patterns {
            let regex = try ModuleNames.regex("(?:^|.*?\\.)\(pattern)\\.([0-9]+)\\.")
            if let match = name.prefixMatch(of: regex), let digits = match.output.last?.substring {
                return Int(digits)
            }
        }
        return nil
    }
}
