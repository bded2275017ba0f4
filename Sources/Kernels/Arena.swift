// Memory for one training step: a bump allocator over one huge-page block that grows in place.
//
// A block is reserved as an address range of the size of the machine's memory and made usable as it is handed out, so
// that a batch larger than all before takes new pages only for the excess. If address space is limited, what does not
// fit goes to side blocks, and `reset` then replaces everything by one block of the largest size ever used. Either way
// nothing is allocated once the largest batch has been seen. Why huge pages: activations of a layer span tens of
// megabytes, and 4 KiB pages cost about 2 % of a step in TLB misses.

import CTuttiKernels
import Foundation

/// A bump allocator that owns its memory; views into it must not outlive it, nor a `reset`.
package struct Arena: ~Copyable {
    /// One address range, its usable part, and its start in the arena's running count of bytes.
    private struct Block {
        let base: UnsafeMutableRawPointer
        let reserved: Int
        var usable: Int
        let start: Int
    }

    private var blocks: [Block] = []
    private var peak = 0
    private static let pageBytes = 2 << 20

    /// An arena without memory; memory is added with the first requests.
    package init() {}

    deinit { for block in blocks { tutti_pages_unmap(block.base, Int64(block.reserved)) } }

    /// Bytes handed out since the last reset.
    package private(set) var used = 0

    /// Bytes usable now, including side blocks.
    package var capacity: Int { blocks.reduce(0) { $0 + $1.usable } }

    /// Frees everything; after an overflow, maps one block as large as the largest use so far.
    package mutating func reset() {
        used = 0
        guard blocks.count > 1 else { return }
        for block in blocks { tutti_pages_unmap(block.base, Int64(block.reserved)) }
        blocks.removeAll(keepingCapacity: true)
        blocks.append(Self.reserve(bytes: peak, start: 0))
    }

    /// `count` zero floats, 64-byte aligned: memory that was never handed out is zero and is not touched.
    package mutating func zeros(_ count: Int) -> UnsafeMutablePointer<Float> {
        let isNew = used == peak
        let floats = floats(count)
        if !isNew { floats.update(repeating: 0, count: count) }
        return floats
    }

    /// `count` uninitialised floats, 64-byte aligned.
    package mutating func floats(_ count: Int) -> UnsafeMutablePointer<Float> { allocate(Float.self, count) }

    /// `count` uninitialised doubles, 64-byte aligned.
    package mutating func doubles(_ count: Int) -> UnsafeMutablePointer<Double> { allocate(Double.self, count) }

    /// `count` uninitialised bf16 numbers, 64-byte aligned.
    package mutating func halves(_ count: Int) -> UnsafeMutablePointer<UInt16> { allocate(UInt16.self, count) }

    /// `count` uninitialised 32-bit integers, 64-byte aligned.
    package mutating func int32s(_ count: Int) -> UnsafeMutablePointer<Int32> { allocate(Int32.self, count) }

    /// `count` uninitialised unsigned 64-bit integers, 64-byte aligned.
    package mutating func uint64s(_ count: Int) -> UnsafeMutablePointer<UInt64> { allocate(UInt64.self, count) }

    /// An uninitialised contiguous matrix.
    package mutating func matrix(_ rows: Int, _ columns: Int) -> Matrix {
        Matrix(floats(rows * columns), rows, columns)
    }

    private mutating func allocate<T>(_: T.Type, _ count: Int) -> UnsafeMutablePointer<T> {
        precondition(count >= 0, "Arena: \(count) elements")
        let bytes = max(64, (count * MemoryLayout<T>.stride + 63) & ~63)
        return take(bytes).bindMemory(to: T.self, capacity: max(count, 1))
    }

    private mutating func take(_ bytes: Int) -> UnsafeMutableRawPointer {
        if blocks.last.map({ used - $0.start + bytes > $0.reserved }) ?? true {
            blocks.append(Self.reserve(bytes: max(bytes, peak / 2), start: used))
        }
        let last = blocks.count - 1
        let end = used - blocks[last].start + bytes
        if end > blocks[last].usable {
            let usable = Self.wholePages(end)
            guard tutti_pages_use(blocks[last].base, Int64(usable)) == 0 else { Self.refuse(usable) }
            blocks[last].usable = usable
        }
        used += bytes
        peak = max(peak, used)
        return blocks[last].base + (end - bytes)
    }

    private static func reserve(bytes: Int, start: Int) -> Block {
        var reserved = Int64(wholePages(bytes))
        guard let base = tutti_pages_reserve(&reserved) else { refuse(bytes) }
        return Block(base: base, reserved: Int(reserved), usable: 0, start: start)
    }

    private static func wholePages(_ bytes: Int) -> Int { (bytes + pageBytes - 1) / pageBytes * pageBytes }

    /// Ends the process with one line: whoever asked cannot go on. With code 75, since a checkpoint or a smaller batch may help.
    private static func refuse(_ bytes: Int) -> Never {
        var line =
            "tutti: error: memory: the system refused \(bytes >> 20) MiB. Use smaller batches, args.mini_batch_size or "
            + "args.auto_find_batch_size.\n"
        line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
        _exit(75)
    }
}
