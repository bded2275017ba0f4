// The evaluators that a configuration can name.
//
// A new evaluator is one file and one line in `all`.

import TuttiCorpus
import TuttiFormats

/// An evaluator that configurations can ask for.
public struct EvaluatorEntry: Sendable {
    /// The class name, as in sentence-transformers.
    public let name: String
    /// The option names of its own, beside those that every evaluator takes.
    public let options: [String]
    /// One line on what it measures and what data it needs.
    public let summary: String
    let make: @Sendable (EvaluatorOptions) throws(TuttiError) -> any Evaluator
}

/// The known evaluators and how they are made from options.
public enum EvaluatorRegistry {
    /// All evaluators, in the order of the documentation.
    public static let all: [EvaluatorEntry] = [
        EvaluatorEntry(
            name: TripletEvaluator.className, options: TripletEvaluator.optionNames,
            summary: "accuracy of sim(anchor, positive) > sim(anchor, negative); a table of three text columns",
            make: TripletEvaluator.make),
        EvaluatorEntry(
            name: EmbeddingSimilarityEvaluator.className, options: EmbeddingSimilarityEvaluator.optionNames,
            summary: "Pearson and Spearman correlation with gold scores; a table of two text columns and a score",
            make: EmbeddingSimilarityEvaluator.make),
        EvaluatorEntry(
            name: InformationRetrievalEvaluator.className, options: InformationRetrievalEvaluator.optionNames,
            summary: "accuracy, precision, recall, nDCG, MRR and MAP of a search; BEIR files corpus, queries and qrels",
            make: InformationRetrievalEvaluator.make),
    ]

    /// Options that every evaluator takes.
    public static var commonOptions: [String] { EvaluatorOptions.common }

    /// Makes the evaluator `name` from its options and loads its data.
    ///
    /// Throws: `.usage` for unknown names and wrong options; `.missingFile` and `.data` for its data.
    public static func make(name: String, options: EvaluatorOptions) throws(TuttiError) -> any Evaluator {
        guard let entry = all.first(where: { $0.name == name }) else {
            throw TuttiError(
                .usage, "read configuration", "\(options.place).name", "the evaluator '\(name)' is not known",
                hint: TuttiError.hint(unknown: name, known: all.map(\.name)))
        }
        return try entry.make(options)
    }
}
