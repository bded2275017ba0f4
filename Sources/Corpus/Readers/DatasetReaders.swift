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
        ParquetReader.self,
        ArrowReader.self,
        PlainTextReader.self,
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
        "zip": "Unpack it first: unzip FILE.",
        "tar": "Unpack it first: tar -xf FILE.",
        "tgz": "Unpack it first: tar -xf FILE.",
        "7z": "Unpack it first.",
        "lz4": "Unpack it first: unlz4 FILE.",
        "xlsx": "Save the sheet as CSV first.",
        "orc": "Convert it first, with pandas: pandas.read_orc(\"F.orc\").to_parquet(\"F.parquet\").",
        "pkl": "Save the data as Parquet or JSON lines first.",
    ]

    /// The reader for the file at `path`.
    ///
    /// Throws: `.data` for an unsupported format, with a workaround.
    public static func reader(
        for path: String, options: ReaderOptions = ReaderOptions()
    ) throws(TuttiError) -> any DatasetReader.Type {
        let ending = fileExtension(of: path)
        let all = all
        // A delimiter makes separated values of a text file too.
        let isText = options.delimiter != nil && PlainTextReader.extensions.contains(ending)
        if !isText, let reader = all.first(where: { $0.extensions.contains(ending) }) { return reader }
        if let refusal = refusal(of: path) { throw refusal }
        if options.delimiter != nil { return CSVReader.self }  // the extension does not matter
        let known = all.flatMap { $0.extensions }.map { "." + $0 }.joined(separator: ", ")
        throw TuttiError(
            .data, "read table", path,
            ending.isEmpty ? "has no extension" : "files with the extension .\(ending) are not supported",
            hint: "A data set is a file with one of the extensions \(known); with delimiter: any other is read as "
                + "separated values.")
    }

    /// The error for a known format that is not supported, or nil.
    static func refusal(of path: String) -> TuttiError? {
        let ending = fileExtension(of: path)
        guard !isRead(ending) else { return nil }
        return refused[ending].map {
            TuttiError(.data, "read table", path, ".\(ending) files are not supported", hint: $0)
        }
    }

    /// Whether a reader is one of the package.
    static func isBuiltIn(_ reader: any DatasetReader.Type) -> Bool { builtIn.contains { $0 == reader } }

    /// Whether a reader reads files with this extension.
    static func isRead(_ ending: String) -> Bool { all.contains { $0.extensions.contains(ending) } }

    /// Whether the folder at `path` holds a data set.
    package static func hasTables(_ path: String) -> Bool { DatasetFiles.hasTables(path) }

    /// The files of `specification`, for readers of rows that are not of a table.
    ///
    /// Throws: `.missingFile`; `.usage` for a split that must be named, or is not there; `.data` for a retrieval data set.
    package static func files(of specification: DatasetSpecification) throws(TuttiError) -> [String] {
        var files: [String] = []
        for part in try DatasetFiles.parts(of: specification) {
            switch part {
            case .file(let path): files.append(path)
            case .retrieval(let folder, _):
                throw TuttiError(
                    .data, "find data", folder, "is a retrieval data set, where a file of rows is needed",
                    hint: "Name a file below it.")
            }
        }
        return files
    }

    /// The extension of `path` in lower case, without the dot; of a compressed file that of what is compressed.
    static func fileExtension(of path: String) -> String {
        var name = path.split(separator: "/").last.map(String.init) ?? path
        if let compression = FileCompression(extensionOf: name) {
            name.removeLast(compression.fileExtension.count + 1)
        }
        guard let point = name.lastIndex(of: "."), point != name.startIndex else { return "" }
        return name[name.index(after: point)...].lowercased()
    }
}

/// Reads the data set of `specification`, but for the share that `validation_split` puts aside.
///
/// Throws: `.missingFile`; `.data` naming file and line for anything but a table of texts and numeric labels.
public func loadTable(_ specification: DatasetSpecification) throws(TuttiError) -> Table {
    var options = specification.options
    options.takesAbsentTexts = specification.filter.empty
    var tables: [Table] = []
    var rowsSoFar = 0
    for part in try DatasetFiles.parts(of: specification) {
        if let end = specification.rows?.end {
            guard rowsSoFar < end else { break }
            options.rowLimit = end - rowsSoFar
        }
        switch part {
        case .file(let path):
            // A compressed file that is damaged, or a format that is not supported, is reported as such.
            if let refusal = DatasetReaders.refusal(of: path) { throw refusal }
            let file = try MappedFile.unpacked(path: path)
            let reader = try DatasetReaders.reader(for: path, options: options)
            let table = try reader.read(file, columns: specification.columns, options: options)
            tables.append(table.renamed(options.renames))
        case .retrieval(let folder, let judgements):
            tables.append(
                try RetrievalPairs.read(
                    folder, judgements: judgements, columns: specification.columns, options: options))
        }
        rowsSoFar += tables.last?.rowCount ?? 0
    }
    var table = try Table.joined(tables, source: specification.path)
    tables = []
    if let rows = specification.rows { table = try rows.rows(of: table) }
    table = try specification.filter.rows(of: table)
    if let shuffle = specification.shuffle { table = shuffle.rows(of: table) }
    return try table.settled(options.negatives ?? .all)
}
