// Eigenvectors of symmetric matrices: the matrix times a vector is the vector times its value, vectors are orthonormal.

import Testing
import TuttiKernels

@Suite struct SymmetricMatrixTests {
    @Test(arguments: [1, 2, 3, 17, 60])
    func vectorsAreThoseOfTheMatrix(_ size: Int) {
        var state: UInt64 = 9
        var matrix = [Double](repeating: 0, count: size * size)
        for i in 0..<size {
            for j in 0...i {
                state = state &* 6_364_136_223_846_793_005 &+ 1
                let value = Double(state >> 11) * 0x1p-53 - 0.5
                (matrix[i * size + j], matrix[j * size + i]) = (value, value)
            }
        }
        let solved = SymmetricMatrix(matrix, size: size)
        #expect(solved.values == solved.values.sorted())
        for k in 0..<size {
            func entry(_ i: Int, _ column: Int) -> Double { solved.vectors[i * size + column] }
            for i in 0..<size {
                let product = (0..<size).reduce(0) { $0 + matrix[i * size + $1] * entry($1, k) }
                #expect(abs(product - solved.values[k] * entry(i, k)) <= 1e-12 * Double(size))
            }
            for other in 0..<size {
                let product = (0..<size).reduce(0) { $0 + entry($1, k) * entry($1, other) }
                #expect(abs(product - (k == other ? 1 : 0)) <= 1e-12 * Double(size))
            }
        }
    }

    @Test func equalValuesAreNoTrouble() {
        let solved = SymmetricMatrix([2, 0, 0, 0, 2, 0, 0, 0, 1], size: 3)
        #expect(solved.values == [1, 2, 2])
    }
}
