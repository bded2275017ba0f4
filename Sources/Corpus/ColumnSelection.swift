// Which columns of a file become texts and which becomes the label.
//
// A column may be named twice (`columns: [text, text]`, for SimCSE): the second is NAME_2. `rename` gives columns other names
// before anything else looks at them. The label is the first of label, labels, score, scores among the columns in use; all others are texts, in the order of
// the file, or of `columns:` if the configuration selects them. Reference: SentenceTransformerDataCollator.

import TuttiFormats
import TuttiGround

/// The columns of a file in use.
public struct ColumnSelection: Sendable {
    /// Indices of the text columns in the file, in the order of the table.
    public let texts: [Int]
    /// Index of the label column in the file; nil if none is in use.
    public let label: Int?
    /// The number of text columns in use before the label; nil without one.
    let labelPlace: Int?
    /// Names of all the file's columns, after `rename`.
    public let header: [String]
    /// The same as they are in the file.
    public let fileHeader: [String]
    /// Names of the texts, each once.
    let textNames: [String]
    /// The file's names, for a lookup in each row.
    let fileNames: Set<String>

    /// The names of a label column; the first that is present wins.
    static let labelNames = ["label", "labels", "score", "scores"]

    /// Chooses among the columns of a file.
    ///
    /// - Parameters:
    ///   - header: the names of all columns.
    ///   - columns: those in use, label included, in order; nil uses all.
    ///   - source: where the names are written, for messages.
    ///   - options: what the configuration renames.
    /// - Throws: a data error for a name that occurs twice in the file or is unknown, and where no text column is left.
    public init(
        header fileHeader: [String], columns: [String]?, source: String, options: ReaderOptions = ReaderOptions()
    ) throws(TuttiError) {
        func flawed(_ problem: String, _ hint: String?) -> TuttiError {
            TuttiError(.data, "read columns", source, problem, hint: hint)
        }
        self.fileHeader = fileHeader
        for name in options.renames.keys.sorted() where !fileHeader.contains(name) {
            throw flawed(
                "rename: no such column '\(name)'", TuttiError.hint(unknown: name, known: fileHeader))
        }
        let header = fileHeader.map { options.renames[$0] ?? $0 }
        var names: Set<String> = []
        for name in header where !names.insert(name).inserted && !name.isEmpty {
            throw flawed("duplicate column '\(name)'", "Column names must be unique.")
        }
        fileNames = Set(fileHeader)
        var places: [Int] = []
        if let columns {
            for name in columns {
                guard let place = header.firstIndex(of: name) else {
                    throw flawed("no such column '\(name)'", TuttiError.hint(unknown: name, known: header))
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
        let texts = places.filter { $0 != label }
        self.texts = texts
        self.label = label
        labelPlace = label.flatMap { places.firstIndex(of: $0) }
        self.header = header
        if let label, places.count - texts.count > 1 {
            throw flawed("columns: the label '\(header[label])' is there twice", "Name it once.")
        }
        var textNames: [String] = []
        for place in texts {
            var name = header[place]
            var number = 1
            while textNames.contains(name) || number > 1 && names.contains(name) {
                number += 1
                name = "\(header[place])_\(number)"
            }
            textNames.append(name)
        }
        self.textNames = textNames
        guard !texts.isEmpty else {
            throw flawed(
                "no text column",
                "The columns in use are: \(places.map { header[$0] }.joined(separator: ", ")).")
        }
    }

    /// A builder of the table with these columns.
    ///
    /// With the options that a reader was given, its rows go where the options say: to a cache, and no more than wanted.
    public func builder(source: String, options: ReaderOptions = ReaderOptions()) -> TableBuilder {
        TableBuilder(
            textNames: textNames, labelName: label.map { header[$0] }, labelPlace: labelPlace, source: source,
            rowLimit: options.rowLimit, sink: options.sink)
    }
}
