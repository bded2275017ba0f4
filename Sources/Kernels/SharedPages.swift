// Zeroed memory shared by the processes of one node.
//
// One process creates it and sends the others its pid and descriptor; they open /proc/PID/fd/DESCRIPTOR. The ranks agree
// on whether all succeeded (Training/Exchange/NodeMemory.swift).

import CTuttiKernels
import Glibc

/// A mapping of memory that processes may share; it is freed when the last process unmaps it.
package final class SharedPages {
    /// A refusal by the system.
    package struct Refusal: Error, CustomStringConvertible {
        /// What failed and why.
        package let description: String

        /// A refusal with this reason.
        package init(_ description: String) { self.description = description }
    }

    /// First byte, on a 2 MiB boundary.
    package let base: UnsafeMutableRawPointer
    /// Bytes of the mapping.
    package let byteCount: Int
    /// The path that another process opens, until `close`.
    package private(set) var descriptor: Int32

    /// New memory of `byteCount` zero bytes.
    package convenience init(byteCount: Int) throws(Refusal) {
        try self.init(tutti_shared_create(Int64(byteCount)), "make", byteCount)
    }

    /// The memory that `process` created and still holds open.
    package convenience init(of process: Int32, descriptor: Int32, byteCount: Int) throws(Refusal) {
        try self.init(tutti_shared_open(Int64(process), descriptor, Int64(byteCount)), "open", byteCount)
    }

    /// New memory of `byteCount` zero bytes for this process alone, in huge pages where the system has them.
    package init(alone byteCount: Int) throws(Refusal) {
        let pageBytes = 2 << 20
        let bytes = (byteCount + pageBytes - 1) / pageBytes * pageBytes
        guard let base = tutti_pages_map(Int64(bytes)) else {
            throw Refusal("cannot map \(bytes >> 20) MiB of memory: \(String(cString: strerror(errno)))")
        }
        (self.base, self.byteCount, descriptor) = (base, bytes, -1)
    }

    private init(_ descriptor: Int32, _ verb: String, _ byteCount: Int) throws(Refusal) {
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(-descriptor))
            throw Refusal("cannot \(verb) \(byteCount >> 20) MiB of shared memory: \(reason)")
        }
        guard let base = tutti_shared_map(descriptor, Int64(byteCount)) else {
            let reason = String(cString: strerror(errno))
            tutti_shared_close(descriptor)
            throw Refusal("cannot map \(byteCount >> 20) MiB of shared memory: \(reason)")
        }
        self.base = base
        self.byteCount = byteCount
        self.descriptor = descriptor
    }

    /// Others cannot open the memory afterwards; the mapping stays.
    package func close() {
        if descriptor >= 0 { tutti_shared_close(descriptor) }
        descriptor = -1
    }

    deinit {
        close()
        tutti_pages_unmap(base, Int64(byteCount))
    }
}
