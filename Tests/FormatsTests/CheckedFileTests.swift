// Files whose pages carry fingerprints, and tables of offsets: what is written is read back, and damage is found where it is.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct CheckedFileTests {
    private func flip(_ path: String, at place: Int) throws {
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        bytes[place] ^= 4
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    @Test func aDamagedPageIsFoundWhenItIsRead() throws {
        try withTemporaryDirectory { folder in
            let path = folder + "/numbers"
            let writer = try CheckedFileWriter(path: path)
            for number in 0..<5000 { try writer.append(UInt32(number)) }
            let extent = try writer.finish()
            let file = try CheckedFile(path: path, extent)
            #expect(file.bytes.count == 20_000)
            #expect((0..<5000).allSatisfy { file.bytes.load(fromByteOffset: 4 * $0, as: UInt32.self) == $0 })
            try file.checkAll()
            try flip(path, at: 9000)
            let damaged = try CheckedFile(path: path, extent)
            try damaged.check(0..<8192)
            try damaged.check(12_288..<20_000)
            #expect { try damaged.check(8191..<8193) } throws: {
                ($0 as? TuttiError)?.problem.contains("byte 8192") ?? false
            }
            #expect(throws: TuttiError.self) { try damaged.checkAll() }
            try flip(path, at: 20_003)  // a fingerprint
            #expect(throws: TuttiError.self) { try CheckedFile(path: path, extent) }
            try Data(repeating: 0, count: 100).write(to: URL(fileURLWithPath: path))
            #expect { try CheckedFile(path: path, extent) } throws: { ($0 as? TuttiError)?.kind == .data }
        }
    }

    @Test(arguments: [0, 1, 63, 64, 65, 1000]) func offsets(_ count: Int) throws {
        try withTemporaryDirectory { folder in
            var random = CounterRandom(seed: 1, stream: 2)
            let lengths = (0..<count).map { _ in Int(random.number(below: 300)) }
            var writer = try OffsetTableWriter(path: folder + "/offsets")
            for length in lengths { try writer.append(length: length) }
            let file = try CheckedFile(path: folder + "/offsets", writer.finish())
            let table = try OffsetTable(file, count: count, path: "offsets")
            var start = 0
            for (place, length) in lengths.enumerated() {
                #expect(table[place] == start..<start + length)
                start += length
            }
            #expect(throws: TuttiError.self) { try OffsetTable(file, count: count + 1, path: "offsets") }
        }
    }
}
