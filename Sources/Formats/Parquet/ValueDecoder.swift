// The values of a page, one at a time, whatever their encoding.
//
// Reference: Encodings.md in apache/parquet-format.

import TuttiGround

/// Reads the values of one page in order.
enum ValueDecoder {
    case plain(BoundedReader)
    case plainBits(BitReader)
    case runs(RunDecoder)
    case dictionary(RunDecoder, [JSONValue])
    case deltas(DeltaDecoder)
    case deltaLengths(DeltaDecoder, BoundedReader)
    case deltaBytes(prefixes: DeltaDecoder, suffixes: DeltaDecoder, BoundedReader, last: [UInt8])
    case byteStreams(UnsafeRawBufferPointer, width: Int, next: Int)
    /// A page without values.
    case none

    /// The decoder of `page`, a page of data; `dictionary` has the values of the chunk's dictionary, if it has one.
    init(_ page: ParquetPage, of leaf: ParquetLeaf, dictionary: [JSONValue]?) throws(Damage) {
        let bytes = page.values
        guard !bytes.isEmpty else {
            self = .none
            return
        }
        switch page.encoding {
        case .plain:
            if case .boolean = leaf.type {
                self = .plainBits(BitReader(bytes))
            } else {
                self = .plain(BoundedReader(bytes))
            }
        case .plainDictionary, .dictionary:
            guard let dictionary else { throw Damage("refers to a dictionary, and there is none") }
            var reader = BoundedReader(bytes)
            let width = Int(try reader.byte())
            guard width <= 32 else { throw Damage("has indices of \(width) bits") }
            self = .dictionary(RunDecoder(try reader.take(reader.left), width: width), dictionary)
        case .runs:
            guard case .boolean = leaf.type else { throw ValueDecoder.unfit(page.encoding, leaf) }
            var reader = BoundedReader(bytes)
            let length = Int(try reader.number(UInt32.self))
            self = .runs(RunDecoder(try reader.take(length), width: 1))
        case .deltas:
            switch leaf.type {
            case .int32, .int64: self = .deltas(try DeltaDecoder(bytes))
            default: throw ValueDecoder.unfit(page.encoding, leaf)
            }
        case .deltaLengths:
            guard case .bytes = leaf.type else { throw ValueDecoder.unfit(page.encoding, leaf) }
            let lengths = try DeltaDecoder(bytes)
            self = .deltaLengths(lengths, BoundedReader(try lengths.rest()))
        case .deltaBytes:
            switch leaf.type {
            case .bytes, .fixed: break
            default: throw ValueDecoder.unfit(page.encoding, leaf)
            }
            let prefixes = try DeltaDecoder(bytes)
            let suffixes = try DeltaDecoder(try prefixes.rest())
            self = .deltaBytes(
                prefixes: prefixes, suffixes: suffixes, BoundedReader(try suffixes.rest()), last: [])
        case .byteStreams:
            guard let width = leaf.type.width else { throw ValueDecoder.unfit(page.encoding, leaf) }
            guard bytes.count % width == 0 else { throw Damage("\(bytes.count) bytes are not values of \(width)") }
            self = .byteStreams(bytes, width: width, next: 0)
        case .bitPacked: throw Damage("has the old encoding BIT_PACKED, which is not supported")
        case .alp: throw Damage("has the encoding ALP, which is not supported")
        }
    }

    private static func unfit(_ encoding: ParquetEncoding, _ leaf: ParquetLeaf) -> Damage {
        Damage("has values of type \(leaf.type) in the encoding \(encoding), which does not hold them")
    }

    /// The values of a dictionary page.
    static func dictionary(_ page: ParquetPage, of leaf: ParquetLeaf) throws(Damage) -> [JSONValue] {
        guard page.encoding == .plain || page.encoding == .plainDictionary else {
            throw Damage("has a dictionary in the encoding \(page.encoding)")
        }
        // Every value but a boolean takes at least a byte.
        guard page.count <= page.values.count * 8 else { throw .endsEarly }
        var decoder: ValueDecoder = .plain(BoundedReader(page.values))
        if case .boolean = leaf.type { decoder = .plainBits(BitReader(page.values)) }
        var values: [JSONValue] = []
        values.reserveCapacity(page.count)
        for _ in 0..<page.count { values.append(try decoder.next(leaf)) }
        return values
    }

    /// The next value.
    mutating func next(_ leaf: ParquetLeaf) throws(Damage) -> JSONValue {
        switch self {
        case .plain(var reader):
            self = .none  // so that the reader is not shared while it moves
            defer { self = .plain(reader) }
            switch leaf.type {
            case .int32, .float: return leaf.value(bits: UInt64(try reader.number(UInt32.self)))
            case .int64, .double: return leaf.value(bits: try reader.number(UInt64.self))
            case .fixed(let width): return try ValueDecoder.checked(leaf.value(bytes: try reader.take(width)))
            case .bytes, .boolean:
                return try ValueDecoder.checked(leaf.value(bytes: try reader.take(Int(try reader.number(UInt32.self)))))
            }
        case .plainBits(var bits):
            defer { self = .plainBits(bits) }
            return leaf.value(bits: try bits.next(1))
        case .runs(var runs):
            defer { self = .runs(runs) }
            return leaf.value(bits: UInt64(try runs.next()))
        case .dictionary(var runs, let values):
            self = .none
            defer { self = .dictionary(runs, values) }
            let index = try runs.next()
            guard index < values.count else { throw Damage("has index \(index) into a dictionary of \(values.count)") }
            return values[index]
        case .deltas(var deltas):
            defer { self = .deltas(deltas) }
            return leaf.value(bits: UInt64(bitPattern: try deltas.next()))
        case .deltaLengths(var lengths, var reader):
            defer { self = .deltaLengths(lengths, reader) }
            return try ValueDecoder.checked(leaf.value(bytes: try reader.take(Int(try lengths.next()))))
        case .deltaBytes(var prefixes, var suffixes, var reader, var last):
            self = .none
            defer { self = .deltaBytes(prefixes: prefixes, suffixes: suffixes, reader, last: last) }
            let kept = try prefixes.next()
            guard kept >= 0, kept <= last.count else { throw Damage("keeps \(kept) bytes of a value of \(last.count)") }
            last.removeLast(last.count - Int(kept))
            last.append(contentsOf: try reader.take(Int(try suffixes.next())))
            if case .fixed(let width) = leaf.type, last.count != width {
                throw Damage("has a value of \(last.count) bytes, not \(width)")
            }
            return try ValueDecoder.checked(leaf.value(bytes: last))
        case .byteStreams(let bytes, let width, let next):
            let count = bytes.count / width
            guard next < count else { throw .endsEarly }
            self = .byteStreams(bytes, width: width, next: next + 1)
            if case .fixed = leaf.type {
                return try ValueDecoder.checked(leaf.value(bytes: (0..<width).map { bytes[$0 * count + next] }))
            }
            var bits: UInt64 = 0
            for place in (0..<width).reversed() { bits = bits << 8 | UInt64(bytes[place * count + next]) }
            return leaf.value(bits: bits)
        case .none: throw .endsEarly
        }
    }

    private static func checked(_ value: JSONValue?) throws(Damage) -> JSONValue {
        guard let value else { throw Damage("has a text that is not valid UTF-8") }
        return value
    }
}
