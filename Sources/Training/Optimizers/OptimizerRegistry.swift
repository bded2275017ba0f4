// The optimizers by name, and how one is made of the training arguments.
//
// Adding one = one file in Optimizers/ + one line in `all` + one test. An update rule works on the arenas of parameters
// and state, which are the package's own, so the registry is not open to others.

import TuttiGround

/// An optimizer that `optim` can name.
package struct OptimizerEntry: Sendable {
    /// Its names in a configuration.
    package let names: [String]
    /// One line: what it does.
    package let summary: String
    /// Its options: the keys of `optim_args`.
    package let options: [OptionDescription]
    /// Makes it of the training arguments.
    let make: @Sendable (TrainingArguments) throws(TuttiError) -> any Optimizer

    /// Describes an optimizer.
    ///
    /// - Parameters:
    ///   - start: takes over what has an argument of its own, such as adam_beta1, before `optim_args` are read.
    ///   - make: makes it of the options, or says what is wrong with them together.
    init<Settings: DescribedSettings>(
        names: [String], summary: String, settings: Settings.Type,
        start: @escaping @Sendable (inout Settings, TrainingArguments) -> Void = { _, _ in },
        make: @escaping @Sendable (Settings) throws(OptionProblem) -> any Optimizer
    ) {
        self.names = names
        self.summary = summary
        options = Settings.descriptions
        self.make = { (arguments) throws(TuttiError) in
            let known = Settings.options.names
            var given = JSONObject()
            for (key, text) in arguments.optimArgs.sorted(by: { $0.key < $1.key }) {
                guard known.contains(key) else {
                    throw Self.refused(
                        key, "\"\(arguments.optim)\" has no such option", TuttiError.hint(unknown: key, known: known))
                }
                given[key] = Self.value(text)
            }
            var settings = Settings()
            start(&settings, arguments)
            try Settings.options.read(given, into: &settings, error: Self.refused)
            do throws(OptionProblem) {
                return try make(settings)
            } catch let flaw {
                throw Self.refused(flaw.path, flaw.problem, flaw.hint)
            }
        }
    }

    /// What the text after "key=" stands for: true or false in any case, a whole number, else what an option makes of the text.
    private static func value(_ text: String) -> JSONValue {
        switch text.lowercased() {
        case "true": .bool(true)
        case "false": .bool(false)
        default: Int64(text).map(JSONValue.integer) ?? .string(text)
        }
    }

    private static func refused(_ option: String, _ problem: String, _ hint: String?) -> TuttiError {
        TuttiError(
            .usage, "read the optimizer's options", "args.optim_args" + (option.isEmpty ? "" : ".\(option)"), problem,
            hint: hint)
    }
}

/// The known optimizers.
package enum OptimizerRegistry {
    /// One line an optimizer.
    package static let all: [OptimizerEntry] = [
        AdamW.entry, SGD.entry, Adafactor.entry, Adagrad.entry, RMSprop.entry, Lion.entry, AdEMAMix.entry,
        ScheduleFreeAdamW.entry, NAdam.entry, RAdam.entry, Adamax.entry, Adadelta.entry, Muon.entry,
    ]

    /// The names that `optim` takes.
    static var names: [String] { all.flatMap(\.names) }

    private static let pages = "it moves state between a GPU's memory and the host's"
    private static let eightBits = "its state of 8 or 4 bits is made on GPUs"
    private static let lowRank = "it projects gradients of chosen modules to a low rank, which is not available here"
    private static let hooks = "it updates inside the backward pass, which is not available here"

    /// Names of the reference that are refused, why, and what to use in their place.
    package static let refused: [String: (reason: String, instead: String)] = [
        "adamw_torch_xla": ("it is for TPUs", "adamw_torch"),
        "adamw_torch_npu_fused": ("it is for NPUs", "adamw_torch"),
        "adamw_anyprecision": ("its state of fewer bits is not available here", "adamw_torch"),
        "adamw_torch_4bit": (eightBits, "adafactor"), "adamw_torch_8bit": (eightBits, "adafactor"),
        "adamw_bnb_8bit": (eightBits, "adafactor"), "adamw_8bit": (eightBits, "adafactor"),
        "ademamix_8bit": (eightBits, "ademamix"), "lion_8bit": (eightBits, "lion_32bit"),
        "rmsprop_bnb": ("it is bitsandbytes' for GPUs", "rmsprop"), "rmsprop_bnb_8bit": (eightBits, "rmsprop"),
        "rmsprop_bnb_32bit": ("it is bitsandbytes' for GPUs", "rmsprop"),
        "paged_adamw_32bit": (pages, "adamw_torch"), "paged_adamw_8bit": (pages, "adafactor"),
        "paged_ademamix_32bit": (pages, "ademamix"), "paged_ademamix_8bit": (pages, "ademamix"),
        "paged_lion_32bit": (pages, "lion_32bit"), "paged_lion_8bit": (pages, "lion_32bit"),
        "galore_adamw": (lowRank, "adafactor"), "galore_adamw_8bit": (lowRank, "adafactor"),
        "galore_adafactor": (lowRank, "adafactor"), "galore_adamw_layerwise": (lowRank, "adafactor"),
        "galore_adamw_8bit_layerwise": (lowRank, "adafactor"), "galore_adafactor_layerwise": (lowRank, "adafactor"),
        "apollo_adamw": (lowRank, "adafactor"), "apollo_adamw_layerwise": (lowRank, "adafactor"),
        "lomo": (hooks, "sgd"), "adalomo": (hooks, "adafactor"),
        "grokadamw": ("it calls functions of the program that trains", "adamw_torch"),
        "schedule_free_radam": ("of the schedule-free optimizers AdamW is available", "schedule_free_adamw"),
        "schedule_free_sgd": ("of the schedule-free optimizers AdamW is available", "schedule_free_adamw"),
        "stable_adamw": ("it is not available here", "adamw_torch with max_grad_norm"),
    ]

    /// Makes the optimizer that the arguments name.
    ///
    /// - Throws: a usage error for an unknown name or option, with the nearest one.
    static func make(_ arguments: TrainingArguments) throws(TuttiError) -> any Optimizer {
        if let (reason, instead) = refused[arguments.optim] {
            throw TuttiError(
                .usage, "choose the optimizer", "args.optim", "\"\(arguments.optim)\" is refused: \(reason)",
                hint: "Use \(instead).")
        }
        guard let entry = all.first(where: { $0.names.contains(arguments.optim) }) else {
            throw TuttiError(
                .usage, "choose the optimizer", "args.optim", "unknown optimizer \"\(arguments.optim)\"",
                hint: TuttiError.hint(unknown: arguments.optim, known: names))
        }
        let optimizer = try entry.make(arguments)
        guard arguments.optimizerSharding != .all || !optimizer.needsWholeTensors else {
            throw TuttiError(
                .usage, "choose the optimizer", "args.optimizer_sharding",
                "all deals pieces of 64 K weights, and \"\(arguments.optim)\" updates whole tensors",
                hint: "Use optimizer_sharding: node.")
        }
        guard let decay = arguments.emaDecay else { return optimizer }
        guard optimizer.evaluationWeights == nil else {
            throw TuttiError(
                .usage, "choose the optimizer", "args.ema_decay",
                "\"\(arguments.optim)\" averages the weights itself", hint: "Remove ema_decay.")
        }
        return AveragedWeights(optimizer, decay: decay)
    }
}
