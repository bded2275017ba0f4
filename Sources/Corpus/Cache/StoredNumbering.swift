// Numbers for the texts of a store, so that a sampler can tell equal texts without reading any: 0 for a text that occurs
// once, else equal numbers for equal texts.
//
// A hash table of all texts of a hundred million rows would not fit into memory. The digests are gone through several
// times instead, each time for those of one range, whose table does. Digests choose, bytes decide: two texts with one
// digest stay two.

import TuttiFormats
import TuttiGround

/// The number of every text.
struct StoredNumbering {
    /// One a text.
    let numbers: [UInt32]
    /// How many different texts occur more than once.
    let repeated: Int

    /// Texts whose table is in memory at a time; 16 bytes each.
    private static let atATime = 1 << 23

    init(texts: CheckedFile, offsets: OffsetTable, digests: NumberColumn<UInt64>) {
        let count = digests.count
        let passes = UInt64((count + StoredNumbering.atATime - 1) / StoredNumbering.atATime)
        var capacity = 16
        while capacity < 2 * min(count, StoredNumbering.atATime) { capacity *= 2 }
        var numbers = [UInt32](repeating: 0, count: count)
        var repeated: UInt32 = 0
        // A slot holds a digest and the number of a text with it plus one; zero when free.
        var slots = [(digest: UInt64, text: UInt32)](repeating: (0, 0), count: capacity)
        func bytes(_ text: Int) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: texts.bytes[offsets[text]])
        }
        digests.withBytes { raw in
            let digests = raw.bindMemory(to: UInt64.self)
            for pass in 0..<passes {
                if pass > 0 { for slot in slots.indices { slots[slot] = (0, 0) } }
                for text in 0..<count {
                    let digest = digests[text]
                    // The high bits choose the pass, the low ones the slot.
                    guard passes == 1 || ((digest >> 32) &* passes) >> 32 == pass else { continue }
                    var slot = Int(truncatingIfNeeded: digest) & (capacity - 1)
                    while true {
                        let (held, first) = slots[slot]
                        if first == 0 {
                            slots[slot] = (digest, UInt32(text) + 1)
                            break
                        }
                        if held == digest, bytes(Int(first) - 1).elementsEqual(bytes(text)) {
                            if numbers[Int(first) - 1] == 0 {
                                repeated += 1
                                numbers[Int(first) - 1] = repeated
                            }
                            numbers[text] = numbers[Int(first) - 1]
                            break
                        }
                        slot = (slot + 1) & (capacity - 1)
                    }
                }
            }
        }
        texts.release()
        offsets.release()
        self.numbers = numbers
        self.repeated = Int(repeated)
    }
}
