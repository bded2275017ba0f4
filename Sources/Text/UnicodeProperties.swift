// Properties, decompositions and lowercase mappings of code points, unpacked once from UnicodeTables.
//
// One byte of flags per code point in a two-level table (4,352 blocks of 256, equal blocks shared) answers every
// predicate of the normalizers and pre-tokenizers with two loads. Mappings are few and kept in dictionaries that only
// flagged code points reach. Hangul syllables are composed and decomposed by arithmetic (The Unicode Standard, 3.12).

/// Flags of one code point.
struct CodePointFlags: OptionSet {
    let rawValue: UInt8
    /// clean_text removes it.
    static let dropped = CodePointFlags(rawValue: 1)
    /// White space of the pre-tokenizers.
    static let space = CodePointFlags(rawValue: 2)
    /// handle_chinese_chars isolates it.
    static let cjk = CodePointFlags(rawValue: 4)
    /// A non-spacing mark.
    static let nonspacing = CodePointFlags(rawValue: 8)
    /// Punctuation.
    static let punctuation = CodePointFlags(rawValue: 16)
    /// Relevant to normalization: it decomposes or its combining class is not 0.
    static let normalizes = CodePointFlags(rawValue: 32)
    /// Lowercasing changes it.
    static let cased = CodePointFlags(rawValue: 64)
    /// A word character of the regular expression `\w`.
    static let word = CodePointFlags(rawValue: 128)
}

/// The unpacked tables.
final class UnicodeProperties: Sendable {
    /// The shared instance.
    static let shared = UnicodeProperties()

    private let blocks: [UInt16]
    private let flagBytes: [UInt8]
    /// Code points that clean_text turns into a space.
    let cleanedSpaces: Set<UInt32>
    /// Marks that the StripAccents normalizer removes.
    let marks: Set<UInt32>
    /// Lowercase mapping of the code points flagged `cased`.
    let lowercase: [UInt32: [UInt32]]
    /// Combining classes other than 0.
    let combiningClasses: [UInt32: UInt8]
    /// Full canonical decompositions, without Hangul.
    let canonical: [UInt32: [UInt32]]
    /// Full compatibility decompositions that differ from the canonical ones.
    let compatibility: [UInt32: [UInt32]]
    /// Compositions, keyed by the first and second code point of a pair.
    let compositions: [UInt64: UInt32]

    private init() {
        var flags = [UInt8](repeating: 0, count: 0x110000)
        func mark(_ table: String, _ flag: CodePointFlags) {
            for range in UnicodeProperties.ranges(table) { for point in range { flags[point] |= flag.rawValue } }
        }
        mark(UnicodeTables.dropped, .dropped)
        mark(UnicodeTables.space, .space)
        mark(UnicodeTables.cjk, .cjk)
        mark(UnicodeTables.nonspacing, .nonspacing)
        mark(UnicodeTables.punctuation, .punctuation)
        mark(UnicodeTables.word, .word)
        cleanedSpaces = Set(UnicodeProperties.ranges(UnicodeTables.cleanedSpace).joined().map(UInt32.init))
        marks = Set(UnicodeProperties.ranges(UnicodeTables.mark).joined().map(UInt32.init))
        lowercase = UnicodeProperties.mappings(UnicodeTables.lowercase)
        canonical = UnicodeProperties.mappings(UnicodeTables.canonical)
        compatibility = UnicodeProperties.mappings(UnicodeTables.compatibility)
        combiningClasses = UnicodeProperties.mappings(UnicodeTables.combiningClass).mapValues { UInt8($0[0]) }
        for point in lowercase.keys { flags[Int(point)] |= CodePointFlags.cased.rawValue }
        for point in canonical.keys { flags[Int(point)] |= CodePointFlags.normalizes.rawValue }
        for point in combiningClasses.keys { flags[Int(point)] |= CodePointFlags.normalizes.rawValue }
        for point in Hangul.syllables { flags[Int(point)] |= CodePointFlags.normalizes.rawValue }

        var blocks: [UInt16] = []
        var unique: [UInt8] = []
        var known: [ArraySlice<UInt8>: UInt16] = [:]
        for start in stride(from: 0, to: flags.count, by: 256) {
            let block = flags[start..<start + 256]
            if let place = known[block] {
                blocks.append(place)
            } else {
                let place = UInt16(unique.count / 256)
                known[block] = place
                blocks.append(place)
                unique.append(contentsOf: block)
            }
        }
        self.blocks = blocks
        flagBytes = unique
        compositions = UnicodeProperties.pairs(canonical)
    }

