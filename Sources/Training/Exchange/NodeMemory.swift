// NodeMemory: memory that all ranks of a run on one node see, and how they agree on having it.
//
// Rank zero makes it and broadcasts where it is; the others open and map it and look for a number that rank zero drew.
// If one rank fails at any of this (another container, a system without memfd, an exhausted limit), no rank has it: all
// keep private memory and exchange messages, as ranks of several nodes do.

import Foundation
import TuttiEnsemble
import TuttiKernels

/// Shared memory, handed out region after region, in the same order on every rank.
package final class NodeMemory {
    private let pages: SharedPages
    private var used = MemoryLayout<UInt64>.size  // behind the number that the ranks know it by

    private init(_ pages: SharedPages) { self.pages = pages }

    /// Memory for `regions` of so many bytes; or nil on every rank, with the reason of the first that failed.
    /// Collective.
    ///
    /// - Throws: `TuttiError` if the ranks cannot talk to each other.
    package static func share(
        regions: [Int], among ensemble: any Ensemble
    ) throws -> (memory: NodeMemory?, obstacle: String) {
        let byteCount = regions.reduce(MemoryLayout<UInt64>.size) { place(for: $1, after: $0) + $1 }
        if ensemble.size == 1 {
            do { return (NodeMemory(try SharedPages(alone: byteCount)), "") } catch { return (nil, "\(error)") }
        }
        let (machine, key) = (thisMachine(), UInt64.random(in: 1...UInt64.max))
        var pages: SharedPages?
        var obstacle = ""
        var offer = ""
        if ensemble.isRoot {
            do {
                let own = try SharedPages(byteCount: byteCount)
                own.base.storeBytes(of: key, as: UInt64.self)
                offer = "\(getpid()) \(own.descriptor) \(key) \(machine)"
                pages = own
            } catch {
                obstacle = "\(error)"
            }
        }
        offer = try ensemble.broadcast(offer)
        if !ensemble.isRoot, !offer.isEmpty {
            do { pages = try accept(offer, byteCount, on: machine) } catch { obstacle = "\(error)" }
        }
        let obstacles = try ensemble.gather(Array(obstacle.utf8))  // after which all have opened it
        pages?.close()
        guard let failing = obstacles.firstIndex(where: { !$0.isEmpty }) else {
            return (pages.map(NodeMemory.init), "")
        }
        return (nil, "rank \(failing) \(String(decoding: obstacles[failing], as: UTF8.self))")
    }

    /// The next region: `count` zeros on a 2 MiB boundary, or on 64 bytes where it is small.
    package func take<Element: BitwiseCopyable>(_: Element.Type, _ count: Int) -> UnsafeMutableBufferPointer<Element> {
        let bytes = count * MemoryLayout<Element>.stride
        let start = Self.place(for: bytes, after: used)
        precondition(start + bytes <= pages.byteCount, "NodeMemory: \(start + bytes) bytes of \(pages.byteCount)")
        used = start + bytes
        let base = (pages.base + start).bindMemory(to: Element.self, capacity: count)
        return UnsafeMutableBufferPointer(start: base, count: count)
    }

    private static func place(for bytes: Int, after end: Int) -> Int {
        let boundary = bytes >= 1 << 20 ? 2 << 20 : 64
        return (end + boundary - 1) / boundary * boundary
    }

    /// Opens what rank zero offers, if this is its machine and the memory holds its number.
    private static func accept(_ offer: String, _ byteCount: Int, on machine: String) throws -> SharedPages {
        let parts = offer.split(separator: " ", maxSplits: 3).map(String.init)
        guard parts.count == 4, let process = Int32(parts[0]), let descriptor = Int32(parts[1]),
            let key = UInt64(parts[2]), parts[3] == machine
        else { throw SharedPages.Refusal("runs on another machine, or in another container, than rank 0") }
        let pages = try SharedPages(of: process, descriptor: descriptor, byteCount: byteCount)
        guard pages.base.load(as: UInt64.self) == key else {
            throw SharedPages.Refusal("found other memory where rank 0 offers some")
        }
        return pages
    }

    /// What is the same for two processes only if they can name each other's descriptors: the system's boot, and the
    /// numbering of processes.
    private static func thisMachine() -> String {
        let boot = FileManager.default.contents(atPath: "/proc/sys/kernel/random/boot_id") ?? Data()
        var link = [CChar](repeating: 0, count: 64)
        let length = readlink("/proc/self/ns/pid", &link, link.count)
        let numbering = String(decoding: link.prefix(max(0, length)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        return String(decoding: boot, as: UTF8.self).filter { !$0.isWhitespace } + numbering
    }
}
