// Element types of tensors in files: their names in the safetensors format, widths, and their floats.
//
// Reference: safetensors/src/tensor.rs (Dtype).

/// The element type of a stored tensor.
package enum TensorType: String, Sendable, CaseIterable {
    /// Booleans, one byte each.
    case bool = "BOOL"
    /// Unsigned bytes.
    case u8 = "U8"
    /// Signed bytes.
    case i8 = "I8"
    /// 16-bit integers.
    case i16 = "I16"
    /// Unsigned 16-bit integers.
    case u16 = "U16"
    /// float16.
    case f16 = "F16"
    /// bfloat16: the upper half of a float32.
    case bf16 = "BF16"
    /// 32-bit integers.
    case i32 = "I32"
    /// Unsigned 32-bit integers.
    case u32 = "U32"
    /// float32.
    case f32 = "F32"
    /// float64.
    case f64 = "F64"
    /// 64-bit integers.
    case i64 = "I64"
    /// Unsigned 64-bit integers.
    case u64 = "U64"

    /// Bytes per element.
    package var width: Int {
        switch self {
        case .bool, .u8, .i8: return 1
        case .i16, .u16, .f16, .bf16: return 2
        case .i32, .u32, .f32: return 4
        case .f64, .i64, .u64: return 8
        }
    }

    /// The rank in the reference writer's order, in which tensors of later types come first.
    var writingRank: Int { TensorType.allCases.firstIndex(of: self) ?? 0 }

    /// Converts `count` elements at `source` (any alignment) to float32; false for integer types.
    func convertToFloats(_ source: UnsafeRawPointer, into target: UnsafeMutablePointer<Float>, count: Int) -> Bool {
        switch self {
        case .f32:
            UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count * 4)
        case .f16:
            for index in 0..<count {
                let bits = UInt16(littleEndian: source.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
                target[index] = TensorType.single(half: bits)
            }
        case .bf16:
            for index in 0..<count {
                let bits = UInt16(littleEndian: source.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
                target[index] = Float(bitPattern: UInt32(bits) << 16)
            }
        case .f64:
            for index in 0..<count {
                let bits = UInt64(littleEndian: source.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
                target[index] = Float(Double(bitPattern: bits))
            }
        default:
            return false
        }
        return true
    }

    /// The float32 value of float16 bits: shift into place, scale by 2^112, which also normalizes subnormals; exponent
    /// 31 (infinity, NaN) becomes 255.
    static func single(half bits: UInt16) -> Float {
        let magnitude = UInt32(bits & 0x7FFF) << 13
        let sign = UInt32(bits & 0x8000) << 16
        let scaled = (Float(bitPattern: magnitude) * 0x1p112).bitPattern
        let special = magnitude | 0x7F80_0000
        return Float(bitPattern: (magnitude >= 0x0F80_0000 ? special : scaled) | sign)
    }
}
