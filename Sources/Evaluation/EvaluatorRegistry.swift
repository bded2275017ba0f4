// The evaluators that a configuration can name.
//
// A new evaluator is one file and one line in `registry`. An evaluator outside the package is one class with its options,
// and one call of `add`.

import TuttiGround

/// The known evaluators and how they are made from options.
public enum EvaluatorRegistry {
    /// Every evaluator, those of the package first, in the order of the documentation.
    public static var all: [EvaluatorEntry] { registry.all }

    /// Adds an evaluator from outside the package; one of the same name is replaced.
    ///
    /// From then on configurations, `make` and help know it.
    public static func add(_ entry: EvaluatorEntry) { registry.add(entry) }

    /// One line an evaluator.
    private static let registry = OpenRegistry<EvaluatorEntry>(
        "EvaluatorRegistry",
        [
            BinaryClassificationEvaluator.entry,
            EmbeddingSimilarityEvaluator.entry,
            InformationRetrievalEvaluator.entry,
            LabelAccuracyEvaluator.entry,
            MSEEvaluator.entry,
            MSEEvaluatorFromDataFrame.entry,
            NanoBEIREvaluator.entry,
            ParaphraseMiningEvaluator.entry,
            RerankingEvaluator.entry,
            TranslationEvaluator.entry,
            TripletEvaluator.entry,
        ]
    ) { $0.name }

    /// Options that every evaluator takes; the batch size and the progress bar have no effect here.
    public static let commonOptions = CommonEvaluatorSettings.descriptions

    /// Makes the evaluator `name` from its options and loads its data.
    ///
    /// - Throws: 64 for unknown names and wrong options; 66 for missing files and 65 for bad ones.
    public static func make(name: String, options: EvaluatorOptions) throws(TuttiError) -> any Evaluator {
        let all = all
        guard let entry = all.first(where: { $0.name == name }) else {
            throw options.error(
                "name", "the evaluator '\(name)' is not known",
                hint: TuttiError.hint(unknown: name, known: all.map(\.name)))
        }
        return try entry.make(options)
    }
}
