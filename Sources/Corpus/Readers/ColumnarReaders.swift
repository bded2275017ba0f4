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

/// The rows of a file that stores columns as objects, with those of its columns that are in `columns`.
///
/// Throws: `.data` as the readers do; nil for a file of another format.
package func columnarObjects(_ file: MappedFile, columns: [String]) throws(TuttiError) -> [JSONObject]? {
    let ending = DatasetReaders.fileExtension(of: file.path)
    let names: [String]
    var rows: any ColumnarRows
    if ParquetReader.extensions.contains(ending) {
        let parquet = try ParquetFile(file)
        names = parquet.columnNames.filter { columns.contains($0) }
        rows = try parquet.rows(of: parquet.columnNames.indices.filter { columns.contains(parquet.columnNames[$0]) })
    } else if ArrowReader.extensions.contains(ending) {
        let arrow = try ArrowFile(file)
        names = arrow.columnNames.filter { columns.contains($0) }
        rows = try arrow.rows(of: arrow.columnNames.indices.filter { columns.contains(arrow.columnNames[$0]) })
    } else {
        return nil
    }
    var cells: [JSONValue] = []
    var objects: [JSONObject] = []
    while try rows.next(&cells) {
        var object = JSONObject()
        for (name, cell) in zip(names, cells) { object[name] = cell }
        objects.append(object)
    }
    return withExtendedLifetime(file) { objects }
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