    /// The flags of `point`.
    @inline(__always)
    func flags(_ point: UInt32) -> CodePointFlags {
        CodePointFlags(rawValue: flagBytes[Int(blocks[Int(point >> 8)]) << 8 | Int(point & 255)])
    }

    /// The canonical combining class of `point`.
    func combiningClass(_ point: UInt32) -> UInt8 {
        flags(point).contains(.normalizes) ? combiningClasses[point] ?? 0 : 0
    }

    /// The last pair of a decomposition, once all but its last code point are composed.
    private static func pairs(_ canonical: [UInt32: [UInt32]]) -> [UInt64: UInt32] {
        let excluded = Set(ranges(UnicodeTables.notComposed).joined().map(UInt32.init))
        var pairs: [UInt64: UInt32] = [:]
        let composable = canonical.filter { $0.value.count > 1 && !excluded.contains($0.key) }
        for (point, parts) in composable.sorted(by: { $0.value.count < $1.value.count }) {
            var first = parts[0]
            for part in parts[1..<(parts.count - 1)] { first = pairs[UInt64(first) << 32 | UInt64(part)] ?? first }
            pairs[UInt64(first) << 32 | UInt64(parts[parts.count - 1])] = point
        }
        return pairs
    }

    private static func hexadecimal<Digits: StringProtocol>(_ digits: Digits) -> UInt32 {
        guard let value = UInt32(digits, radix: 16) else {
            preconditionFailure("table entry '\(digits)' is not a number")
        }
        return value
    }

    static func ranges(_ table: String) -> [ClosedRange<Int>] {
        var last = 0
        return table.split(separator: " ").map { entry in
            let parts = entry.split(separator: "-")
            let start = last + Int(hexadecimal(parts[0]))
            last = start + (parts.count > 1 ? Int(hexadecimal(parts[1])) : 0)
            return start...last
        }
    }

    private static func mappings(_ table: String) -> [UInt32: [UInt32]] {
        var last: UInt32 = 0
        var mappings: [UInt32: [UInt32]] = [:]
        for entry in table.split(separator: " ") {
            let parts = entry.split(separator: "=")
            last += hexadecimal(parts[0])
            mappings[last] = parts[1].split(separator: ",").map { hexadecimal($0) }
        }
        return mappings
    }
}

/// The arithmetic of Hangul syllables: leading consonant, vowel, trailing consonant.
enum Hangul {
    static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3
    private static let leading: UInt32 = 0x1100
    private static let vowel: UInt32 = 0x1161
    private static let trailing: UInt32 = 0x11A7

    /// Vowels and trailing consonants: the letters that join what is before them.
    static let seconds: ClosedRange<UInt32> = 0x1161...0x11C2

    /// True for a syllable without a trailing consonant.
    static func isOpen(_ syllable: UInt32) -> Bool { (syllable - syllables.lowerBound) % 28 == 0 }

    /// Calls `emit` with the two or three letters of a syllable.
    @inline(__always)
    static func decompose(_ syllable: UInt32, _ emit: (UInt32) -> Void) {
        let index = syllable - syllables.lowerBound
        emit(leading + index / 588)
        emit(vowel + index % 588 / 28)
        if index % 28 != 0 { emit(trailing + index % 28) }
    }

    /// The syllable that `first` and `second` form, if they form one.
    static func compose(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if first >= leading, first < leading + 19, second >= vowel, second < vowel + 21 {
            return syllables.lowerBound + ((first - leading) * 21 + (second - vowel)) * 28
        }
        if syllables.contains(first), isOpen(first), second > trailing, second < trailing + 28 {
            return first + (second - trailing)
        }
        return nil
    }
}
