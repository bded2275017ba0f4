// Arrays whose memory stays put for the length of a test.

import TestSupport

extension Array {
    /// A copy of the array at a fixed address (kept until the process ends: tests are small).
    var pinned: UnsafePointer<Element> {
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: Swift.max(count, 1))
        memory.initialize(from: self, count: count)
        return UnsafePointer(memory)
    }
}

/// Row offsets of sequences with these lengths.
func offsets(of lengths: [Int]) -> [Int32] {
    lengths.reduce(into: [Int32(0)]) { $0.append($0[$0.count - 1] + Int32($1)) }
}

/// sum of x * w: a scalar loss whose gradient with respect to x is w.
func weightedSum(_ x: [Float], _ w: [Float]) -> Double {
    zip(x, w).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
}

/// Whether no number is infinite or NaN.
func allFinite(_ values: some Sequence<Float>) -> Bool { values.allSatisfy { $0.isFinite } }
