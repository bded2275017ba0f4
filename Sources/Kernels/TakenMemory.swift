// Memory that is really taken. Linux hands out addresses freely and kills a process that writes to pages that there are not:
// only writing to every page tells.

import CTuttiKernels

/// Memory of which every page was written to; given back when nobody holds it any more.
package final class TakenMemory {
    private let base: UnsafeMutableRawPointer
    private let bytes: Int
    /// Bytes that are written to between two questions.
    private static let stretch = 64 << 20
    private static let pageBytes = 2 << 20

    private init?(mapping bytes: Int) {
        self.bytes = max(1, (bytes + Self.pageBytes - 1) / Self.pageBytes) * Self.pageBytes
        guard let base = tutti_pages_map(Int64(self.bytes)) else { return nil }
        self.base = base
    }

    deinit { tutti_pages_unmap(base, Int64(bytes)) }

    /// Takes `bytes`; nil where the system refuses them, or where `mayGoOn`, asked after every 64 MiB, wants no more taken.
    package static func take(bytes: Int, mayGoOn: () -> Bool) -> TakenMemory? {
        guard let memory = TakenMemory(mapping: bytes) else { return nil }
        var written = 0
        while written < memory.bytes {
            let next = min(stretch, memory.bytes - written)
            (memory.base + written).initializeMemory(as: UInt8.self, repeating: 1, count: next)
            written += next
            if !mayGoOn() { return nil }
        }
        return memory
    }
}
