// Which columns of a file become texts and which becomes the label.
//
// The label is the first of label, labels, score, scores among the columns in use; all others are texts, in the order of
// the file, or of `columns:` if the configuration selects them. Reference: SentenceTransformerDataCollator.

import TuttiFormats
import TuttiGround

/// The columns of a file in use.
public struct ColumnSelection: Sendable {
    /// Indices of the text columns in the file, in the order of the table.
    public let texts: [Int]
    /// Index of the label column in the file; nil if none is in use.
    public let label: Int?
    /// Names of all the file's columns.
    public let header: [String]
    /// The same names, for a lookup in each row.
    let names: Set<String>

    /// The names of a label column; the first that is present wins.
    static let labelNames = ["label", "labels", "score", "scores"]

    /// Chooses among the columns of a file.
    ///
    /// - Parameters:
    ///   - header: the names of all columns.
    ///   - columns: those in use, label included, in order; nil uses all.
    ///   - source: where the names are written, for messages.
    /// - Throws: a data error for a name that occurs twice or is unknown, and where no text column is left.
    public init(header: [String], columns: [String]?, source: String) throws(TuttiError) {
        func flawed(_ problem: String, _ hint: String?) -> TuttiError {
            TuttiError(.data, "read columns", source, problem, hint: hint)
        }
        var names: Set<String> = []
        for name in header where !names.insert(name).inserted && !name.isEmpty {
            throw flawed("duplicate column '\(name)'", "Column names must be unique.")
        }
        self.names = names
        var places: [Int] = []
        if let columns {
            for (number, name) in columns.enumerated() {
                guard let place = header.firstIndex(of: name) else {
                    throw flawed("no such column '\(name)'", TuttiError.hint(unknown: name, known: header))
                }
                if columns[..<number].contains(name) {
                    throw flawed("columns: duplicate '\(name)'", "Name every column once.")
                }
                places.append(place)
            }
        } else {
            places = Array(header.indices)
        }
        for place in places where header[place].isEmpty {
            throw flawed(
                "column \(place + 1) has no name",
                "Name the columns to use with columns:, for instance columns: [anchor, positive].")
        }
        let label = ColumnSelection.labelNames.lazy.compactMap { name in places.first { header[$0] == name } }.first
        self.texts = places.filter { $0 != label }
        self.label = label
        self.header = header
        guard !texts.isEmpty else {
            throw flawed(
                "no text column",
                "The columns in use are: \(places.map { header[$0] }.joined(separator: ", ")).")
        }
    }

    /// A builder of the table with these columns.
    public func builder(source: String) -> TableBuilder {
        TableBuilder(textNames: texts.map { header[$0] }, labelName: label.map { header[$0] }, source: source)
    }
}
