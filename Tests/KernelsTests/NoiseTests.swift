// Noise of token embeddings: uniform, as large as the text's length says, a function of the text's key alone.

import TestSupport
import Testing
import TuttiKernels

@Suite(.atEveryLevel) struct NoiseTests {
    private let width = 48

    /// The noise of texts of these lengths and keys.
    private func noise(_ lengths: [Int], keys: [UInt64], alpha: Float = 5) -> [Float] {
        let offsets = lengths.reduce(into: [Int32(0)]) { $0.append($0[$0.count - 1] + Int32($1)) }
        let rows = lengths.reduce(0, +)
        let block = FloatBlock(count: rows * width)
        for place in 0..<rows * width { block.pointer[place] = 0 }
        keys.withUnsafeBufferPointer { keys in
            offsets.withUnsafeBufferPointer { offsets in
                guard let key = keys.baseAddress, let offset = offsets.baseAddress else { return }
                RowKernels.addNoise(
                    Matrix(block.pointer, rows, width), alpha: alpha,
                    DropoutMask(rate: 0.5, keys: key, offsets: offset, sequences: lengths.count))
            }
        }
        return block.values
    }

    @Test func isUniformAndAsLargeAsTheLengthSays() {
        for length in [1, 7, 400] {
            let found = noise([length], keys: [0x1234_5678_9ABC_DEF0 &+ UInt64(length)])
            let size = 5 / Float(length * width).squareRoot()
            #expect(found.allSatisfy { abs($0) <= size })
            let count = Double(found.count)
            let mean = found.reduce(0.0) { $0 + Double($1 / size) } / count
            let square = found.reduce(0.0) { $0 + Double($1 / size) * Double($1 / size) } / count
            #expect(abs(mean) < 4 / count.squareRoot() && abs(square - 1.0 / 3) < 2 / count.squareRoot())
        }
    }

    /// Neither the texts beside it nor its place in the batch matter; another key does.
    @Test func belongsToItsText() {
        let (a, b): (UInt64, UInt64) = (0xDEAD_BEEF_0123_4567, 0x0F1E_2D3C_4B5A_6978)
        let alone = noise([9], keys: [a])
        let both = noise([5, 9], keys: [b, a])
        #expect(Array(both.suffix(9 * width)) == alone)
        #expect(Array(both.prefix(5 * width)) == noise([5], keys: [b]))
        #expect(noise([9], keys: [b]) != alone)
    }
}
