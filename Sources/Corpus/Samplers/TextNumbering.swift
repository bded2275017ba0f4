// Numbers for the texts of a table: equal texts, and no others, get equal numbers.
//
// A hash table with open addressing over the cells' bytes. Hashes choose the slot, bytes decide, so that a collision
// can never make two texts one.

/// The number of the text in every cell.
struct TextNumbering {
    /// The largest number.
    let count: Int
    /// From 1; 0 may stand for a text that occurs nowhere else.
    private let numbers: NumberColumn<UInt32>
    private let columns: Int
    /// Which rows of `numbers` the table has; nil for all.
    private let selection: [Int32]?

    init(_ table: Table) {
        columns = table.columnNames.count
        if let store = table.store {
            (numbers, count, selection) = (store.numbers, store.repeatedTexts, table.selection)
            return
        }
        selection = nil
        let cells = table.rowCount * columns
        precondition(cells < Int(UInt32.max) / 2, "TextNumbering: \(cells) cells")
        var capacity = 16
        while capacity < cells * 2 { capacity *= 2 }
        // A slot holds the number of a text, zero when free.
        var slots = [UInt32](repeating: 0, count: capacity)
        var firsts: [(range: Range<Int>, hash: UInt64)] = []
        var numbers = [UInt32](repeating: 0, count: cells)
        table.texts.withBytes { bytes in
            for cell in 0..<cells {
                let range = table.texts.range(table.cells.map { Int($0[cell]) } ?? cell)
                let hash = TextNumbering.hash(UnsafeRawBufferPointer(rebasing: bytes[range]))
                var slot = Int(truncatingIfNeeded: hash) & (capacity - 1)
                while true {
                    let held = slots[slot]
                    if held == 0 {
                        firsts.append((range, hash))
                        slots[slot] = UInt32(firsts.count)
                        numbers[cell] = UInt32(firsts.count)
                        break
                    }
                    let first = firsts[Int(held) - 1]
                    if first.hash == hash, TextNumbering.equal(bytes, first.range, range) {
                        numbers[cell] = held
                        break
                    }
                    slot = (slot + 1) & (capacity - 1)
                }
            }
        }
        count = firsts.count
        self.numbers = NumberColumn(numbers)
    }

    /// The numbers of the texts of a row; 0 for those that occur nowhere else, which some tables do not number.
    func texts(of row: Int32) -> Slice<NumberColumn<UInt32>> {
        let row = Int(selection.map { $0[Int(row)] } ?? row)
        return numbers[(row * columns)..<((row + 1) * columns)]
    }

    private static func equal(_ bytes: UnsafeRawBufferPointer, _ a: Range<Int>, _ b: Range<Int>) -> Bool {
        a.count == b.count && bytes[a].elementsEqual(bytes[b])
    }

    /// Eight bytes at a time, mixed as in MurmurHash3's finaliser.
    static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash = UInt64(bytes.count) &* 0x9E37_79B9_7F4A_7C15
        var index = 0
        while index < bytes.count {
            var word: UInt64 = 0
            if index + 8 <= bytes.count {
                word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            } else {
                for place in (index..<bytes.count).reversed() { word = word << 8 | UInt64(bytes[place]) }
            }
            hash = (hash ^ word) &* 0xFF51_AFD7_ED55_8CCD
            hash ^= hash >> 32
            index += 8
        }
        hash = (hash ^ hash >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ hash >> 33
    }
}
