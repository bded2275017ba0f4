// A record batch: the lengths of its fields and the places of their buffers, in the order of the schema, depth first.
// Only the fields in use are unpacked.
//
// Reference: format/Message.fbs in apache/arrow.

/// Reads the fields of a batch.
struct ArrowBatch {
    /// The number of rows.
    let rows: Int
    private let body: UnsafeRawBufferPointer
    private let nodes: [[Int64]]
    private let buffers: [[Int64]]
    private let variadic: [[Int64]]
    private let compression: BlockCompression?
    private var nextNode = 0
    private var nextBuffer = 0
    private var nextVariadic = 0

    /// The batch that `table` describes, whose buffers are in `body`.
    init(_ table: FlatTable, body: UnsafeRawBufferPointer) throws(Damage) {
        let length = try table.number(0, default: Int64(0))
        guard length >= 0, length <= Int64(Int32.max) else { throw Damage("has a batch of \(length) rows") }
        rows = Int(length)
        self.body = body
        nodes = try table.words(1, each: 2)
        buffers = try table.words(2, each: 2)
        variadic = try table.words(4, each: 1)
        if let compressed = try table.table(3) {
            switch try compressed.number(0, default: Int8(0)) {
            case 0: compression = .lz4Frame
            case 1: compression = .zstd
            case let codec: throw Damage("has the unknown codec \(codec)")
            }
        } else {
            compression = nil
        }
    }

    /// The values of `field`, the next of the schema; nil, passing over it, unless `isUsed`.
    mutating func array(
        _ field: ArrowField, isUsed: Bool, dictionaries: [Int64: [ArrowArray]]
    ) throws(Damage) -> ArrowArray? {
        guard nextNode < nodes.count else { throw Damage("has fewer fields than its schema") }
        let (count, absent) = (nodes[nextNode][0], nodes[nextNode][1])
        nextNode += 1
        guard count >= 0, count <= Int64(Int32.max) else { throw Damage("has a field of \(count) values") }
        if let (id, index) = field.dictionary {
            let validity = try buffer(isUsed && absent != 0)
            let indices = try buffer(isUsed)
            guard isUsed else { return nil }
            guard let values = dictionaries[id] else { throw Damage("refers to dictionary \(id), and there is none") }
            return ArrowArray(
                index, count: Int(count), validity: bits(validity), buffers: [indices], child: nil, dictionary: values)
        }
        var validity: ArrowBuffer?
        var taken: [ArrowBuffer] = []
        let layout = field.type.layout
        for number in 0..<layout.buffers {
            let isValidity = number == 0 && layout.hasValidity
            let next = try buffer(isUsed && !(isValidity && absent == 0))
            if isValidity { validity = bits(next) } else { taken.append(next) }
        }
        if layout.isVariadic {
            guard nextVariadic < variadic.count else { throw Damage("has a field without its count of buffers") }
            let more = variadic[nextVariadic][0]
            nextVariadic += 1
            guard more >= 0, more <= Int64(buffers.count) else { throw Damage("has a field of \(more) buffers") }
            for _ in 0..<more { taken.append(try buffer(isUsed)) }
        }
        var child: ArrowArray?
        for inner in field.children {
            child = try array(inner, isUsed: isUsed, dictionaries: dictionaries)
        }
        guard isUsed else { return nil }
        return ArrowArray(
            field.type, count: Int(count), validity: validity, buffers: taken, child: child, dictionary: nil)
    }

    /// Bits of validity; a buffer without bytes says that all values are there.
    private func bits(_ buffer: ArrowBuffer) -> ArrowBuffer? { buffer.bytes.isEmpty ? nil : buffer }

    /// The next buffer; empty, passing over it, unless `isUsed`.
    private mutating func buffer(_ isUsed: Bool) throws(Damage) -> ArrowBuffer {
        guard nextBuffer < buffers.count else { throw Damage("has fewer buffers than its schema") }
        let (offset, length) = (buffers[nextBuffer][0], buffers[nextBuffer][1])
        nextBuffer += 1
        guard offset >= 0, length >= 0, offset <= Int64(body.count), length <= Int64(body.count) - offset else {
            throw Damage("has a buffer outside of its batch")
        }
        let bytes = UnsafeRawBufferPointer(rebasing: body[Int(offset)..<Int(offset + length)])
        guard isUsed, !bytes.isEmpty else {
            return ArrowBuffer(bytes: UnsafeRawBufferPointer(start: nil, count: 0), owner: nil)
        }
        guard let compression else { return ArrowBuffer(bytes: bytes, owner: nil) }
        var reader = BoundedReader(bytes)
        let unpacked = try reader.number(Int64.self)
        let rest = try reader.take(reader.left)
        if unpacked == -1 { return ArrowBuffer(bytes: rest, owner: nil) }
        guard unpacked >= 0, unpacked <= Int64(1) << 40 else { throw Damage("has a buffer of \(unpacked) bytes") }
        let owner = try compression.unpack(rest, count: Int(unpacked))
        return ArrowBuffer(bytes: owner.bytes, owner: owner)
    }
}

extension ArrowType {
    /// The buffers of a field of this type, and whether the first says which values are there.
    fileprivate var layout: (buffers: Int, hasValidity: Bool, isVariadic: Bool) {
        switch self {
        case .null: (0, false, false)
        case .boolean, .integer, .float, .decimal, .list: (2, true, false)
        case .text, .listView: (3, true, false)
        case .textView: (2, true, true)
        case .fixedList: (1, true, false)
        case .other(_, let buffers, let isVariadic): (buffers, false, isVariadic)
        }
    }
}
