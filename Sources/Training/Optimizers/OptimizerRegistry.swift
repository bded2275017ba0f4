// The optimizers by name, and how one is made of the training arguments.
//
// Adding one = one file in Optimizers/ + one line in `all` + one test. An update rule works on the arenas of parameters
// and state, which are the package's own, so the registry is not open to others.

import TuttiGround

/// An optimizer that `optim` can name.
struct OptimizerEntry: Sendable {
    /// Its names in a configuration.
    let names: [String]
    /// Its options: the keys of `optim_args`.
    let options: [OptionDescription]
    /// Makes it of the training arguments.
    let make: @Sendable (TrainingArguments) throws(TuttiError) -> any Optimizer

    /// Describes an optimizer.
    ///
    /// - Parameters:
    ///   - start: takes over what has an argument of its own, such as adam_beta1, before `optim_args` are read.
    ///   - make: makes it of the options, or says what is wrong with them together.
    init<Settings: DescribedSettings>(
        names: [String], settings: Settings.Type,
        start: @escaping @Sendable (inout Settings, TrainingArguments) -> Void = { _, _ in },
        make: @escaping @Sendable (Settings) throws(OptionProblem) -> any Optimizer
    ) {
        self.names = names
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

    /// What the text after "key=" stands for: true or false in any case, else what an option makes of the text.
    private static func value(_ text: String) -> JSONValue {
        switch text.lowercased() {
        case "true": .bool(true)
        case "false": .bool(false)
        default: .string(text)
        }
    }

    private static func refused(_ option: String, _ problem: String, _ hint: String?) -> TuttiError {
        TuttiError(
            .usage, "read the optimizer's options", "args.optim_args" + (option.isEmpty ? "" : ".\(option)"), problem,
            hint: hint)
    }
}

/// The known optimizers.
enum OptimizerRegistry {
    /// One line an optimizer.
    static let all: [OptimizerEntry] = [AdamW.entry, SGD.entry]

    /// The names that `optim` takes.
    static var names: [String] { all.flatMap(\.names) }

    /// Makes the optimizer that the arguments name.
    ///
    /// - Throws: a usage error for an unknown name or option, with the nearest one.
    static func make(_ arguments: TrainingArguments) throws(TuttiError) -> any Optimizer {
        guard let entry = all.first(where: { $0.names.contains(arguments.optim) }) else {
            throw TuttiError(
                .usage, "choose the optimizer", "args.optim", "unknown optimizer \"\(arguments.optim)\"",
                hint: TuttiError.hint(unknown: arguments.optim, known: names))
        }
        return try entry.make(arguments)
    }
}
