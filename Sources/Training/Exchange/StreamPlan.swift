// StreamPlan: the messages in which the ranks of equal place on all nodes sum their part of the gradients.
//
// A parcel is a run of floats of equal group and adder (NodeTable), at most one message long. Of the word table it has
// only touched rows, so that one parcel may cover many chunks. Every rank that takes part in a parcel makes the same one
// and handles its parcels in the same order of rounds; within a round each node begins with the adder that follows it, so
// that not all send to the same node at once.

import TuttiEncoders
import TuttiKernels

/// A run of floats that travels in one message.
struct Parcel {
    var group: Int
    /// The node that adds it up.
    var adder: Int
    /// Its place among the parcels of its group and adder.
    var round: Int
    /// The first chunk, and the last, of a progression of chunks.
    var first: Int
    var last: Int
    /// The floats of the arena that it lies within.
    var bounds: Range<Int>
    /// Its floats: those of the stretches inside.
    var count = 0
}

/// The parcels of this rank, in the order in which it handles them. Making them again allocates nothing.
struct StreamPlan {
    private(set) var parcels: [Parcel] = []
    private let table: NodeTable
    private let chunks: ArenaChunks
    private let capacity: Int
    private var kinds: [[Parcel]]  // [groups of this rank * nodes]
    private var groups: [Int]

    /// - Parameter capacity: floats of one message.
    init(_ table: NodeTable, chunks: ArenaChunks, capacity: Int) {
        (self.table, self.chunks, self.capacity) = (table, chunks, capacity)
        groups = Array(table.groups)
        kinds = Array(repeating: [], count: groups.count * table.count)
    }

    /// Chunks from one to the next of equal group and adder.
    private var stride: Int { table.period * table.count }

    /// Makes the parcels of `range` of the arena, of which only what is touched travels.
    mutating func make(of range: Range<Int>, _ touched: TouchedRows) {
        var rounds = 0
        for kind in kinds.indices {
            kinds[kind].removeAll(keepingCapacity: true)
            let (group, adder) = (groups[kind / table.count], kind % table.count)
            fill(kind, group: group, adder: adder, range, touched)
            rounds = max(rounds, kinds[kind].count)
        }
        parcels.removeAll(keepingCapacity: true)
        for round in 0..<rounds {
            for place in groups.indices {
                for turn in 1...table.count {
                    let kind = place * table.count + (table.node + turn) % table.count
                    if round < kinds[kind].count { parcels.append(kinds[kind][round]) }
                }
            }
        }
    }

    /// Calls `body` with the stretches of a parcel, ascending.
    @inline(__always)
    func forEachStretch(of parcel: Parcel, _ touched: TouchedRows, _ body: (Range<Int>) -> Void) {
        for chunk in Swift.stride(from: parcel.first, through: parcel.last, by: stride) {
            touched.forEachStretch(in: chunks.range(chunk).clamped(to: parcel.bounds), body)
        }
    }

    private mutating func fill(
        _ kind: Int, group: Int, adder: Int, _ range: Range<Int>, _ touched: TouchedRows
    ) {
        var parcel: Parcel?
        for chunk in Swift.stride(from: group + table.period * adder, to: chunks.count, by: stride) {
            touched.forEachStretch(in: chunks.range(chunk).clamped(to: range)) { stretch in
                var left = stretch
                while !left.isEmpty {
                    var open =
                        parcel
                        ?? Parcel(
                            group: group, adder: adder, round: kinds[kind].count, first: chunk, last: chunk,
                            bounds: left.lowerBound..<left.lowerBound)
                    let taken = left.prefix(capacity - open.count)
                    open.last = chunk
                    open.bounds = open.bounds.lowerBound..<taken.endIndex
                    open.count += taken.count
                    left = taken.endIndex..<left.upperBound
                    parcel = open
                    if open.count == capacity {
                        kinds[kind].append(open)
                        parcel = nil
                    }
                }
            }
            // The end of a dense chunk ends a parcel, which then need not be packed; a few touched rows wait for more.
            if let open = parcel, open.count >= capacity / 4 {
                kinds[kind].append(open)
                parcel = nil
            }
        }
        if let parcel { kinds[kind].append(parcel) }
    }
}
