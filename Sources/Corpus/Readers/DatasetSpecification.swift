// What a configuration says of a data set: its path, or a mapping of its options.
//
//   train.csv
//   {path: stsb.tsv, quote: none, columns: [sentence1, sentence2, score]}

import TuttiGround

/// A data set in a configuration.
public struct DatasetSpecification: Sendable, Equatable {
    /// The file.
    public var path: String
    /// The columns in use, label included, in order; nil uses all.
    public var columns: [String]?
    /// The format of a file of separated values.
    public var options: ReaderOptions
    /// The name of the data set if there are several.
    public var name: String?

    /// Makes a specification from its parts.
    public init(
        path: String, columns: [String]? = nil, name: String? = nil, options: ReaderOptions = ReaderOptions()
    ) {
        self.path = path
        self.columns = columns
        self.options = options
        self.name = name
    }
}

extension DatasetSpecification: OptionValue {
    /// The options of one data set.
    package static let options = OptionList<DatasetSpecification>(
        [
            Option("path", \.path, "the rows", words: "a file: \(extensions)", isRequired: true),
            Option("columns", \.columns, "the columns in use, label included, in order; all by default"),
        ] + ReaderOptions.options.lifted(to: \.options))

    private static var extensions: String {
        DatasetReaders.all.flatMap { $0.extensions }.map { ".\($0)" }.joined(separator: ", ")
    }

    /// The accepted values, in words.
    public static var words: String { "a data set" }

    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        self.init(path: "")
        if let file = json.string {
            path = file
            return
        }
        guard let object = json.object else { throw .expected("a mapping (path: ...) or a path", found: json) }
        try Self.options.checkKeys(of: object)
        try Self.options.read(object, into: &self)
        try options.check()
        guard options.header != .columns || columns != nil else {
            throw OptionProblem(
                "false, and nothing names the fields", hint: "Name all of them with columns: [...].", at: "header")
        }
    }

    /// The value as written in a configuration.
    public var optionJSON: JSONValue { Self.options.object(of: self, from: DatasetSpecification(path: "")) }
}
