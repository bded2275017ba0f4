// Writes a Parquet file that pyarrow, pandas, polars, duckdb, Spark and `datasets` read: texts, and lists of numbers.
//
// Row groups of at most 64 MiB of values, pages of about 1 MiB, which is all that is in memory at a time. Pages are of
// version 1, in the plain encoding, with checksums; those of texts and bytes are packed by zstd, which hardly makes floats
// smaller. Layout and field numbers: see ParquetFooter.swift.
// Reference: apache/parquet-format, parquet.thrift.

import CCompression
import TuttiGround

/// Writes tables as Parquet.
package enum ParquetWriter {
    /// How much is written together.
    package struct Limits: Sendable {
        /// Bytes of values of a row group; readers hold one at a time.
        package var group = 64 << 20
        /// Bytes of values of a page.
        package var page = 1 << 20

        /// 64 MiB and 1 MiB.
        package init() {}

        /// Other limits, each at least one row.
        package init(group: Int, page: Int) { (self.group, self.page) = (group, page) }
    }

    /// Writes the columns to the file `path`, durably and atomically; all have as many rows.
    ///
    /// Throws: `.retryable` naming the file and the reason; `.data` for a text of 2 GiB.
    package static func write(
        path: String, columns: [ParquetOutputColumn], limits: Limits = Limits()
    ) throws(TuttiError) {
        let rows = columns.first?.rowCount ?? 0
        precondition(columns.allSatisfy { $0.rowCount == rows }, "ParquetWriter: columns of different lengths")
        try AtomicWrite.file(path: path) { output throws(TuttiError) in
            var file = ParquetOutput(output, limits)
            try file.write(columns, rows: rows)
        }
    }
}

/// A file being written.
private struct ParquetOutput {
    private let output: OutputFile
    private let limits: ParquetWriter.Limits
    private var position = 0

    init(_ output: OutputFile, _ limits: ParquetWriter.Limits) {
        self.output = output
        self.limits = limits
    }

    mutating func write(_ columns: [ParquetOutputColumn], rows: Int) throws(TuttiError) {
        let magic = Array("PAR1".utf8)
        try put(magic)
        var groups: [ThriftWriter] = []
        var first = 0
        while first < rows {
            let end = ParquetOutput.end(from: first, rows, limits.group) { row in
                columns.reduce(0) { $0 + $1.size(of: row) }
            }
            groups.append(try group(columns, first..<end))
            first = end
        }
        var root = ThriftWriter()
        root.text(4, "schema")
        root.int(5, columns.count)
        var footer = ThriftWriter()
        footer.int(1, 2)
        footer.structures(2, [root] + columns.flatMap(\.schema))
        footer.long(3, rows)
        footer.structures(4, groups)
        footer.text(6, "tutti version \(tuttiVersion)")
        let bytes = footer.finished
        try put(bytes)
        try put((0..<4).map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) } + magic)
    }

    /// The end of the rows from `first` whose sizes add up to at most `limit`; at least one row.
    private static func end(from first: Int, _ rows: Int, _ limit: Int, size: (Int) -> Int) -> Int {
        var (end, bytes) = (first + 1, size(first))
        while end < rows {
            bytes += size(end)
            guard bytes <= limit else { break }
            end += 1
        }
        return end
    }

    private mutating func group(_ columns: [ParquetOutputColumn], _ rows: Range<Int>) throws(TuttiError) -> ThriftWriter
    {
        var chunks: [ThriftWriter] = []
        var sizes = (plain: 0, stored: 0)
        let start = position
        for column in columns {
            let offset = position
            var plain = 0
            var first = rows.lowerBound
            while first < rows.upperBound {
                let end = ParquetOutput.end(from: first, rows.upperBound, limits.page, size: column.size)
                plain += try page(column, first..<end)
                first = end
            }
            var meta = ThriftWriter()
            meta.int(1, column.type)
            meta.ints(2, [ParquetEncoding.plain.rawValue, ParquetEncoding.runs.rawValue])
            meta.texts(3, column.path)
            meta.int(4, (column.isPacked ? ParquetCodec.zstd : .none).rawValue)
            meta.long(5, rows.count * column.valuesOfRow)
            meta.long(6, plain)
            meta.long(7, position - offset)
            meta.long(9, offset)
            var chunk = ThriftWriter()
            chunk.long(2, 0)
            chunk.structure(3, meta)
            chunks.append(chunk)
            sizes.plain += plain
            sizes.stored += position - offset
        }
        var group = ThriftWriter()
        group.structures(1, chunks)
        group.long(2, sizes.plain)
        group.long(3, rows.count)
        group.long(5, start)
        group.long(6, sizes.stored)
        return group
    }

    /// Writes a page; its bytes with its header before they are packed.
    private mutating func page(_ column: ParquetOutputColumn, _ rows: Range<Int>) throws(TuttiError) -> Int {
        let size = rows.reduce(0) { $0 + column.size(of: $1) }
        guard size < Int(Int32.max) / 2 else {
            throw TuttiError(
                .data, "write Parquet", "\(output.path): column '\(column.name)', row \(rows.lowerBound + 1)",
                "has \(size) bytes, more than a page can hold", hint: "Leave the row out, or cut its text.")
        }
        var plain: [UInt8] = []
        plain.reserveCapacity(size + size / 8)
        column.append(rows, to: &plain)
        let stored = column.isPacked ? try packed(plain) : plain
        var data = ThriftWriter()
        data.int(1, rows.count * column.valuesOfRow)
        data.int(2, ParquetEncoding.plain.rawValue)
        data.int(3, ParquetEncoding.runs.rawValue)
        data.int(4, ParquetEncoding.runs.rawValue)
        var header = ThriftWriter()
        header.int(1, 0)  // a data page of version 1
        header.int(2, plain.count)
        header.int(3, stored.count)
        header.int(4, Int(Int32(bitPattern: stored.withUnsafeBytes { crc32($0) })))
        header.structure(5, data)
        let head = header.finished
        try put(head)
        try put(stored)
        return head.count + plain.count
    }

    private func packed(_ plain: [UInt8]) throws(TuttiError) -> [UInt8] {
        let bound = tutti_packed_bound(plain.count)
        let packed = [UInt8](unsafeUninitializedCapacity: bound) { target, count in
            count = plain.withUnsafeBufferPointer {
                tutti_pack_block($0.baseAddress, $0.count, target.baseAddress, target.count)
            }
        }
        guard !packed.isEmpty else {
            throw TuttiError(.retryable, "write Parquet", output.path, "there is no memory to pack a page")
        }
        return packed
    }

    private mutating func put(_ bytes: [UInt8]) throws(TuttiError) {
        try output.write(bytes)
        position += bytes.count
    }
}
