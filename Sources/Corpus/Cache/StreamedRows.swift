// The first rows of a source that can be read once, in the files of a `RowStore`: as many as a run trains on, so that it
// needs the source no more, and every rank finds the same rows whatever their number.
//
// The folder belongs to one run: it is deleted once all ranks have opened its files. A run that is resumed reads the source
// again; its rows must be the same, which their digest tells.

import Foundation
import TuttiFormats
import TuttiGround

/// Reads streams into the cache.
struct StreamedRows {
    private let specification: DatasetSpecification
    private let path: String
    private let isLines: Bool
    private var options: ReaderOptions
    private let reader: any DatasetReader.Type

    /// A stream at the only path of `specification`.
    ///
    /// Throws: `.usage` for a format that cannot be read in pieces.
    init(_ specification: DatasetSpecification) throws(TuttiError) {
        self.specification = specification
        path = specification.paths[0]
        options = specification.options
        let ending = DatasetReaders.fileExtension(of: path)
        // Process substitution has names without an extension.
        let isUnnamed = ending.isEmpty && options.delimiter == nil
        reader = isUnnamed ? JSONLinesReader.self : try DatasetReaders.reader(for: path, options: options)
        guard specification.paths.count == 1, FileCompression(extensionOf: path) == nil,
            reader == JSONLinesReader.self || reader == PlainTextReader.self || reader == CSVReader.self
                || reader == TSVReader.self
        else {
            throw TuttiError(
                .usage, "read the stream", path, "a pipe is read as JSON lines, separated values or lines of text",
                hint: "Name it .jsonl, .csv, .tsv or .txt, and unpack what is written to it.")
        }
        isLines = reader == JSONLinesReader.self || reader == PlainTextReader.self
    }

    private var delimiter: Unicode.Scalar { options.delimiter ?? (reader == TSVReader.self ? "\t" : ",") }

    /// Reads at most `count` rows into `folder`.
    ///
    /// - Throws: as reading a file does, with the row after which a piece begins in place of lines; `.data` for columns of
    ///   lists.
    func write(rows count: Int, to folder: String) throws(TuttiError) {
        let first = specification.rows?.first ?? 0
        let writer = try RowStoreWriter(folder: folder, firstRow: first)
        let end = min(specification.rows?.end ?? Int.max, first + count)
        var pieces = try StreamPieces(
            path: path,
            form: isLines
                ? .lines
                : .separated(by: UInt8(delimiter.value), quote: options.quote.map { UInt8($0.value) }))
        defer { pieces.close() }
        var options = options
        options.sink = writer
        var head: Table?
        var header: [UInt8] = []
        while writer.rows < end, let more = try pieces.next() {
            let piece = header + more
            header = []
            if piece.allSatisfy({ $0 == 0x0A || $0 == 0x0D }) { continue }
            options.rowLimit = end - writer.rows
            let file = try MappedFile.inMemory(path: path, bytes: piece)
            let names = try head == nil && !isLines && options.header == .line ? self.names(file) : nil
            if let names, !names.hasRows {
                header = piece
                continue
            }
            try read(file, options, writer, &head)
            if let names { options.header = .names(names.all) }
        }
        guard let head else { throw TuttiError(.data, "read the stream", path, "ended without a row") }
        try writer.finish(of: head, source: path, notices: [], sources: [])
    }

    private func read(
        _ file: MappedFile, _ options: ReaderOptions, _ writer: RowStoreWriter, _ head: inout Table?
    ) throws(TuttiError) {
        let before = writer.rows
        let table: Table
        do throws(TuttiError) {
            table = try reader.read(file, columns: specification.columns, options: options)
        } catch {
            try writer.checkFailure(file: path, first: path)
            var error = error
            error.subject = path
            error.problem += " (in a piece that begins after row \(before))"
            throw error
        }
        try writer.checkFailure(file: path, first: path)
        try head?.checkJoins(table)
        head = head ?? table
    }

    /// The names in the first line, and whether a row follows.
    private func names(_ file: MappedFile) throws(TuttiError) -> (all: [String], hasRows: Bool) {
        var parser = CSVParser(file.bytes, source: path, separator: delimiter, quote: options.quote)
        var record = CSVRecord()
        _ = try parser.next(&record)
        let names = record.fields
        let hasRows = try parser.next(&record)
        return withExtendedLifetime(file) { (names, hasRows) }
    }
}
