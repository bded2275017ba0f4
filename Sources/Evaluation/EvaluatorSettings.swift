// The options of an evaluator as a value: those of its own, and those that every evaluator takes.

import TuttiGround
import TuttiModels

/// The options of an evaluator, each described once by its list.
///
///     struct Settings: EvaluatorSettings {
///         var common = CommonEvaluatorSettings()
///         var table = TableSettings()
///         var limit = 0.5
///
///         static let options = OptionList<Settings>(
///             TableSettings.options("sentence1, sentence2", in: \.table) + [
///                 Option("limit", \.limit, "the similarity from which on a pair counts")
///             ])
///     }
public protocol EvaluatorSettings: DescribedSettings {
    /// The options that every evaluator takes; they are not part of the list.
    var common: CommonEvaluatorSettings { get set }
}

/// The options that every evaluator takes.
public struct CommonEvaluatorSettings: DescribedSettings {
    /// The evaluator's class.
    public var name = ""
    /// The name of the data, before every key; empty for none.
    public var id = ""
    /// The leading dimensions that embeddings are cut to; nil keeps all.
    public var truncatedDimension: Int?
    /// Whether a row is added to the CSV file.
    public var writesResults = true
    private var batchSize: Int?
    private var showsProgressBar: Bool?

    /// The defaults.
    public init() {}

    /// The options that are not accepted for compatibility alone.
    public init(id: String = "", truncatedDimension: Int? = nil, writesResults: Bool = true) {
        self.id = id
        self.truncatedDimension = truncatedDimension
        self.writesResults = writesResults
    }

    /// The class, then the options.
    public static let options = OptionList<CommonEvaluatorSettings>([
        Option("name", \.name, "the evaluator's class", isRequired: true),
        Option("id", \.id, "name of the data, before every key", check: fileNamePart),
        Option(
            "truncate_dim", \.truncatedDimension, "leading dimensions that embeddings are cut to", check: .atLeast(1)),
        Option("write_csv", \.writesResults, "add a row to its CSV file"),
        Option("batch_size", \.batchSize, "taken for compatibility, without effect", check: .atLeast(1)),
        Option("show_progress_bar", \.showsProgressBar, "taken for compatibility, without effect"),
    ])

    /// Ids are part of the names of files.
    private static let fileNamePart = OptionCheck<String>("at most 128 bytes") { id in
        guard id.utf8.count > 128 else { return nil }
        return "has \(id.utf8.count) bytes; it is part of the names of files, so at most 128 are possible"
    }

    /// `embeddings`, cut to their leading dimensions where that is asked for.
    public func cut(_ embeddings: Embeddings) -> Embeddings {
        truncatedDimension.map(embeddings.truncated) ?? embeddings
    }

    /// "prefix", the id where there is one, "suffix": the name of a results file.
    func fileName(_ prefix: String, _ suffix: String = "_results.csv") -> String {
        prefix + (id.isEmpty ? "" : "_" + id) + suffix
    }
}
