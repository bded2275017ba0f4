// Half-precision storage to and from fp32.

import CTuttiKernels

/// Conversions between fp32 and 16-bit floating-point storage (bit patterns in UInt16).
public enum Casts {
    /// IEEE binary16 to fp32.
    public static func fromFloat16(_ x: UnsafePointer<UInt16>, into out: UnsafeMutablePointer<Float>, count: Int) {
        tutti_f16_to_f32(x, out, Int64(count))
    }

    /// bfloat16 to fp32.
    public static func fromBFloat16(_ x: UnsafePointer<UInt16>, into out: UnsafeMutablePointer<Float>, count: Int) {
        tutti_bf16_to_f32(x, out, Int64(count))
    }

    /// fp32 to IEEE binary16, rounded to nearest even; overflow becomes infinity.
    public static func toFloat16(_ x: UnsafePointer<Float>, into out: UnsafeMutablePointer<UInt16>, count: Int) {
        tutti_f32_to_f16(x, out, Int64(count))
    }

    /// fp32 to bfloat16, rounded to nearest even.
    public static func toBFloat16(_ x: UnsafePointer<Float>, into out: UnsafeMutablePointer<UInt16>, count: Int) {
        tutti_f32_to_bf16(x, out, Int64(count))
    }
}
