// Zeroed memory that processes of one node map together.
//
// One process makes it and tells the others its process number and descriptor; they open /proc/PROCESS/fd/DESCRIPTOR.
// Who asks whom, and whether all succeeded, is for the ranks to agree on (Training/Exchange/NodeMemory.swift).

import CTuttiKernels
import Glibc

/// A mapping of shared memory; the memory goes when the last process has let go of it.
package final class SharedPages {
    /// What the system refused.
    package struct Refusal: Error, CustomStringConvertible {
        /// What failed and why.
        package let description: String

        /// A refusal for this reason.
        package init(_ description: String) { self.description = description }
    }

    /// First byte, on a 2 MiB boundary.
    package let base: UnsafeMutableRawPointer
    /// Bytes of the mapping.
    package let byteCount: Int
    /// What another process opens, until `close`.
    package private(set) var descriptor: Int32

    /// New memory of `byteCount` zero bytes.
    package convenience init(byteCount: Int) throws(Refusal) {
        try self.init(tutti_shared_create(Int64(byteCount)), "make", byteCount)
    }

    /// The memory that `process` made and still holds open.
    package convenience init(of process: Int32, descriptor: Int32, byteCount: Int) throws(Refusal) {
        try self.init(tutti_shared_open(Int64(process), descriptor, Int64(byteCount)), "open", byteCount)
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

    /// Ends the time in which others may open the memory; the mapping stays.
    package func close() {
        if descriptor >= 0 { tutti_shared_close(descriptor) }
        descriptor = -1
    }

    deinit {
        close()
        tutti_pages_unmap(base, Int64(byteCount))
    }
}
