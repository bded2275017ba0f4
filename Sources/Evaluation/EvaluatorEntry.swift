// What is known of an evaluator before it is made: the measure, the data and the options that it takes.
//
// Why: the registry checks configurations against this description, and the command lists it, so that an option exists
// only if it is described here.

import TuttiFormats
import TuttiGround

/// One option of an evaluator: its name, what it holds, its value when the configuration is silent, and its meaning.
public struct EvaluatorOptionDescription: Sendable {
    /// What an option holds, in words.
    public enum Kind: String, Sendable {
        /// A truth value.
        case flag = "true or false"
        /// A whole number.
        case integer = "a whole number"
        /// A list of whole numbers.
        case integers = "a list of whole numbers"
        /// A number.
        case number = "a number"
        /// A number, or an object of numbers by similarity function.
        case numbers = "a number, or an object of numbers by function"
        /// A string.
        case text = "a string"
        /// A truth value or names.
        case header = "true, false or a list of strings"
        /// A list of strings.
        case texts = "a list of strings"
        /// A list of pairs of strings.
        case textPairs = "a list of pairs of strings"
        /// The path of a file.
        case file = "a file"
        /// The path of a folder.
        case folder = "a folder"
        /// The path of a model's folder, or a hub id.
        case model = "a model folder or hub id"
    }

    /// The option's name in a configuration.
    public let name: String
    /// What the option holds.
    public let kind: Kind
    /// The value in effect when the option is not given; null where that is the absence of a value.
    public let standard: JSONValue
    /// Whether the configuration must give the option.
    public let isRequired: Bool
    /// One line for the command and the documentation.
    public let meaning: String

    /// Describes an option with its default.
    public init(_ name: String, _ kind: Kind, standard: JSONValue = .null, _ meaning: String) {
        self.name = name
        self.kind = kind
        self.standard = standard
        self.meaning = meaning
        isRequired = false
    }

    /// Describes cut-offs with their defaults.
    init(_ name: String, cutoffs: [Int], _ meaning: String) {
        self.init(name, .integers, standard: .array(cutoffs.map { .integer(Int64($0)) }), meaning)
    }

    /// Describes an option that must be given.
    public init(required name: String, _ kind: Kind, _ meaning: String) {
        self.name = name
        self.kind = kind
        self.meaning = meaning
        standard = .null
        isRequired = true
    }
}

/// An evaluator that configurations can ask for.
public struct EvaluatorEntry: Sendable {
    /// The class name, as in sentence-transformers.
    public let name: String
    /// One line on what it measures.
    public let summary: String
    /// The data that it needs, in words: the columns of its table in their order, or its files.
    public let data: String
    /// The options of its own, beside `EvaluatorRegistry.commonOptions`.
    public let options: [EvaluatorOptionDescription]
    let make: @Sendable (EvaluatorOptions) throws(TuttiError) -> any Evaluator

    /// Describes an evaluator; `make` gets options of which every name is known.
    init(
        name: String, summary: String, data: String, options: [EvaluatorOptionDescription],
        make: @escaping @Sendable (EvaluatorOptions) throws(TuttiError) -> any Evaluator
    ) {
        self.name = name
        self.summary = summary
        self.data = data
        self.options = options
        self.make = make
    }
}

extension EvaluatorOptionDescription {
    /// The options of evaluators whose data are the rows of one table; `meaning` names the text columns in their order.
    static func table(_ meaning: String) -> [EvaluatorOptionDescription] {
        [
            EvaluatorOptionDescription(required: "path", .file, "the table: .csv, .tsv, .json or .jsonl"),
            EvaluatorOptionDescription(
                "columns", .texts, "the columns to use, in the order \(meaning); by default all, as in the file"),
        ] + separatedValues
    }

    /// How a .csv or .tsv file of an evaluator is written.
    static let separatedValues = [
        EvaluatorOptionDescription("delimiter", .text, "what separates fields; by default the extension's own"),
        EvaluatorOptionDescription(
            "quote", .text, standard: .string("\""), "what encloses fields; none: quotes are ordinary characters"),
        EvaluatorOptionDescription(
            "header", .header, standard: .bool(true),
            "false for a file without a header line, or the names of its fields"),
    ]

    /// The similarity functions of an evaluator that can judge by several.
    static let similarityFunctions = EvaluatorOptionDescription(
        "similarity_fn_names", .texts,
        "cosine, dot, euclidean, manhattan; by default the main function, else the model's")
}
