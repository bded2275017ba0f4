// Memory that is really taken. Linux hands out addresses freely and kills a process that writes to pages that there are not:
// only writing to every page tells.

import CTuttiKernels

/// Memory of which every page was written to; given back when nobody holds it any more.
package final class TakenMemory {
    private let base: UnsafeMutableRawPointer
    private let bytes: Int
    /// Addresses without memory: where they are limited, an arena reserves up to half as many again as it uses.
    private let spare: (base: UnsafeMutableRawPointer, bytes: Int64)
    /// Bytes that are written to between two questions.
    private static let stretch = 64 << 20
    private static let pageBytes = 2 << 20
    /// Spare addresses for what is no arena, such as threads.
    private static let others = 256 << 20

    private init?(mapping bytes: Int) {
        self.bytes = max(1, (bytes + Self.pageBytes - 1) / Self.pageBytes) * Self.pageBytes
        guard let base = tutti_pages_map(Int64(self.bytes)) else { return nil }
        var spare = Int64((self.bytes / 2 + Self.others) / Self.pageBytes * Self.pageBytes)
        guard let addresses = tutti_pages_reserve(&spare) else {
            tutti_pages_unmap(base, Int64(self.bytes))
            return nil
        }
        self.base = base
        self.spare = (addresses, spare)
    }

    deinit {
        tutti_pages_unmap(base, Int64(bytes))
        tutti_pages_unmap(spare.base, spare.bytes)
    }

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
