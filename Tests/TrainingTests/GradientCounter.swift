// A rank that counts what it gives to sums of gradients.

import TuttiEnsemble

/// Counts the floats of gradients that a rank sends.
final class GradientCounter: PassingEnsemble, @unchecked Sendable {
    let whole: any Ensemble
    private(set) var summedFloats = 0
    init(_ whole: any Ensemble) { self.whole = whole }
    func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
        summedFloats += values.count
        try whole.allReduceSum(values)
    }
    func beginAllReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
        summedFloats += values.count
        try whole.beginAllReduceSum(values)
    }
}
