// Memory for one training step: a bump allocator over one huge-page block.
//
// What does not fit goes to side blocks; `reset` after such an overflow replaces everything by one block of the largest
// size ever used, so that no allocation happens once the largest batch was seen. Why huge pages: activations of a layer
// span tens of megabytes, and 4 KiB pages cost about 2 % of a step in TLB misses.

import CTuttiKernels

/// A bump allocator that owns its memory; views into it must not outlive it, nor a `release` or `reset` below them.
public struct Arena: ~Copyable {
    /// One mapping and where it begins in the arena's running count of bytes.
    private struct Block {
        let base: UnsafeMutableRawPointer
        let bytes: Int
        let start: Int
    }

    private var main: Block?
    private var sides: [Block] = []
    private var used = 0
    private var peak = 0
    private static let pageBytes = 2 << 20

    /// An arena without memory; blocks come with the first requests.
    public init() {}

    deinit {
        for block in sides { tutti_pages_unmap(block.base, Int64(block.bytes)) }
        if let main { tutti_pages_unmap(main.base, Int64(main.bytes)) }
    }

    /// Bytes mapped now, side blocks included.
    public var capacity: Int { sides.reduce(main?.bytes ?? 0) { $0 + $1.bytes } }

    /// Bytes handed out since the last reset; give it to `release(to:)` to take back everything handed out later.
    public var mark: Int { used }

    /// Takes back what was handed out after `mark` was read.
    public mutating func release(to mark: Int) {
        precondition(mark >= 0 && mark <= used, "Arena: release to \(mark) of \(used)")
        while let last = sides.last, last.start >= mark {
            if last.start == 0 && main == nil { break }
            tutti_pages_unmap(last.base, Int64(last.bytes))
            sides.removeLast()
        }
        used = mark
    }

    /// Takes everything back; after an overflow, maps one block as large as the largest use so far.
    public mutating func reset() {
        used = 0
        let tooSmall = peak > (main?.bytes ?? 0)
        guard tooSmall else {
            releaseSides()
            return
        }
        releaseSides()
        if let main { tutti_pages_unmap(main.base, Int64(main.bytes)) }
        main = Self.map(bytes: peak, start: 0)
    }

    /// `count` uninitialised floats, 64-byte aligned.
    public mutating func floats(_ count: Int) -> UnsafeMutablePointer<Float> { allocate(Float.self, count) }

    /// `count` uninitialised doubles, 64-byte aligned.
    public mutating func doubles(_ count: Int) -> UnsafeMutablePointer<Double> { allocate(Double.self, count) }

    /// `count` uninitialised 32-bit integers, 64-byte aligned.
    public mutating func int32s(_ count: Int) -> UnsafeMutablePointer<Int32> { allocate(Int32.self, count) }

    /// `count` uninitialised unsigned 64-bit integers, 64-byte aligned.
    public mutating func uint64s(_ count: Int) -> UnsafeMutablePointer<UInt64> { allocate(UInt64.self, count) }

    /// An uninitialised contiguous matrix.
    public mutating func matrix(_ rows: Int, _ columns: Int) -> Matrix {
        Matrix(floats(rows * columns), rows, columns)
    }

    private mutating func allocate<T>(_: T.Type, _ count: Int) -> UnsafeMutablePointer<T> {
        precondition(count >= 0, "Arena: \(count) elements")
        let bytes = max(64, (count * MemoryLayout<T>.stride + 63) & ~63)
        return take(bytes).bindMemory(to: T.self, capacity: max(count, 1))
    }

    private mutating func take(_ bytes: Int) -> UnsafeMutableRawPointer {
        if sides.isEmpty, let main, used + bytes <= main.bytes {
            return advance(main, by: bytes)
        }
        if let last = sides.last, used - last.start + bytes <= last.bytes {
            return advance(last, by: bytes)
        }
        let block = Self.map(bytes: max(bytes, peak / 2), start: used)
        sides.append(block)
        return advance(block, by: bytes)
    }

    private mutating func advance(_ block: Block, by bytes: Int) -> UnsafeMutableRawPointer {
        let pointer = block.base + (used - block.start)
        used += bytes
        peak = max(peak, used)
        return pointer
    }

    private mutating func releaseSides() {
        for block in sides { tutti_pages_unmap(block.base, Int64(block.bytes)) }
        sides.removeAll(keepingCapacity: true)
    }

    private static func map(bytes: Int, start: Int) -> Block {
        let rounded = (bytes + pageBytes - 1) / pageBytes * pageBytes
        guard let base = tutti_pages_map(Int64(rounded)) else {
            preconditionFailure("Arena: the system refused \(rounded >> 20) MiB; use smaller batches or mini-batches")
        }
        return Block(base: base, bytes: rounded, start: start)
    }
}
