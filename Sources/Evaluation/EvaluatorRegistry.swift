// The evaluators that a configuration can name.
//
// A new evaluator is one file and one line in `all`.

import TuttiFormats
import TuttiGround

/// The known evaluators and how they are made from options.
public enum EvaluatorRegistry {
    /// All evaluators, in the order of the documentation.
    public static let all: [EvaluatorEntry] = [
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

    /// Options that every evaluator takes; the batch size and the progress bar have no effect here.
    public static let commonOptions = [
        EvaluatorOptionDescription(required: "name", .text, "the evaluator's class"),
        EvaluatorOptionDescription("id", .text, standard: .string(""), "name of the data, before every key"),
        EvaluatorOptionDescription("truncate_dim", .integer, "leading dimensions that embeddings are cut to"),
        EvaluatorOptionDescription("write_csv", .flag, standard: .bool(true), "add a row to its CSV file"),
        EvaluatorOptionDescription("batch_size", .integer, "taken for compatibility, without effect"),
        EvaluatorOptionDescription("show_progress_bar", .flag, "taken for compatibility, without effect"),
    ]

    /// Makes the evaluator `name` from its options and loads its data.
    ///
    /// Throws: `.usage` for unknown names and wrong options; `.missingFile` and `.data` for its data.
    public static func make(name: String, options: EvaluatorOptions) throws(TuttiError) -> any Evaluator {
        guard let entry = all.first(where: { $0.name == name }) else {
            throw TuttiError(
                .usage, "read configuration", "\(options.place).name", "the evaluator '\(name)' is not known",
                hint: TuttiError.hint(unknown: name, known: all.map(\.name)))
        }
        try options.check(entry)
        return try entry.make(options)
    }
}
