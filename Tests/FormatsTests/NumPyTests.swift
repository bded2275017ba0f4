// .npy files against NumPy's own, and a fuzz.

import Foundation
import FuzzTargets
import TestSupport
import Testing
import TuttiFormats

@Suite struct NumPyTests {
    @Test func ourFilesAreNumPysBytes() throws {
        let scratch = try Scratch()
        let matrix = try NumPy.read(path: golden("matrix-f4.npy"))
        #expect(matrix.rows == 11 && matrix.columns == 7)
        try NumPy.write(path: scratch.file("m.npy"), floats: matrix.floats, rows: 11, columns: 7)
        #expect(try bytes(of: scratch.file("m.npy")) == bytes(of: golden("matrix-f4.npy")))
    }

    @Test func otherTypesAndVectorsAreRead() throws {
        let matrix = try NumPy.read(path: golden("matrix-f4.npy"))
        #expect(try NumPy.read(path: golden("matrix-f8.npy")).floats == matrix.floats)
        let halves = try NumPy.read(path: golden("matrix-f2.npy")).floats
        #expect(zip(halves, matrix.floats).allSatisfy { abs($0 - $1) <= 0.002 })
        let vector = try NumPy.read(path: golden("vector-f4.npy"))
        #expect(vector.rows == 7 && vector.columns == 1 && vector.floats == Array(matrix.floats[0..<7]))
        #expect(failure { try NumPy.read(path: golden("fortran-f4.npy")) }?.problem.contains("Fortran") == true)
    }

    @Test func mutatedFilesAreReadOrTold() throws {
        let scratch = try Scratch()
        let original = try bytes(of: golden("matrix-f4.npy"))
        var mutator = Mutator(4)
        var told = 0
        for _ in 0..<1000 {
            let path = try scratch.write(
                mutator.mutate(Array(original[..<130]), alphabet: Array("'{}(),<f48: 0".utf8)) + original[130...])
            let error = failure {
                let array = try NumPy.read(path: path)
                #expect(array.floats.count == array.rows * array.columns)
            }
            if let error {
                #expect(error.kind == .data && error.subject == path)
                told += 1
            }
        }
        #expect(told > 500)
    }
}
