// What a low-rank adapter is: the keys of peft's LoraConfig, as `lora:` of a configuration and adapter_config.json have them.
//
// Keys that ask for another kind of adapter are refused by name, unless they ask for nothing.
// Reference: peft/tuners/lora/config.py, peft/config.py (0.21).

import TuttiEncoders
import TuttiFormats
import TuttiGround

/// The settings of a low-rank adapter.
package struct AdapterConfiguration: Sendable, Equatable {
    /// Which of the model's biases are trained too.
    package enum Bias: String, Sendable, OptionChoice {
        case none, all
        /// Those of the modules with an adapter.
        case ofTargets = "lora_only"
    }

    /// How A and B begin.
    package enum Start: Sendable, Equatable {
        /// A evenly in +-1 / sqrt(inputs), B zero: the adapter changes nothing at first.
        case zeroProduct
        /// A normally distributed with deviation 1 / r, B zero.
        case gaussian
        /// Both as torch's linear layers begin.
        case random
    }

    /// A value of the modules whose names end in what a regular expression matches.
    package struct Pattern<Value: Sendable & Equatable>: Sendable, Equatable {
        package let expression: String
        package let value: Value
    }

    package var rank = 8
    package var alpha = 8.0
    package var dropout = 0.0
    /// nil = those that peft has for the model's type.
    package var targets: ModuleNames?
    package var excluded: ModuleNames?
    package var modulesToSave: [String] = []
    package var usesRootOfRank = false
    package var hasMagnitudes = false
    package var bias = Bias.none
    package var layers: [Int] = []
    package var layersPattern: [String] = []
    package var rankPattern: [Pattern<Int>] = []
    package var alphaPattern: [Pattern<Double>] = []
    package var start = Start.zeroProduct
    package var taskType: String?

    /// peft's defaults.
    package init() {}

    /// The keys that have an effect.
    package static let options = OptionList<AdapterConfiguration>([
        Option("r", \.rank, "rank of the adapters", check: .atLeast(1)),
        Option(
            "lora_alpha", \.alpha, "an adapter's product is multiplied by lora_alpha / r", check: .within(-1e6...1e6)),
        Option("lora_dropout", \.dropout, "dropout of what adapters read, in training", check: .within(0..<1)),
        Option(
            "target_modules", \.targets,
            "the dense modules that get an adapter: a list of the last parts of their names, a regular expression of whole "
                + "names, or all-linear; by default those that peft has for the model's type",
            words: ModuleNames.words),
        Option("exclude_modules", \.excluded, "modules that get none, in the same way", words: ModuleNames.words),
        Option(
            "modules_to_save", \.modulesToSave, "modules whose own weights are trained and saved, by the end of names",
            words: "a list of names"),
        Option("use_rslora", \.usesRootOfRank, "multiply by lora_alpha / sqrt(r) instead"),
        Option("use_dora", \.hasMagnitudes, "DoRA: the lengths of the rows of weights are trained too"),
        Option("bias", \.bias, "biases that are trained too: none, all, or those of the targets (lora_only)"),
        Option(
            "layers_to_transform", \.layers, "numbers of the layers whose modules get an adapter; all if not given",
            words: "a list of whole numbers"),
        Option(
            "layers_pattern", \.layersPattern, "what stands before a layer's number in names, for layers_to_transform",
            words: "a name or a list of names"),
        Option(
            "rank_pattern", words: "a mapping of regular expressions to whole numbers",
            "ranks of the modules whose names end so",
            read: { (json, own) throws(OptionProblem) in
                own.rankPattern = try patterns(json) { (json: JSONValue) throws(OptionProblem) -> Int in
                    let rank = try Int(option: json)
                    guard (1...65_536).contains(rank) else { throw OptionProblem("\(rank) is not from 1 to 65536") }
                    return rank
                }
            }, write: { object($0.rankPattern) { .integer(Int64($0)) } }),
        Option(
            "alpha_pattern", words: "a mapping of regular expressions to numbers",
            "lora_alpha of the modules whose names end so",
            read: { (json, own) throws(OptionProblem) in
                own.alphaPattern = try patterns(json) { (json: JSONValue) throws(OptionProblem) -> Double in
                    try Double(option: json)
                }
            }, write: { object($0.alphaPattern) { .number($0) } }),
        Option(
            "init_lora_weights", words: "true, false or gaussian",
            "how they begin: true without effect, as gaussian does; false with an effect at random",
            read: { (json, own) throws(OptionProblem) in own.start = try start(json) },
            write: { own in
                switch own.start {
                case .zeroProduct: .bool(true)
                case .random: .bool(false)
                case .gaussian: .string("gaussian")
                }
            }),
        Option(
            "task_type", \.taskType, "what the model is for; it changes nothing", words: "FEATURE_EXTRACTION or null",
            check: OptionCheck("FEATURE_EXTRACTION") {
                $0.uppercased() == "FEATURE_EXTRACTION" ? nil : "\"\($0)\" is a task that needs a head of its own"
            }),
    ])

    /// Keys of LoraConfig that ask for another kind of adapter, and what they ask for.
    package static let refused = [
        "fan_in_fan_out": "no model here stores weights transposed",
        "layer_replication": "layers cannot be repeated",
        "trainable_token_indices": "rows of the word table cannot be trained alone",
        "target_parameters": "adapters belong to dense modules, not to single parameters",
        "lora_bias": "an adapter has no bias of its own",
        "megatron_config": "it needs Megatron", "loftq_config": "weights are not quantised here",
        "eva_config": "adapters begin by init_lora_weights", "corda_config": "adapters begin by init_lora_weights",
        "lora_ga_config": "adapters begin by init_lora_weights", "velora_config": "it is another kind of adapter",
        "alora_invocation_tokens": "it is another kind of adapter", "use_qalora": "weights are not quantised here",
        "monteclora_config": "it is another kind of adapter", "use_bdlora": "it is another kind of adapter",
        "arrow_config": "a model has one adapter", "kasa_config": "it is another kind of adapter",
        "runtime_config": "it needs PyTorch",
        "ensure_weight_tying": "shared weights are shared with their adapters anyway",
    ]

    /// Keys that say where a saved adapter comes from.
    private static let origin = ["base_model_name_or_path", "revision"]
    /// Keys that peft always writes.
    private static let written = [
        "peft_type", "inference_mode", "auto_mapping", "peft_version", "megatron_core", "qalora_group_size",
    ]

    /// Reads `lora:`, or adapter_config.json.
    ///
    /// - Parameter isSaved: whether a program wrote it: keys that it does not use are there too.
    /// - Throws: a problem at the key.
    package init(_ object: JSONObject, isSaved: Bool) throws(OptionProblem) {
        try Self.options.read(object, into: &self)
        if let type = object["peft_type"], !type.isNull, type.string?.uppercased() != "LORA" {
            throw OptionProblem(
                "\(type.configurationText) is another kind of adapter", hint: "Only LORA can be trained or read.",
                at: "peft_type")
        }
        let known = Self.options.names + Self.written + (isSaved ? Self.origin : [])
        for (key, value) in object where !known.contains(key) {
            if Self.asksForNothing(value), isSaved || Self.refused[key] != nil || Self.origin.contains(key) { continue }
            if let reason = Self.refused[key] { throw OptionProblem(reason, at: key) }
            throw OptionProblem(
                isSaved ? "asks for what is not known here" : "unknown key",
                hint: TuttiError.hint(unknown: key, known: Self.options.names), at: key)
        }
    }

    private static func asksForNothing(_ value: JSONValue) -> Bool {
        switch value {
        case .null, .bool(false): true
        case .array(let items): items.isEmpty
        case .object(let members): members.isEmpty
        default: false
        }
    }

    private static func start(_ json: JSONValue) throws(OptionProblem) -> Start {
        if let truth = json.bool { return truth ? .zeroProduct : .random }
        switch json.string?.lowercased() {
        case "gaussian": return .gaussian
        case nil: throw .expected("true, false or gaussian", found: json)
        default:
            throw OptionProblem(
                "\(json.configurationText) is not available here", hint: "It takes true, false or gaussian.")
        }
    }

    private static func patterns<Value: Sendable & Equatable>(
        _ json: JSONValue, _ value: (JSONValue) throws(OptionProblem) -> Value
    ) throws(OptionProblem) -> [Pattern<Value>] {
        if json.isNull { return [] }
        guard let object = json.object else { throw .expected("a mapping", found: json) }
        var patterns: [Pattern<Value>] = []
        for (expression, member) in object {
            do throws(OptionProblem) {
                _ = try ModuleNames.regex(expression)
                patterns.append(Pattern(expression: expression, value: try value(member)))
            } catch let flaw { throw flaw.inside(expression) }
        }
        return patterns
    }

    private static func object<Value>(_ patterns: [Pattern<Value>], _ json: (Value) -> JSONValue) -> JSONValue {
        var object = JSONObject()
        for pattern in patterns { object[pattern.expression] = json(pattern.value) }
        return .object(object)
    }

    /// The adapter of the module `name`; `stored` = its rank in a file, which must be that of the configuration; `part` = which
    /// part of a module of the plan it is.
    func plan(
        of name: String, rank stored: Int? = nil, part: ModulePart? = nil
    ) throws(OptionProblem) -> AdapterPlan {
        let ownRank = try value(rankPattern, of: name)
        let ownAlpha = try value(alphaPattern, of: name)
        let (rank, alpha) = (ownRank ?? rank, ownAlpha ?? alpha)
        if let stored, stored != rank {
            throw OptionProblem("r of \(name) is \(rank), but its lora_A has \(stored) rows")
        }
        let scale = usesRootOfRank ? alpha / Double(rank).squareRoot() : alpha / Double(rank)
        return AdapterPlan(
            rank: rank, scale: Float(scale), dropout: Float(dropout), hasMagnitudes: hasMagnitudes, part: part)
    }

    /// Whether modules_to_save means a module that `name` is, or that it is in.
    func saves(_ name: String) -> Bool {
        let parts = name.split(separator: ".")
        return parts.indices.contains { end in
            let module = parts[...end].joined(separator: ".")
            return modulesToSave.contains { module.hasSuffix($0) }
        }
    }

    /// What the first pattern that the end of `name` matches gives.
    private func value<Value>(_ patterns: [Pattern<Value>], of name: String) throws(OptionProblem) -> Value? {
        for pattern in patterns
        where try ModuleNames.matchesWhole(name, "(.*\\.)?(\(pattern.expression))") {
            return pattern.value
        }
        return nil
    }
}
