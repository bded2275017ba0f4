// Flatbuffers, read only: the messages of Arrow. Every offset is held to the bytes of the message.
//
// Reference: flatbuffers.dev/internals: a table starts with the distance to its list of field offsets.

/// A table of a flatbuffer.
struct FlatTable {
    private let bytes: UnsafeRawBufferPointer
    private let start: Int
    /// Where the fields are, relative to `start`, behind two lengths.
    private let fields: Range<Int>

    /// The root of a message, whose `bytes` must stay valid.
    init(root bytes: UnsafeRawBufferPointer) throws(Damage) {
        try self.init(bytes, at: Int(try FlatTable.load(bytes, 0, UInt32.self)))
    }

    private init(_ bytes: UnsafeRawBufferPointer, at start: Int) throws(Damage) {
        let list = start - Int(try FlatTable.load(bytes, start, Int32.self))
        let length = Int(try FlatTable.load(bytes, list, UInt16.self))
        guard length >= 4, list <= bytes.count - length else { throw Damage("has a damaged message") }
        self.bytes = bytes
        self.start = start
        fields = list + 4..<list + length
    }

    private static func load<Number: FixedWidthInteger & BitwiseCopyable>(
        _ bytes: UnsafeRawBufferPointer, _ place: Int, _: Number.Type
    ) throws(Damage) -> Number {
        guard place >= 0, place <= bytes.count - MemoryLayout<Number>.size else {
            throw Damage("has a damaged message")
        }
        return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: Number.self))
    }

    /// The place of field `id`, or nil.
    private func place(_ id: Int) throws(Damage) -> Int? {
        let slot = fields.lowerBound + 2 * id
        guard slot + 2 <= fields.upperBound else { return nil }
        let offset = Int(try FlatTable.load(bytes, slot, UInt16.self))
        return offset == 0 ? nil : start + offset
    }

    /// The place to which the offset in field `id` leads, or nil.
    private func target(_ id: Int) throws(Damage) -> Int? {
        guard let place = try place(id) else { return nil }
        return place + Int(try FlatTable.load(bytes, place, UInt32.self))
    }

    /// The number of field `id`, or the format's default.
    func number<Number: FixedWidthInteger & BitwiseCopyable>(
        _ id: Int, default standard: Number
    ) throws(Damage) -> Number {
        guard let place = try place(id) else { return standard }
        return try FlatTable.load(bytes, place, Number.self)
    }

    /// The table of field `id`, or nil.
    func table(_ id: Int) throws(Damage) -> FlatTable? {
        guard let place = try target(id) else { return nil }
        return try FlatTable(bytes, at: place)
    }

    /// The text of field `id`, or nil.
    func text(_ id: Int) throws(Damage) -> String? {
        guard let place = try target(id) else { return nil }
        let length = Int(try FlatTable.load(bytes, place, UInt32.self))
        guard length <= bytes.count - place - 4,
            let text = String(validating: bytes[place + 4..<place + 4 + length], as: UTF8.self)
        else { throw Damage("has a damaged message") }
        return text
    }

    /// The start of the vector of field `id`, of elements of `width` bytes, and how many it has; none without it.
    private func vector(_ id: Int, width: Int) throws(Damage) -> (start: Int, count: Int) {
        guard let place = try target(id) else { return (0, 0) }
        let count = Int(try FlatTable.load(bytes, place, UInt32.self))
        guard count <= (bytes.count - place - 4) / width else { throw Damage("has a damaged message") }
        return (place + 4, count)
    }

    /// The tables of the vector in field `id`.
    func tables(_ id: Int) throws(Damage) -> [FlatTable] {
        let (start, count) = try vector(id, width: 4)
        var tables: [FlatTable] = []
        for index in 0..<count {
            let place = start + 4 * index
            tables.append(try FlatTable(bytes, at: place + Int(try FlatTable.load(bytes, place, UInt32.self))))
        }
        return tables
    }

    /// The 64-bit words of the vector of structures in field `id`, each of `words` words.
    func words(_ id: Int, each words: Int) throws(Damage) -> [[Int64]] {
        let (start, count) = try vector(id, width: 8 * words)
        var all: [[Int64]] = []
        for index in 0..<count {
            var one: [Int64] = []
            for word in 0..<words {
                one.append(try FlatTable.load(bytes, start + 8 * (index * words + word), Int64.self))
            }
            all.append(one)
        }
        return all
    }
}
