// What the values of a leaf are: how they are stored, and what they mean. Every value becomes a JSON value, as a row of
// JSON lines would hold it.

import TuttiGround

/// How values are stored.
enum ParquetType {
    case boolean, int32, int64, float, double, bytes
    case fixed(width: Int)

    init(_ element: ThriftStructure) throws(Damage) {
        switch try element.count(1, "the type") {
        case 0: self = .boolean
        case 1: self = .int32
        case 2: self = .int64
        case 3: throw Damage("is a column of timestamps (INT96)")
        case 4: self = .float
        case 5: self = .double
        case 6: self = .bytes
        case 7:
            let width = try element.count(2, "the width of its values")
            guard (1...4096).contains(width) else { throw Damage("has values of \(width) bytes") }
            self = .fixed(width: width)
        case let type: throw Damage("has the unknown type \(type)")
        }
    }

    /// The bytes of a value in the plain encoding; nil where they differ.
    var width: Int? {
        switch self {
        case .int32, .float: 4
        case .int64, .double: 8
        case .fixed(let width): width
        case .boolean, .bytes: nil
        }
    }
}

/// What stored values mean.
enum ParquetMeaning {
    case text, boolean, signed, unsigned, float, double, half
    /// A whole number divided by a power of ten.
    case decimal(scale: Int)
    /// All values are absent.
    case nothing

    init(_ element: ThriftStructure, _ type: ParquetType) throws(Damage) {
        let logical = try element.structure(10)
        let converted = try element.integer(6)
        if let refused = ParquetMeaning.refused(logical: logical?.first, converted: converted) {
            throw Damage("is a column of \(refused)")
        }
        if logical?.first == 11 {
            self = .nothing
            return
        }
        if logical?.first == 5 || converted == 5 {
            var scale = try element.integer(7) ?? 0
            if let decimal = try logical?.structure(5) { scale = try decimal.integer(1) ?? 0 }
            guard (0...300).contains(scale) else { throw Damage("has decimals of scale \(scale)") }
            self = .decimal(scale: scale)
            return
        }
        switch type {
        case .boolean: self = .boolean
        case .float: self = .float
        case .double: self = .double
        case .bytes: self = .text  // also without a logical type: old writers leave it out
        case .fixed(let width):
            guard logical?.first == 15, width == 2 else { throw Damage("is a column of bytes of fixed length") }
            self = .half
        case .int32, .int64:
            let isUnsigned = try logical?.structure(10)?.truth(2) == false || (11...14).contains(converted ?? 0)
            self = isUnsigned ? .unsigned : .signed
        }
    }

    private static func refused(logical: Int?, converted: Int?) -> String? {
        switch (logical, converted) {
        case (6, _), (_, 6): "dates"
        case (7, _), (_, 7), (_, 8): "times"
        case (8, _), (_, 9), (_, 10): "timestamps"
        case (13, _), (_, 20): "BSON"
        case (14, _): "UUIDs"
        case (16, _): "variants"
        case (17, _), (18, _): "places"
        case (_, 21): "intervals"
        default: nil
        }
    }
}

extension ParquetLeaf {
    /// The value of a number's bits, or of a boolean's.
    func value(bits: UInt64) -> JSONValue {
        let isShort = if case .int32 = type { true } else { false }
        let signed = isShort ? Int64(Int32(truncatingIfNeeded: bits)) : Int64(bitPattern: bits)
        switch meaning {
        case .boolean: return .bool(bits & 1 == 1)
        case .signed: return .integer(signed)
        case .unsigned:
            let number = isShort ? UInt64(UInt32(truncatingIfNeeded: bits)) : bits
            return Int64(exactly: number).map { .integer($0) } ?? .number(Double(number))
        case .float: return .number(Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))))
        case .double: return .number(Double(bitPattern: bits))
        case .half: return .number(Double(TensorType.single(half: UInt16(truncatingIfNeeded: bits))))
        case .decimal(let scale): return ParquetLeaf.decimal(Double(signed), scale)
        case .text, .nothing: return .null
        }
    }

    /// The value of bytes of any number; nil for a text that is not UTF-8.
    func value(bytes: some Collection<UInt8>) -> JSONValue? {
        switch meaning {
        case .text: return String(validating: bytes, as: UTF8.self).map { .string($0) }
        case .decimal(let scale):
            // Two's complement, the highest byte first.
            var number = (bytes.first ?? 0) >= 0x80 ? -1.0 : 0.0
            for byte in bytes { number = number * 256 + Double(byte) }
            return ParquetLeaf.decimal(number, scale)
        default:
            var bits: UInt64 = 0
            for byte in Array(bytes.prefix(8)).reversed() { bits = bits << 8 | UInt64(byte) }
            return value(bits: bits)
        }
    }

    private static func decimal(_ number: Double, _ scale: Int) -> JSONValue {
        let value = number / power(scale)
        return scale == 0 ? Int64(exactly: value).map { .integer($0) } ?? .number(value) : .number(value)
    }

    private static func power(_ exponent: Int) -> Double { (0..<exponent).reduce(1.0) { value, _ in value * 10 } }
}
