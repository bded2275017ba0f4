// Operands that are not cached: inputs and outputs of a kernel rotate through blocks far larger than the last cache.
//
// A training step touches hundreds of megabytes between two uses of an activation. Inputs come from a read-only block
// of random numbers; outputs go to another block, so that values do not grow or vanish from call to call.

import TuttiKernels

/// Memory that hands out its next part, and wraps around at its end.
final class RotatingMemory {
    private var arena = Arena()
    private let inputs: UnsafeMutablePointer<Float>
    private let outputs: UnsafeMutablePointer<Float>
    private let count: Int
    private var nextInput = 0
    private var nextOutput = 0

    /// Bytes of both blocks.
    var byteCount: Int { 2 * count * MemoryLayout<Float>.stride }

    /// Two blocks of `bytes` each, inputs uniform in -1 ..< 1, outputs zero.
    init(bytes: Int) {
        count = max(64, (bytes / MemoryLayout<Float>.stride + 15) & ~15)
        inputs = arena.floats(count)
        outputs = arena.floats(count)
        outputs.initialize(repeating: 0, count: count)
        var state: UInt64 = 1
        for index in 0..<count {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            inputs[index] = Float(Int32(truncatingIfNeeded: state >> 32)) * 0x1p-31
        }
    }

    /// The next matrix of random numbers; read-only.
    func input(_ rows: Int, _ columns: Int) -> Matrix {
        Matrix(inputs + take(rows * columns, from: &nextInput), rows, columns)
    }

    /// The next output matrix; its contents are undefined.
    func output(_ rows: Int, _ columns: Int) -> Matrix {
        Matrix(outputs + take(rows * columns, from: &nextOutput), rows, columns)
    }

    private func take(_ wanted: Int, from next: inout Int) -> Int {
        let rounded = (wanted + 15) & ~15
        precondition(rounded <= count, "RotatingMemory: \(wanted) numbers out of \(count)")
        if next + rounded > count { next = 0 }
        defer { next += rounded }
        return next
    }
}
