// Embeddings in a byte or a bit a value, for smaller indices and faster search.
//
// What: int8 and uint8 divide each column's range, least to largest value of the given rows, into 255 steps and keep
// the number of the step, from 0 or from -128; binary and ubinary keep whether a value is positive, eight values a
// byte, the first in the highest bit, the byte signed or not. The signed form is the unsigned one less 128, which
// exchanges the highest bit. All arithmetic is in single precision, as the reference's.
//
// Reference: sentence_transformers/util/quantization.py (quantize_embeddings), numpy.packbits.

import TuttiFormats
import TuttiGround

/// The type of a stored embedding's values.
public enum EmbeddingPrecision: String, OptionChoice {
    /// Single precision.
    case float32
    /// Signed bytes.
    case int8
    /// Unsigned bytes.
    case uint8
    /// Bits in signed bytes.
    case binary
    /// Bits in unsigned bytes.
    case ubinary

    /// The type of the stored elements.
    package var elementType: TensorType {
        switch self {
        case .float32: return .f32
        case .int8, .binary: return .i8
        case .uint8, .ubinary: return .u8
        }
    }
}

/// Rows of bytes made of embeddings.
package struct QuantizedEmbeddings: Sendable {
    /// What the bytes hold; never `.float32`.
    package let precision: EmbeddingPrecision
    /// The number of rows.
    package let count: Int
    /// Bytes a row.
    package let width: Int
    /// Row after row, signed bytes as their bit patterns.
    package let bytes: [UInt8]

    /// Rows in `precision`, which must not be `.float32`; the ranges of int8 and uint8 are those of these rows.
    ///
    /// Throws: `.data` for an embedding that is not finite; `.usage` for ranges of a single row.
    package init(_ embeddings: Embeddings, _ precision: EmbeddingPrecision) throws(TuttiError) {
        self.precision = precision
        count = embeddings.count
        for row in 0..<count where !embeddings[row].allSatisfy(\.isFinite) {
            throw TuttiError(
                .data, "quantize embeddings", "row \(row + 1)", "holds values that are not finite numbers")
        }
        switch precision {
        case .float32: preconditionFailure("single precision is not quantized")
        case .int8, .uint8:
            guard count != 1 else {
                throw TuttiError(
                    .usage, "quantize embeddings", precision.rawValue,
                    "the range of values cannot be taken from a single embedding",
                    hint: "Quantize several at once, or use binary or ubinary, which need no range.")
            }
            width = embeddings.dimension
            bytes = Self.steps(embeddings, sign: precision == .int8 ? 0x80 : 0)
        case .binary, .ubinary:
            width = (embeddings.dimension + 7) / 8
            bytes = Self.bits(embeddings, sign: precision == .binary ? 0x80 : 0)
        }
    }

    /// Each value's step in the range of its column.
    private static func steps(_ embeddings: Embeddings, sign: UInt8) -> [UInt8] {
        guard embeddings.count > 0 else { return [] }
        var least = Array(embeddings[0])
        var largest = least
        for row in 1..<embeddings.count {
            for (column, value) in embeddings[row].enumerated() {
                least[column] = min(least[column], value)
                largest[column] = max(largest[column], value)
            }
        }
        let widths = zip(least, largest).map { ($1 - $0) / 255 }.map { $0 == 0 ? 1 : $0 }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(embeddings.count * embeddings.dimension)
        for row in 0..<embeddings.count {
            for (column, value) in embeddings[row].enumerated() {
                let step = ((value - least[column]) / widths[column]).rounded(.down)
                bytes.append((step >= 255 ? 255 : step > 0 ? UInt8(step) : 0) ^ sign)
            }
        }
        return bytes
    }

    /// The signs of a row's values, eight a byte.
    private static func bits(_ embeddings: Embeddings, sign: UInt8) -> [UInt8] {
        let width = (embeddings.dimension + 7) / 8
        var bytes = [UInt8](repeating: sign, count: embeddings.count * width)
        for row in 0..<embeddings.count {
            for (column, value) in embeddings[row].enumerated() where value > 0 {
                bytes[row * width + column / 8] ^= 0x80 >> UInt8(column % 8)
            }
        }
        return bytes
    }

    /// The stored numbers as floats, bits as zeros and ones (eight a byte, the padding of the last byte included).
    package func unpacked() -> Embeddings {
        switch precision {
        case .float32: preconditionFailure("single precision is not packed")
        case .int8: return Embeddings(rows: bytes.map { Float(Int8(bitPattern: $0)) }, dimension: width)
        case .uint8: return Embeddings(rows: bytes.map(Float.init), dimension: width)
        case .binary, .ubinary:
            let sign: UInt8 = precision == .binary ? 0x80 : 0
            let bits = bytes.flatMap { byte in (0..<8).map { Float((byte ^ sign) >> (7 - $0) & 1) } }
            return Embeddings(rows: bits, dimension: width * 8)
        }
    }
}
