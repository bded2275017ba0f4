// Files that store columns: Parquet, and Arrow IPC, which `datasets` saves. Cells come as JSON values, and what a row of JSON
// lines may hold a row of these may hold too: texts, labels, lists of texts.

import TuttiFormats
import TuttiGround

/// Parquet.
package enum ParquetReader: DatasetReader {
    /// The file extensions.
    package static let extensions = ["parquet", "pq"]
    /// One line about the format.
    package static let summary = "Parquet, as pyarrow, pandas, polars, duckdb and Spark write it"

    /// Reads the rows of `file`.
    package static func read(
        _ file: MappedFile, columns: [String]?, options: ReaderOptions
    ) throws(TuttiError) -> Table {
        try JSONRows.check(options, file, format: "Parquet")
        let parquet = try ParquetFile(file)
        return try table(file, names: parquet.columnNames, columns: columns, options) { (used) throws(TuttiError) in
            try parquet.rows(of: used)
        }
    }
}

/// Arrow IPC, files and streams.
package enum ArrowReader: DatasetReader {
    /// The file extensions.
    package static let extensions = ["arrow", "feather", "ipc"]
    /// One line about the format.
    package static let summary = "Arrow IPC: Feather, and what datasets.save_to_disk writes"

    /// Reads the rows of `file`.
    package static func read(
        _ file: MappedFile, columns: [String]?, options: ReaderOptions
    ) throws(TuttiError) -> Table {
        try JSONRows.check(options, file, format: "Arrow")
        let arrow = try ArrowFile(file)
        return try table(file, names: arrow.columnNames, columns: columns, options) { (used) throws(TuttiError) in
            try arrow.rows(of: used)
        }
    }
}

/// The rows of a file that stores columns as objects, one at a time.
package struct ColumnarObjects {
    private let file: MappedFile
    private let names: [String]
    private var rows: any ColumnarRows
    private var cells: [JSONValue] = []

    /// The rows of `file`, with those of its columns that are in `columns`; nil for a file of another format.
    ///
    /// Throws: `.data` as the readers do.
    package init?(_ file: MappedFile, columns: [String]) throws(TuttiError) {
        let ending = DatasetReaders.fileExtension(of: file.path)
        func places(_ all: [String]) -> [Int] { all.indices.filter { columns.contains(all[$0]) } }
        if ParquetReader.extensions.contains(ending) {
            let parquet = try ParquetFile(file)
            names = parquet.columnNames.filter { columns.contains($0) }
            rows = try parquet.rows(of: places(parquet.columnNames))
        } else if ArrowReader.extensions.contains(ending) {
            let arrow = try ArrowFile(file)
            names = arrow.columnNames.filter { columns.contains($0) }
            rows = try arrow.rows(of: places(arrow.columnNames))
        } else {
            return nil
        }
        self.file = file
    }

    /// The next row; nil at the end.
    ///
    /// Throws: `.data` naming the place.
    package mutating func next() throws(TuttiError) -> JSONObject? {
        guard try rows.next(&cells) else { return nil }
        var object = JSONObject()
        for (name, cell) in zip(names, cells) { object[name] = cell }
        return object
    }
}

/// The table of the columns in use.
private func table<Rows: ColumnarRows>(
    _ file: MappedFile, names: [String], columns: [String]?, _ options: ReaderOptions,
    rows: ([Int]) throws(TuttiError) -> Rows
) throws(TuttiError) -> Table {
    let selection = try ColumnSelection(header: names, columns: columns, source: file.path, options: options)
    var source = try rows(selection.texts + (selection.label.map { [$0] } ?? []))
    var collector = RowCollector(selection, options: options, source: file.path)
    var cells: [JSONValue] = []
    var row = 0
    while !collector.isFull, try source.next(&cells) {
        row += 1
        try collector.append(cells, place: "\(file.path): row \(row)")
    }
    return try withExtendedLifetime(file) { () throws(TuttiError) in try collector.table() }
}
