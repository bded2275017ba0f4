// The values of a field in one batch, read in place: a cell becomes a JSON value when its row comes.
//
// Reference: Columnar.rst in apache/arrow ("Physical Memory Layout").

import TuttiGround

/// Bytes of a batch, in the file or unpacked.
struct ArrowBuffer {
    let bytes: UnsafeRawBufferPointer
    let owner: OwnedBytes?

    /// The little-endian number of `width` bytes, 1 to 8, at element `index`.
    func number(_ index: Int, width: Int) throws(Damage) -> UInt64 {
        guard index >= 0, index < bytes.count / width else { throw Damage("has fewer values than its rows") }
        let start = index * width
        switch width {
        case 1: return UInt64(bytes[start])
        case 2: return UInt64(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt16.self)))
        case 4: return UInt64(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
        default: return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
        }
    }

    /// The offset of `width` bytes at element `index`.
    func offset(_ index: Int, width: Int) throws(Damage) -> Int {
        let number = try number(index, width: width)
        guard number <= (width == 4 ? UInt64(Int32.max) : UInt64(Int64.max)) else { throw Damage("has a wrong offset") }
        return Int(number)
    }

    /// The bit at `index`.
    func bit(_ index: Int) throws(Damage) -> Bool {
        guard index >= 0, index / 8 < bytes.count else { throw Damage("has fewer values than its rows") }
        return bytes[index / 8] >> UInt8(index % 8) & 1 == 1
    }

    /// The text in `range`, which `start` and `count` give.
    func text(_ start: Int, _ count: Int) throws(Damage) -> JSONValue {
        guard start >= 0, count >= 0, start <= bytes.count, count <= bytes.count - start else {
            throw Damage("has a text outside of its bytes")
        }
        guard let text = String(validating: bytes[start..<start + count], as: UTF8.self) else {
            throw Damage("has a text that is not valid UTF-8")
        }
        return .string(text)
    }
}

/// The values of a field in a batch.
final class ArrowArray {
    private let type: ArrowType
    private let count: Int
    /// Whether each value is there; nil if all are.
    private let validity: ArrowBuffer?
    private let buffers: [ArrowBuffer]
    private let child: ArrowArray?
    /// The parts of the dictionary that indices refer to, in order.
    private let dictionary: [ArrowArray]?

    /// The most elements of one list, beyond any text or vector of a data set.
    private static let longestList = 1 << 24

    init(
        _ type: ArrowType, count: Int, validity: ArrowBuffer?, buffers: [ArrowBuffer], child: ArrowArray?,
        dictionary: [ArrowArray]?
    ) {
        self.type = type
        self.count = count
        self.validity = validity
        self.buffers = buffers
        self.child = child
        self.dictionary = dictionary
    }

    /// The value of row `row`.
    func value(_ row: Int) throws(Damage) -> JSONValue {
        guard row >= 0, row < count else { throw Damage("has fewer values than its rows") }
        if let validity, try !validity.bit(row) { return .null }
        guard let dictionary else { return try stored(row) }
        guard case .integer(let bytes, _) = type else { throw Damage("has indices that are not whole numbers") }
        var index = Int(clamping: try buffers[0].number(row, width: bytes))
        for part in dictionary {
            if index < part.count { return try part.value(index) }
            index -= part.count
        }
        throw Damage("has an index beyond its dictionary")
    }

    private func stored(_ row: Int) throws(Damage) -> JSONValue {
        switch type {
        case .null, .other: return .null
        case .boolean: return .bool(try buffers[0].bit(row))
        case .integer(let bytes, let isSigned):
            let bits = try buffers[0].number(row, width: bytes)
            guard isSigned else { return Int64(exactly: bits).map { .integer($0) } ?? .number(Double(bits)) }
            let shift = UInt64(64 - 8 * bytes)
            return .integer(Int64(bitPattern: bits << shift) >> Int64(shift))
        case .float(let bytes):
            let bits = try buffers[0].number(row, width: bytes)
            switch bytes {
            case 2: return .number(Double(TensorType.single(half: UInt16(truncatingIfNeeded: bits))))
            case 4: return .number(Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))))
            default: return .number(Double(bitPattern: bits))
            }
        case .decimal(let bytes, let scale): return try decimal(row, bytes, scale)
        case .text(let width):
            let start = try buffers[0].offset(row, width: width)
            return try buffers[1].text(start, try buffers[0].offset(row + 1, width: width) - start)
        case .textView: return try view(row)
        case .list(let width):
            let start = try buffers[0].offset(row, width: width)
            return try list(start, try buffers[0].offset(row + 1, width: width) - start)
        case .fixedList(let count):
            let (start, overflows) = row.multipliedReportingOverflow(by: count)
            guard !overflows else { throw Damage("has a list outside of its values") }
            return try list(start, count)
        case .listView(let width):
            return try list(try buffers[0].offset(row, width: width), try buffers[1].offset(row, width: width))
        }
    }

    /// A text of up to 12 bytes is in the view itself; a longer one is in a buffer that the view names.
    private func view(_ row: Int) throws(Damage) -> JSONValue {
        let length = Int(Int32(truncatingIfNeeded: try buffers[0].number(4 * row, width: 4)))
        if length <= 12 { return try buffers[0].text(16 * row + 4, length) }
        let buffer = Int(try buffers[0].number(4 * row + 2, width: 4)) + 1
        guard buffer < buffers.count else { throw Damage("has a text in a buffer that is not there") }
        return try buffers[buffer].text(Int(try buffers[0].number(4 * row + 3, width: 4)), length)
    }

    private func list(_ start: Int, _ count: Int) throws(Damage) -> JSONValue {
        guard let child, start >= 0, count >= 0, start <= child.count, count <= child.count - start else {
            throw Damage("has a list outside of its values")
        }
        guard count <= ArrowArray.longestList else { throw Damage("has a list of \(count) elements") }
        var elements: [JSONValue] = []
        elements.reserveCapacity(count)
        for place in start..<start + count { elements.append(try child.value(place)) }
        return .array(elements)
    }

    /// Two's complement of any length, divided by a power of ten.
    private func decimal(_ row: Int, _ bytes: Int, _ scale: Int) throws(Damage) -> JSONValue {
        var number = 0.0
        for place in (0..<bytes / 4).reversed() {
            let word = UInt32(truncatingIfNeeded: try buffers[0].number(row * (bytes / 4) + place, width: 4))
            let isHighest = place == bytes / 4 - 1
            number = number * 0x1p32 + (isHighest ? Double(Int32(bitPattern: word)) : Double(word))
        }
        let power = (0..<abs(scale)).reduce(1.0) { value, _ in value * 10 }
        number = scale > 0 ? number / power : number * power
        return scale <= 0 ? Int64(exactly: number).map { .integer($0) } ?? .number(number) : .number(number)
    }
}
