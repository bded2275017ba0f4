// Broken files by the thousand, the same in every run.

/// SplitMix64, for mutations that are the same in every run.
package struct Mutator: RandomNumberGenerator {
    private var state: UInt64

    /// The same mutations for the same seed.
    package init(_ seed: UInt64) { state = seed }

    /// The next random word.
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }

    /// `original` with a few bytes replaced, removed, doubled or cut off; `alphabet` is preferred for new bytes.
    package mutating func mutate(_ original: [UInt8], alphabet: [UInt8]) -> [UInt8] {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &self) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &self)
            let preferred = Bool.random(using: &self) ? alphabet.randomElement(using: &self) : nil
            let new = preferred ?? UInt8.random(in: 0...255, using: &self)
            switch Int.random(in: 0..<5, using: &self) {
            case 0: bytes[place] = new
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(new, at: place)
            case 3: bytes.removeSubrange(place...)
            default:
                let end = min(bytes.count, place + Int.random(in: 1...12, using: &self))
                bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0...bytes.count, using: &self))
            }
        }
        return bytes
    }
}
