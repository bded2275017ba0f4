// What a configuration says of a data set: its path, or a mapping of its options.
//
//   train.csv
//   {path: stsb.tsv, quote: none, columns: [sentence1, sentence2, score]}
//   {path: [a.parquet, b.parquet], rename: {question: anchor}, filter: [empty, duplicate], validation_split: 0.02}

import TuttiGround

/// A data set in a configuration.
public struct DatasetSpecification: Sendable, Equatable {
    /// Files, patterns or folders; their rows follow each other.
    public var paths: [String]
    /// The split of folders that hold several; train by default.
    public var split: String?
    /// The columns in use, label included, in order; nil uses all.
    public var columns: [String]?
    /// The format of a file of separated values, and what applies to every format.
    public var options: ReaderOptions
    /// The rows in use; nil for all.
    public var rows: RowWindow?
    /// Which rows are left out.
    public var filter = RowFilter()
    /// The order in which the rows are put before the first epoch; nil for that of the file.
    public var shuffle: RowShuffle?
    /// The share of the rows that is put aside for evaluation.
    public var validationSplit: Double?
    /// Whether the rows are read once and in order, as many as the run trains on.
    public var isStreamed = false
    /// The name of the data set if there are several.
    public var name: String?

    /// Makes a specification from its parts.
    public init(
        path: String, columns: [String]? = nil, name: String? = nil, options: ReaderOptions = ReaderOptions()
    ) {
        paths = [path]
        self.columns = columns
        self.options = options
        self.name = name
    }

    /// The path, or the paths, as messages say them.
    public var path: String { paths.joined(separator: ", ") }
}

extension DatasetSpecification: OptionValue {
    /// The options of one data set.
    package static let options = OptionList<DatasetSpecification>(
        [
            Option(
                "path",
                words:
                    "a file (\(extensions); also compressed: .gz, .zst, .bz2, .xz), a pattern, a folder, a data "
                    + "set of the hub (organization/name:configuration), or a list of them",
                "the rows", isRequired: true,
                read: { (json, owner) throws(OptionProblem) in
                    owner.paths = try [String](option: json)
                    guard !owner.paths.isEmpty, !owner.paths.contains("") else {
                        throw OptionProblem("names no file", hint: "For example path: train.csv.")
                    }
                }, write: { $0.paths.count == 1 ? .string($0.paths[0]) : $0.paths.optionJSON }),
            Option("split", \.split, "the split of a folder or a data set that holds several; train by default"),
            Option("columns", \.columns, "the columns in use, label included, in order; all by default"),
            Option(
                "rename", words: "a mapping", "other names for columns, before `columns` is applied",
                read: { (json, owner) throws(OptionProblem) in
                    owner.options.renames = try renames(json)
                },
                write: { owner in
                    var object = JSONObject()
                    for (old, new) in owner.options.renames.sorted(by: { $0.key < $1.key }) {
                        object[old] = .string(new)
                    }
                    return object.isEmpty ? .null : .object(object)
                }),
            Option(
                "negatives", \.options.negatives, "which texts of lists of negatives become columns; all by default"),
            Option("rows", \.rows, "the rows in use, before the filter; all by default"),
            Option(
                "filter", words: RowFilter.words, "which rows are left out",
                read: { (json, owner) throws(OptionProblem) in
                    owner.filter = json.isNull ? RowFilter() : try RowFilter(option: json)
                }, write: { $0.filter == RowFilter() ? .null : $0.filter.optionJSON }),
            Option("shuffle", \.shuffle, "shuffle the rows once, before the first epoch; file order by default"),
            Option(
                "validation_split", \.validationSplit,
                "the share of the rows that becomes the eval_dataset; rows with the same first text stay together",
                check: OptionCheck("between 0 and 1") { $0 > 0 && $0 < 1 ? nil : "\($0) is not between 0 and 1" }),
            Option(
                "streaming", \.isStreamed,
                "read the rows once and in order, as many as max_steps trains on, also from a pipe"),
        ] + ReaderOptions.options.lifted(to: \.options))

    private static var extensions: String {
        DatasetReaders.all.flatMap { $0.extensions }.map { ".\($0)" }.joined(separator: ", ")
    }

    private static func renames(_ json: JSONValue) throws(OptionProblem) -> [String: String] {
        if json.isNull { return [:] }
        guard let object = json.object else { throw .expected("a mapping such as {question: anchor}", found: json) }
        var names: [String: String] = [:]
        for (old, value) in object {
            guard let new = value.string, !new.isEmpty else {
                throw OptionProblem("\(value.configurationText) is not a name", at: old)
            }
            names[old] = new
        }
        return names
    }

    /// The accepted values, in words.
    public static var words: String { "a data set" }

    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        self.init(path: "")
        if json.string != nil || json.array != nil {
            try Self.options.read(["path": json], into: &self)
            return
        }
        guard let object = json.object else { throw .expected("a mapping (path: ...) or a path", found: json) }
        try Self.options.checkKeys(of: object)
        try Self.options.read(object, into: &self)
        try check()
    }

    /// Refuses options that contradict each other.
    package func check() throws(OptionProblem) {
        try options.check()
        if isStreamed { try checkStreaming() }
        guard options.header != .columns || columns != nil else {
            throw OptionProblem(
                "false, and nothing names the fields", hint: "Name all of them with columns: [...].", at: "header")
        }
    }

    /// Refuses what needs all rows of a data set that is streamed.
    private func checkStreaming() throws(OptionProblem) {
        func refuse(_ key: String, _ hint: String) throws(OptionProblem) {
            throw OptionProblem("needs all rows, and streaming: true takes them in order", hint: hint, at: key)
        }
        if filter != RowFilter() { try refuse("filter", "Leave rows out before they are streamed.") }
        if validationSplit != nil { try refuse("validation_split", "Give an eval_dataset.") }
        if let shuffle, shuffle.buffer == nil {
            try refuse("shuffle", "Shuffle within a buffer: shuffle: {buffer: 10000}.")
        }
    }

    /// The value as written in a configuration.
    public var optionJSON: JSONValue { Self.options.object(of: self, from: DatasetSpecification(path: "")) }
}
