// The search for numbers that are not finite, in weights that are read and in embeddings that leave.

extension UnsafeMutableBufferPointer<Float> {
    /// The place of the first NaN or infinity.
    var firstNonFinite: Int? {
        let exponent: UInt32 = 0x7F80_0000
        var found: UInt32 = 0  // counted without a branch, so that the loop is vectorised
        for value in self { found |= (value.bitPattern & exponent) == exponent ? 1 : 0 }
        return found == 0 ? nil : firstIndex { !$0.isFinite }
    }
}
