// Memory that processes of one node map together: two mappings of the same pages, refusals, and nothing left behind.

import Foundation
import Testing
import TuttiKernels

@Suite(.serialized) struct SharedPagesTests {
    @Test func anotherMappingSeesTheSameNumbers() throws {
        let bytes = 5_000_003
        let made = try SharedPages(byteCount: bytes)
        let opened = try SharedPages(of: getpid(), descriptor: made.descriptor, byteCount: bytes)
        #expect(UInt(bitPattern: made.base) % (2 << 20) == 0 && made.base != opened.base)
        #expect(opened.base.load(fromByteOffset: bytes - 1, as: UInt8.self) == 0)
        made.base.storeBytes(of: 7, toByteOffset: bytes - 1, as: UInt8.self)
        #expect(opened.base.load(fromByteOffset: bytes - 1, as: UInt8.self) == 7)
    }

    @Test func otherMemoryAndClosedMemoryAreRefused() throws {
        let made = try SharedPages(byteCount: 4096)
        #expect(throws: SharedPages.Refusal.self) {
            try SharedPages(of: getpid(), descriptor: made.descriptor, byteCount: 8192)
        }
        let descriptor = made.descriptor
        made.close()
        #expect(made.descriptor == -1)
        #expect(throws: SharedPages.Refusal.self) {
            try SharedPages(of: getpid(), descriptor: descriptor, byteCount: 4096)
        }
    }

    /// Sizes that are no multiple of a page: what was reserved for the alignment goes back too.
    @Test func releasedMemoryLeavesNoAddressesTaken() throws {
        func addressesTaken() throws -> Int {
            let statm = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
            return try #require(statm.split(separator: " ").first.flatMap { Int($0) }) * 4096
        }
        let before = try addressesTaken()
        for _ in 0..<200 { _ = try SharedPages(byteCount: 70_001) }
        #expect(try addressesTaken() - before < 64 << 20)
    }
}
