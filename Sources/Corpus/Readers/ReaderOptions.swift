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

    /// The extension's format, with a header line and double quotes.
    public init() {}

    /// The keys of these options in a configuration.
    public static let keys = ["delimiter", "quote", "header"]

    /// Parses the options of a configuration.
    ///
    /// - Parameter error: makes an error from a key, a problem and a hint.
    /// - Throws: the result of `error`, for an invalid value.
    public init(
        _ value: (_ key: String) -> JSONValue?,
        error: (_ key: String, _ problem: String, _ hint: String?) -> TuttiError
    ) throws(TuttiError) {
        func single(_ key: String, _ words: [String: Unicode.Scalar], _ example: String) throws(TuttiError)
            -> Unicode.Scalar?
        {
            guard let given = value(key), given != .null else { return nil }
            let text = given.string ?? ""
            if let known = words[text.lowercased()] { return known }
            guard text.unicodeScalars.count == 1, let scalar = text.unicodeScalars.first, scalar.isASCII,
                scalar != "\n", scalar != "\r"
            else { throw error(key, "\(given.serialized()) is not one ASCII character", example) }
            return scalar
        }
        delimiter = try single(
            "delimiter", ["tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"],
            "For example delimiter: \"\\t\" or delimiter: \";\".")
        if value("quote")?.string?.lowercased() == "none" {
            quote = nil
        } else if let given = try single("quote", ["double": "\""], "For example quote: none.") {
            quote = given
        }
        if let quote, quote == delimiter { throw error("quote", "is also the delimiter", nil) }
        switch value("header") {
        case nil, .null, .bool(true): header = .line
        case .bool(false): header = .columns
        case .array(let items) where !items.isEmpty && items.allSatisfy({ $0.string != nil }):
            header = .names(items.compactMap(\.string))
        case let other?:
            throw error(
                "header", "expected true, false or the names of all fields, found \(other.serialized())",
                "For example header: [id, text].")
        }
    }
}
