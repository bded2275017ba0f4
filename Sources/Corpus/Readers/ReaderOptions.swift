// How a file of separated values is written, where it is not as its extension says: delimiter, quote, header line.
//
//   train_dataset: {path: stsb.tsv, quote: none, columns: [sentence1, sentence2, score]}
//   train_dataset: {path: collection.tsv, quote: none, header: [pid, text], columns: [text]}
//   train_dataset: {path: pairs.tsv, header: false, columns: [query, answer]}
//
// Files of the field (STS benchmark, MS MARCO) are often written without quoting: a text may begin with a double quote.

import TuttiFormats
import TuttiGround

/// What is known of a file of separated values beyond its extension.
public struct ReaderOptions: Sendable, Equatable {
    /// Where the names of the columns are.
    public enum Header: Sendable, Equatable {
        /// In the first line.
        case line
        /// Nowhere in the file: these are the names of all its fields.
        case names([String])
        /// Nowhere in the file: `columns` names all its fields.
        case columns
    }

    /// What separates fields; nil for the extension's own.
    public var delimiter: Unicode.Scalar?
    /// What encloses fields that hold the delimiter; nil where quotes are ordinary characters.
    public var quote: Unicode.Scalar? = "\""
    /// Where the names of the columns are.
    public var header = Header.line

    /// As the extension says, with a header line and double quotes.
    public init() {}

    /// The keys of these options in a configuration.
    public static let keys = ["delimiter", "quote", "header"]

    /// Reads the options as configurations spell them.
    ///
    /// - Parameter error: makes an error from a key, a problem and a hint.
    /// - Throws: what `error` makes, for a value that is none of the option's.
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
        if let quote, quote == delimiter { throw error("quote", "is the delimiter too", nil) }
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
