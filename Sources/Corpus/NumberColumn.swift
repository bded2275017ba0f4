// A column of numbers in an array, or in a mapped file of a cache: the same to who reads it.

import TuttiFormats
import TuttiGround

/// Numbers, one a row.
struct NumberColumn<Number: BitwiseCopyable & Sendable>: RandomAccessCollection, Sendable {
    private enum Storage: Sendable {
        case array([Number])
        case file(CheckedFile)
    }

    private let storage: Storage
    let count: Int

    var startIndex: Int { 0 }
    var endIndex: Int { count }

    /// The numbers of an array.
    init(_ numbers: [Number]) {
        storage = .array(numbers)
        count = numbers.count
    }

    /// The numbers of a file, one after the other, in this machine's order of bytes.
    init(_ file: CheckedFile) {
        storage = .file(file)
        count = file.bytes.count / MemoryLayout<Number>.stride
    }

    subscript(index: Int) -> Number {
        switch storage {
        case .array(let numbers): return numbers[index]
        case .file(let file):
            precondition(index >= 0 && index < count, "NumberColumn: number \(index) of \(count)")
            return file.bytes.loadUnaligned(
                fromByteOffset: index * MemoryLayout<Number>.stride, as: Number.self)
        }
    }

    /// Calls `body` with the bytes of all numbers.
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        switch storage {
        case .array(let numbers): numbers.withUnsafeBytes(body)
        case .file(let file): withExtendedLifetime(file) { body(file.bytes) }
        }
    }

    /// These numbers and then those of `other`.
    func appending(_ other: NumberColumn<Number>) -> NumberColumn<Number> {
        NumberColumn(Array(self) + Array(other))
    }
}
