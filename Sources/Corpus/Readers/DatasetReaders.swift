// Data sets by path: the registry of readers, and the choice of a reader by file extension.
//
// A new format is one file with a reader and one line in the registry, or `DatasetReaders.add` from outside the package.

import Synchronization
import TuttiFormats
import TuttiGround

/// A file format with rows of named columns.
public protocol DatasetReader: Sendable {
    /// The file extensions, lower case, without the dot.
    static var extensions: [String] { get }
    /// One line about the format, for help and documentation.
    static var summary: String { get }
    /// Reads the rows of `file`; `columns` selects and orders, label included, nil takes all.
    ///
    /// `ColumnSelection` says which columns become texts and which the label, and makes the builder of the table.
    ///
    /// Throws: `.data` naming file and line; `.usage` for options that do not apply to the format.
    static func read(_ file: MappedFile, columns: [String]?, options: ReaderOptions) throws(TuttiError) -> Table
}

/// The registry of readers.
public enum DatasetReaders {
    /// One line a reader, in the order of the documentation.
    private static let builtIn: [any DatasetReader.Type] = [
        CSVReader.self,
        TSVReader.self,
        JSONReader.self,
        JSONLinesReader.self,
    ]
    private static let added = Mutex<[any DatasetReader.Type]>([])

    /// All readers, those of the package first.
    public static var all: [any DatasetReader.Type] { builtIn + added.withLock { $0 } }

    /// Adds a reader from outside the package; of two for one extension, the later counts.
    public static func add(_ reader: any DatasetReader.Type) {
        for ending in reader.extensions {
            precondition(
                !builtIn.contains { $0.extensions.contains(ending) }, "DatasetReaders: .\(ending) is built in")
        }
        added.withLock { $0.insert(reader, at: 0) }
    }

    /// Extensions that are known but refused, with a workaround.
    static let refused: [String: String] = [
        "gz": "Unpack it first: gunzip --keep FILE.",
        "zst": "Unpack it first: unzstd FILE.",
        "parquet":
            "Convert it first, with pandas: pandas.read_parquet(\"F.parquet\").to_csv(\"F.csv\", index=False).",
        "arrow": "Save the data set as CSV or JSON lines first: dataset.to_csv(\"F.csv\").",
    ]

    /// The reader for the file at `path`.
    ///
    /// Throws: `.data` for an unsupported format, with a workaround.
    public static func reader(
        for path: String, options: ReaderOptions = ReaderOptions()
    ) throws(TuttiError) -> any DatasetReader.Type {
        let ending = fileExtension(of: path)
        let all = all
        if let reader = all.first(where: { $0.extensions.contains(ending) }) { return reader }
        if let refusal = refusal(of: path) { throw refusal }
        if options.delimiter != nil { return CSVReader.self }  // the extension does not matter
        let known = all.flatMap { $0.extensions }.map { "." + $0 }.joined(separator: ", ")
        throw TuttiError(
            .data, "read table", path,
            ending.isEmpty ? "has no extension" : "files with the extension .\(ending) are not supported",
            hint: "A data set is a file with one of the extensions \(known); with delimiter: any other is read as "
                + "separated values.")
    }

    /// The error for a known format that is not supported yet, or nil.
    static func refusal(of path: String) -> TuttiError? {
        let ending = fileExtension(of: path)
        guard !isRead(ending) else { return nil }
        return refused[ending].map {
            TuttiError(.data, "read table", path, ".\(ending) files are not supported yet", hint: $0)
        }
    }

    /// Whether a reader reads files with this extension.
    static func isRead(_ ending: String) -> Bool { all.contains { $0.extensions.contains(ending) } }

    static func fileExtension(of path: String) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        guard let point = name.lastIndex(of: "."), point != name.startIndex else { return "" }
        return name[name.index(after: point)...].lowercased()
    }
}

/// Reads the data set of `specification`.
///
/// Throws: `.missingFile`; `.data` naming file and line for anything but a table of texts and numeric labels.
public func loadTable(_ specification: DatasetSpecification) throws(TuttiError) -> Table {
    // A missing file is reported as missing, whatever its extension.
    let file = try MappedFile(path: specification.path)
    let reader = try DatasetReaders.reader(for: specification.path, options: specification.options)
    return try reader.read(file, columns: specification.columns, options: specification.options)
}
