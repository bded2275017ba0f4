// The pages of a column chunk: headers, compression, levels.
//
// Version 1 compresses a page whole, its levels have lengths in front; version 2 leaves the levels as they are, with their
// lengths in the header. Repetition levels come first, then definition levels, then values.

import TuttiGround

/// The compression of pages.
enum ParquetCodec: Int {
    case none, snappy, gzip, lzo, brotli, lz4Hadoop, zstd, lz4

    /// How to unpack; nil for bytes as they are.
    fileprivate func block() throws(Damage) -> BlockCompression? {
        switch self {
        case .none: nil
        case .snappy: .snappy
        case .gzip: .gzip
        case .lz4Hadoop: .lz4Hadoop
        case .zstd: .zstd
        case .lz4: .lz4
        case .lzo: throw Damage("is compressed with LZO, which is not supported")
        case .brotli: throw Damage("is compressed with Brotli, which is not supported")
        }
    }
}

/// How the values of a page are written.
enum ParquetEncoding: Int {
    case plain = 0
    case plainDictionary = 2
    case runs = 3
    case bitPacked = 4
    case deltas = 5
    case deltaLengths = 6
    case deltaBytes = 7
    case dictionary = 8
    case byteStreams = 9
    case alp = 10
}

/// A page, unpacked.
struct ParquetPage {
    enum Kind { case data, dictionary }

    let kind: Kind
    /// Values, with absent ones.
    let count: Int
    let encoding: ParquetEncoding
    /// Repetition and definition levels; nil where all are zero.
    var repetitions: RunDecoder?
    var definitions: RunDecoder?
    /// The values, encoded. They are in `owner`, or else in the file.
    let values: UnsafeRawBufferPointer
    let owner: OwnedBytes?
}

/// Reads the pages of a chunk in order.
struct ParquetPages {
    private var reader: BoundedReader
    private let codec: ParquetCodec
    private let widths: (repetition: Int, definition: Int)
    /// How many pages were read.
    private(set) var count = 0

    /// The pages of `chunk` in the file's `bytes`.
    init(_ chunk: ParquetChunk, of leaf: ParquetLeaf, in bytes: UnsafeRawBufferPointer) {
        reader = BoundedReader(UnsafeRawBufferPointer(rebasing: bytes[chunk.range]))
        codec = chunk.codec
        widths = (bitWidth(of: leaf.lists.count), bitWidth(of: leaf.definition))
    }

    /// The next page of values or of a dictionary.
    mutating func next() throws(Damage) -> ParquetPage {
        while true {
            guard reader.left > 0 else { throw Damage("has fewer values than its metadata say") }
            count += 1
            let header = try ThriftStructure(&reader)
            let unpacked = try header.count(2, "the length of a page")
            let stored = try reader.take(try header.count(3, "the stored length of a page"))
            if let checksum = try header.integer(4), UInt32(truncatingIfNeeded: checksum) != crc32(stored) {
                throw Damage("its checksum is wrong: the file is damaged")
            }
            switch try header.count(1, "the type of a page") {
            case 0:
                guard let data = try header.structure(5) else { throw Damage("has no header of data") }
                return try first(data, stored, unpacked)
            case 2:
                guard let data = try header.structure(7) else { throw Damage("has no header of a dictionary") }
                let (bytes, owner) = try unpack(stored, unpacked)
                return ParquetPage(
                    kind: .dictionary, count: try data.count(1, "the number of values"),
                    encoding: try encoding(data, 2), values: bytes, owner: owner)
            case 3:
                guard let data = try header.structure(8) else { throw Damage("has no header of data") }
                return try second(data, stored, unpacked)
            default: continue  // an index, or a kind of a later version
            }
        }
    }

    private func encoding(_ header: ThriftStructure, _ id: Int) throws(Damage) -> ParquetEncoding {
        let code = try header.count(id, "the encoding")
        guard let encoding = ParquetEncoding(rawValue: code) else { throw Damage("has the unknown encoding \(code)") }
        return encoding
    }

    private func unpack(
        _ stored: UnsafeRawBufferPointer, _ length: Int
    ) throws(Damage) -> (bytes: UnsafeRawBufferPointer, owner: OwnedBytes?) {
        guard let block = try codec.block() else {
            guard stored.count == length else { throw Damage("has \(stored.count) bytes, not \(length)") }
            return (stored, nil)
        }
        let owner = try block.unpack(stored, count: length)
        return (owner.bytes, owner)
    }

    /// A page of version 1.
    private func first(
        _ header: ThriftStructure, _ stored: UnsafeRawBufferPointer, _ length: Int
    ) throws(Damage) -> ParquetPage {
        let (bytes, owner) = try unpack(stored, length)
        var reader = BoundedReader(bytes)
        func levels(_ width: Int, _ id: Int) throws(Damage) -> RunDecoder? {
            guard width > 0 else { return nil }
            guard try encoding(header, id) == .runs else {
                throw Damage("has levels in the old encoding BIT_PACKED, which is not supported")
            }
            let length = Int(try reader.number(UInt32.self))
            return RunDecoder(try reader.take(length), width: width)
        }
        let repetitions = try levels(widths.repetition, 4)
        let definitions = try levels(widths.definition, 3)
        return ParquetPage(
            kind: .data, count: try header.count(1, "the number of values"), encoding: try encoding(header, 2),
            repetitions: repetitions, definitions: definitions, values: try reader.take(reader.left), owner: owner)
    }

    /// A page of version 2.
    private func second(
        _ header: ThriftStructure, _ stored: UnsafeRawBufferPointer, _ length: Int
    ) throws(Damage) -> ParquetPage {
        var reader = BoundedReader(stored)
        let lengths = (
            definition: try header.count(5, "the length of levels"),
            repetition: try header.count(6, "the length of levels")
        )
        let repetitions = try reader.take(lengths.repetition)
        let definitions = try reader.take(lengths.definition)
        let rest = try reader.take(reader.left)
        let levels = lengths.repetition + lengths.definition
        guard length >= levels else { throw Damage("has \(length) bytes, and levels of \(levels)") }
        let isCompressed = try header.truth(7) ?? true
        // Some writers call an empty rest compressed.
        let isPacked = isCompressed && !(rest.isEmpty && length == levels)
        let (bytes, owner) = isPacked ? try unpack(rest, length - levels) : (rest, nil)
        return ParquetPage(
            kind: .data, count: try header.count(1, "the number of values"), encoding: try encoding(header, 4),
            repetitions: widths.repetition > 0 ? RunDecoder(repetitions, width: widths.repetition) : nil,
            definitions: widths.definition > 0 ? RunDecoder(definitions, width: widths.definition) : nil,
            values: bytes, owner: owner)
    }
}

/// The bits that a number from 0 to `greatest` takes.
func bitWidth(of greatest: Int) -> Int { Int.bitWidth - greatest.leadingZeroBitCount }
