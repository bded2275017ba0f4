// Numbers for the texts of a table: equal texts, and no others, get equal numbers.
//
// A hash table with open addressing over the cells' bytes. Hashes choose the slot, bytes decide, so that a collision
// can never make two texts one.

/// The number of the text in every cell.
struct TextNumbering {
    /// How many different texts there are.
    let count: Int
    private let numbers: [UInt32]
    private let columns: Int

    init(_ table: Table) {
        columns = table.columnNames.count
        let cells = table.rowCount * columns
        precondition(cells < Int(UInt32.max) / 2, "TextNumbering: \(cells) cells")
        var capacity = 16
        while capacity < cells * 2 { capacity *= 2 }
        // A slot holds the number of a text plus one, zero when free.
        var slots = [UInt32](repeating: 0, count: capacity)
        var firsts: [(range: Range<Int>, hash: UInt64)] = []
        var numbers = [UInt32](repeating: 0, count: cells)
        table.bytes.withUnsafeBytes { bytes in
            for cell in 0..<cells {
                let range = table.range(cell: cell)
                let hash = TextNumbering.hash(bytes, range)
                var slot = Int(truncatingIfNeeded: hash) & (capacity - 1)
                while true {
                    let held = slots[slot]
                    if held == 0 {
                        firsts.append((range, hash))
                        slots[slot] = UInt32(firsts.count)
                        numbers[cell] = UInt32(firsts.count - 1)
                        break
                    }
                    let first = firsts[Int(held) - 1]
                    if first.hash == hash, TextNumbering.equal(bytes, first.range, range) {
                        numbers[cell] = held - 1
                        break
                    }
                    slot = (slot + 1) & (capacity - 1)
                }
            }
        }
        count = firsts.count
        self.numbers = numbers
    }

    /// The numbers of the texts of a row.
    func texts(of row: Int32) -> ArraySlice<UInt32> { numbers[(Int(row) * columns)..<((Int(row) + 1) * columns)] }

    private static func equal(_ bytes: UnsafeRawBufferPointer, _ a: Range<Int>, _ b: Range<Int>) -> Bool {
        a.count == b.count && bytes[a].elementsEqual(bytes[b])
    }

    /// Eight bytes at a time, mixed as in MurmurHash3's finaliser.
    private static func hash(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> UInt64 {
        var hash = UInt64(range.count) &* 0x9E37_79B9_7F4A_7C15
        var index = range.lowerBound
        while index < range.upperBound {
            var word: UInt64 = 0
            if index + 8 <= range.upperBound {
                word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            } else {
                for place in (index..<range.upperBound).reversed() { word = word << 8 | UInt64(bytes[place]) }
            }
            hash = (hash ^ word) &* 0xFF51_AFD7_ED55_8CCD
            hash ^= hash >> 32
            index += 8
        }
        hash = (hash ^ hash >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ hash >> 33
    }
}
