// StateArena: an optimizer's arena, of which a memory may store only some chunks.
//
// With `optimizer_sharding: all` a memory has the chunks that its ranks update, one after the other; else it has all of
// them, each in its place.
//
// Reference: Rajbhandari et al. 2020, "ZeRO" (arXiv 1910.02054), stage 1.

import TuttiKernels

/// The chunks of an arena that one memory stores.
package struct StoredChunks: Sendable {
    /// They as floats of the arena, ascending.
    package let ranges: [Range<Int>]
    /// Floats that they take together.
    package let floats: Int
    private let starts: [Int]  // [chunks of the arena] where each is stored; -1 = elsewhere

    /// Those chunks whose number `isStored` approves.
    init(of chunks: ArenaChunks, where isStored: (Int) -> Bool = { _ in true }) {
        var (ranges, starts, floats) = ([Range<Int>](), [Int](repeating: -1, count: chunks.count), 0)
        for chunk in 0..<chunks.count where isStored(chunk) {
            starts[chunk] = floats
            ranges.append(chunks.range(chunk))
            floats += chunks.range(chunk).count
        }
        (self.ranges, self.starts, self.floats) = (ranges, starts, floats)
    }

    /// Whether the chunk with this float of the arena is stored.
    func contains(_ float: Int) -> Bool { starts[float / OptimizerKernels.chunk] >= 0 }

    /// Where a float of the arena is stored.
    @inline(__always)
    func place(of float: Int) -> Int {
        let start = starts[float / OptimizerKernels.chunk]
        precondition(start >= 0, "StoredChunks: float \(float) is stored elsewhere")
        return start + float % OptimizerKernels.chunk
    }
}

/// An arena in the layout of the parameters, as far as this memory stores it.
package struct StateArena {
    /// What of it is stored here.
    package let stored: StoredChunks
    /// The chunks, one after the other.
    package let floats: UnsafeMutableBufferPointer<Float>

    /// The arena whose stored chunks `floats` holds.
    init(_ stored: StoredChunks, _ floats: UnsafeMutableBufferPointer<Float>) {
        precondition(floats.count == stored.floats, "StateArena: \(stored.floats) floats in \(floats.count)")
        (self.stored, self.floats) = (stored, floats)
    }

    /// Floats of the arena: any range where all chunks are stored, else a part of one that is.
    @inline(__always)
    package subscript(range: Range<Int>) -> UnsafeMutableBufferPointer<Float> {
        if range.isEmpty { return UnsafeMutableBufferPointer(start: nil, count: 0) }
        let start = stored.place(of: range.lowerBound)
        precondition(
            stored.place(of: range.upperBound - 1) == start + range.count - 1,
            "StateArena: \(range) is not stored in one piece")
        return UnsafeMutableBufferPointer(rebasing: floats[start..<start + range.count])
    }
}
