// The footer of a Parquet file: its schema, and where the chunks of every column are.
//
// Layout: "PAR1", pages, the footer (Thrift), its length in 4 bytes, "PAR1". Field numbers are those of parquet.thrift
// in apache/parquet-format. Encrypted files are refused; offsets and counts are held to the file.

import TuttiGround

/// The values of one column in one row group.
struct ParquetChunk {
    let codec: ParquetCodec
    /// Values, with absent ones and those of lists.
    let values: Int
    /// Where its pages are in the file.
    let range: Range<Int>
}

/// Rows that are stored together.
struct ParquetRowGroup {
    let rows: Int
    /// One for each leaf of the schema, in its order; nil where the chunk is encrypted or in another file.
    let chunks: [Result<ParquetChunk, Damage>]
}

/// The footer of a file.
struct ParquetFooter {
    /// The columns at the top of the schema.
    let columns: [ParquetColumn]
    let groups: [ParquetRowGroup]
    let rows: Int

    private static let magic: [UInt8] = Array("PAR1".utf8)

    /// Reads the footer of a file's `bytes`.
    init(_ bytes: UnsafeRawBufferPointer) throws(Damage) {
        if bytes.suffix(4).elementsEqual("PARE".utf8) { throw Damage("is encrypted, which is not supported") }
        guard bytes.count >= 12, bytes.starts(with: ParquetFooter.magic),
            bytes.suffix(4).elementsEqual(ParquetFooter.magic)
        else {
            let isOpen = bytes.starts(with: ParquetFooter.magic)
            throw Damage(isOpen ? "ends too early: its end is not \"PAR1\"" : "is not a Parquet file")
        }
        let length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt32.self)))
        guard length <= bytes.count - 12 else { throw Damage("has a footer of \(length) bytes, more than the file") }
        let start = bytes.count - 8 - length
        var reader = BoundedReader(UnsafeRawBufferPointer(rebasing: bytes[start..<start + length]))
        let footer = try ThriftStructure(&reader)
        guard !footer.has(8) else { throw Damage("is encrypted, which is not supported") }
        let schema = try ParquetSchema(try footer.structures(2))
        columns = schema.columns
        rows = try footer.count(3, "the number of rows")
        var groups: [ParquetRowGroup] = []
        for group in try footer.structures(4) {
            let chunks = try group.structures(1)
            guard chunks.count == schema.leaves else {
                throw Damage("has \(chunks.count) column chunks in a row group, \(schema.leaves) in its schema")
            }
            var read: [Result<ParquetChunk, Damage>] = []
            for chunk in chunks { read.append(ParquetFooter.chunk(chunk, end: start)) }
            groups.append(
                ParquetRowGroup(rows: try group.count(3, "the number of rows of a row group"), chunks: read))
        }
        self.groups = groups
        // Sums of numbers that the file is free to choose.
        var total = 0
        for group in groups {
            let (sum, overflows) = total.addingReportingOverflow(group.rows)
            guard !overflows else { throw Damage("has more rows than can be counted") }
            total = sum
        }
        guard total == rows else { throw Damage("has \(rows) rows, but its row groups have \(total)") }
    }

    private static func chunk(_ chunk: ThriftStructure, end: Int) -> Result<ParquetChunk, Damage> {
        do throws(Damage) {
            guard !chunk.has(8), !chunk.has(9) else { throw Damage("is encrypted, which is not supported") }
            guard !chunk.has(1) else { throw Damage("is in another file, which is not supported") }
            guard let meta = try chunk.structure(3) else { throw Damage("has no metadata") }
            let code = try meta.count(4, "the codec")
            guard let codec = ParquetCodec(rawValue: code) else { throw Damage("has the unknown codec \(code)") }
            let first = try meta.count(9, "the offset of its pages")
            let dictionary = try meta.integer(11) ?? 0
            let start = dictionary > 0 ? min(dictionary, first) : first
            let length = try meta.count(7, "the length of its pages")
            guard start <= end, length <= end - start else { throw Damage("lies outside of the file") }
            return .success(
                ParquetChunk(
                    codec: codec, values: try meta.count(5, "the number of its values"), range: start..<start + length))
        } catch {
            return .failure(error)
        }
    }
}
