// The format of a file of separated values, if it differs from its extension: delimiter, quote, header line.
//
//   train_dataset: {path: stsb.tsv, quote: none, columns: [sentence1, sentence2, score]}
//   train_dataset: {path: collection.tsv, quote: none, header: [pid, text], columns: [text]}
//   train_dataset: {path: pairs.tsv, header: false, columns: [query, answer]}
//
// Files in the field (STS benchmark, MS MARCO) are often written without quoting: a text may start with a double quote.

import TuttiFormats
import TuttiGround

/// The format of a file of separated values, beyond its extension.
public struct ReaderOptions: Sendable, Equatable {
    /// Where the column names come from.
    public enum Header: Sendable, Equatable {
        /// In the first line.
        case line
        /// Not in the file: these are the names of all its fields.
        case names([String])
        /// Not in the file: `columns` names all its fields.
        case columns
    }

    /// The field separator; nil for that of the extension.
    public var delimiter: Unicode.Scalar?
    /// The quote character; nil if quotes are ordinary characters.
    public var quote: Unicode.Scalar? = "\""
    /// Where the column names come from.
    public var header = Header.line

    /// Other names for columns of the file, by their names in it.
    public var renames: [String: String] = [:]
    /// Which texts of lists of negatives are trained on; nil for `all`.
    public var negatives: NegativeChoice?
    /// Whether absent texts are read as empty ones, because they are left out afterwards.
    var takesAbsentTexts = false
    /// Rows of the file after which a reader may stop; nil for all.
    var rowLimit: Int?
    /// Where rows go in place of the table.
    var sink: RowStoreWriter?

    /// Whether nothing is said that concerns files of separated values only.
    var isPlain: Bool { delimiter == nil && quote == "\"" && header == .line }

    /// The extension's format, with a header line and double quotes.
    public init() {}

    /// The options, as configurations spell them.
    package static let options = OptionList<ReaderOptions>([
        Option(
            "delimiter", words: "a character, or tab", "what separates fields, where the extension does not say",
            read: { (json, options) throws(OptionProblem) in
                options.delimiter = try character(
                    json, names: ["tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"],
                    hint: "For example delimiter: \"\\t\" or delimiter: \";\".")
            }, write: { $0.delimiter.map { .string(String($0)) } ?? .null }),
        Option(
            "quote", words: "a character, or none", "what encloses fields; none: quotes are ordinary characters",
            read: { (json, options) throws(OptionProblem) in
                guard json.string?.lowercased() != "none" else { return options.quote = nil }
                let given = try character(json, names: ["double": "\""], hint: "For example quote: none.")
                if let given { options.quote = given }
            }, write: { .string($0.quote.map { String($0) } ?? "none") }),
        Option(
            "header", \.header,
            "false: there is no header line, and `columns` names all fields; a list names them itself"),
    ])

    /// Parses the options of a configuration.
    ///
    /// - Parameter error: makes an error from a key, a problem and a hint.
    /// - Throws: the result of `error`, for an invalid value.
    public init(
        _ value: (_ key: String) -> JSONValue?,
        error: (_ key: String, _ problem: String, _ hint: String?) -> TuttiError
    ) throws(TuttiError) {
        var given = JSONObject()
        for name in Self.options.names { given[name] = value(name) }
        do throws(OptionProblem) {
            try Self.options.read(given, into: &self)
            try check()
        } catch let flaw {
            throw error(flaw.path, flaw.problem, flaw.hint)
        }
    }

    /// Refuses options that contradict each other.
    package func check() throws(OptionProblem) {
        if let quote, quote == delimiter { throw OptionProblem("is also the delimiter", at: "quote") }
    }

    /// One ASCII character, or the name of one; nil for null.
    private static func character(
        _ json: JSONValue, names: [String: Unicode.Scalar], hint: String
    ) throws(OptionProblem) -> Unicode.Scalar? {
        if json.isNull { return nil }
        let text = json.string ?? ""
        if let known = names[text.lowercased()] { return known }
        guard text.unicodeScalars.count == 1, let scalar = text.unicodeScalars.first, scalar.isASCII,
            scalar != "\n", scalar != "\r"
        else { throw OptionProblem("\(json.configurationText) is not one ASCII character", hint: hint) }
        return scalar
    }
}

extension ReaderOptions.Header: OptionValue {
    /// The accepted values, in words.
    public static var words: String { "true, false or a list of strings" }

    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        switch json {
        case .bool(true): self = .line
        case .bool(false): self = .columns
        case .array(let items) where !items.isEmpty && items.allSatisfy({ $0.string != nil }):
            self = .names(items.compactMap(\.string))
        default:
            throw OptionProblem(
                "expected true, false or the names of all fields, found \(json.configurationText)",
                hint: "For example header: [id, text].")
        }
    }

    /// The value as written in a configuration.
    public var optionJSON: JSONValue {
        switch self {
        case .line: .bool(true)
        case .columns: .bool(false)
        case .names(let names): .array(names.map { .string($0) })
        }
    }
}
