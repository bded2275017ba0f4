// What is known of an evaluator before it is made: what it measures, its data, and its options by their list.

import TuttiGround

/// An evaluator that configurations can ask for.
public struct EvaluatorEntry: Sendable {
    /// The class name, as in sentence-transformers.
    public let name: String
    /// One line on what it measures.
    public let summary: String
    /// The data that it needs, in words: the columns of its table in their order, or its files.
    public let data: String
    /// The options of its own, beside `EvaluatorRegistry.commonOptions`.
    public let options: [OptionDescription]
    let make: @Sendable (EvaluatorOptions) throws(TuttiError) -> any Evaluator

    /// Describes an evaluator.
    ///
    /// - Parameters:
    ///   - data: the columns of its table in their order, or its files, in words.
    ///   - settings: its options; `make` gets them with the values that a configuration gives.
    ///   - make: loads the data and makes the evaluator; `EvaluatorOptions` has what is known of the model, and makes
    ///     errors that name an option's place.
    public init<Settings: EvaluatorSettings>(
        name: String, summary: String, data: String, settings: Settings.Type,
        make: @escaping @Sendable (Settings, EvaluatorOptions) throws(TuttiError) -> any Evaluator
    ) {
        let known = Settings.options.names + CommonEvaluatorSettings.options.names
        precondition(Set(known).count == known.count, "\(name): an option of its own has the name of a common one")
        self.name = name
        self.summary = summary
        self.data = data
        options = Settings.descriptions
        self.make = { (options) throws(TuttiError) in
            func refused(_ key: String, _ problem: String, _ hint: String?) -> TuttiError {
                options.error(key, problem, hint: hint)
            }
            for key in options.object.keys where !known.contains(key) {
                throw refused(key, "unknown option of \(name)", TuttiError.hint(unknown: key, known: known))
            }
            var given = options.object
            given["name"] = .string(name)
            var settings = Settings()
            try CommonEvaluatorSettings.options.read(given, into: &settings.common, error: refused)
            try Settings.options.read(given, into: &settings, error: refused)
            return try make(settings, options)
        }
    }
}
