// Casts between fp32 and bf16, the upper half of an fp32 number.

import CTuttiKernels

/// Conversions of whole buffers.
package enum Casts {
    /// Writes `x` in bf16, rounded to the nearest, ties to even; a NaN stays one.
    package static func narrow(_ x: UnsafeBufferPointer<Float>, to out: UnsafeMutablePointer<UInt16>) {
        if let base = x.baseAddress { tutti_narrow(out, base, Int64(x.count)) }
    }

    /// Writes the fp32 of `out.count` bf16 numbers.
    package static func widen(_ x: UnsafePointer<UInt16>, to out: UnsafeMutableBufferPointer<Float>) {
        if let base = out.baseAddress { tutti_widen(base, x, Int64(out.count)) }
    }

    /// Writes `count` numbers of `x` in bf16, on the threads of the caller.
    package static func narrow(_ x: UnsafePointer<Float>, count: Int, into out: UnsafeMutablePointer<UInt16>) {
        Parallel.forRange(count, grain: grain) { tutti_narrow(out + $0.lowerBound, x + $0.lowerBound, Int64($0.count)) }
    }

    /// Writes the fp32 of `count` bf16 numbers, on the threads of the caller.
    package static func widen(_ x: UnsafePointer<UInt16>, count: Int, into out: UnsafeMutablePointer<Float>) {
        Parallel.forRange(count, grain: grain) { tutti_widen(out + $0.lowerBound, x + $0.lowerBound, Int64($0.count)) }
    }

    private static let grain = 1 << 14
}
