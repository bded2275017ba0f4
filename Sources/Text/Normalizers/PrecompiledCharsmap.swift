// SentencePiece's precompiled character map, as the reference's Precompiled normalizer reads it.
//
// A grapheme cluster of fewer than 6 bytes becomes the replacement of the FIRST, shortest, match at its start, and all of
// it is replaced; a cluster without a match, or a longer one, is replaced code point by code point. SentencePiece itself
// takes the longest match and knows no clusters: where the two differ, the reference's ids are what models saw.
//
// Layout: the byte count of a double array (32 bits, little endian), its units, then the replacements, each ended by NUL.
// Unit: bits 0-7 and 31 label, bit 8 "a key ends here", bits 10-30 offset, shifted by 8 if bit 9 is set; of a leaf,
// bits 0-30 are the place of its replacement. Offsets of a damaged map are checked on every step: it matches nothing.
// Reference: spm_precompiled/src/lib.rs; tokenizers/src/normalizers/precompiled.rs; darts-clone.

import Foundation
import TuttiGround

/// The Precompiled normalizer of tokenizer.json.
struct PrecompiledCharsmap: Sendable {
    private let units: [UInt32]
    private let replacements: [UInt8]
    /// Whether each ASCII byte alone has a replacement.
    private var isReplaced: [Bool] = []
    /// The length in bytes of the longest replacement.
    let longestReplacement: Int

    /// The map in `bytes`; `key` names it in errors.
    ///
    /// Throws: `.data` for a map that is cut off or whose replacements are not UTF-8.
    init(_ bytes: [UInt8], key: String, _ place: TokenizerPlace) throws(TuttiError) {
        let hint = "Take the file from the original model again."
        func unit(_ start: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
        }
        guard bytes.count >= 4, case let size = Int(unit(0)), size >= 4, size % 4 == 0, size <= bytes.count - 4 else {
            throw place.error(
                key: key,
                "is not a character map: expected the size of a table and the table, found \(bytes.count) bytes",
                hint: hint)
        }
        units = stride(from: 4, to: 4 + size, by: 4).map(unit)
        replacements = Array(bytes[(4 + size)...])
        guard String(validating: replacements, as: UTF8.self) != nil else {
            throw place.error(key: key, "the replacements of the character map are not UTF-8", hint: hint)
        }
        longestReplacement = replacements.split(separator: 0).map(\.count).max() ?? 0
        isReplaced = (0..<128).map { replacement([UInt8($0)], 0, 1) != nil }
    }

    /// Reads the map of a Precompiled normalizer.
    ///
    /// Throws: `.data` for text that is not base64, and as above.
    init(base64 text: String, key: String, _ place: TokenizerPlace) throws(TuttiError) {
        guard let data = Data(base64Encoded: text) else {
            throw place.error(key: key, "is not base64", hint: "Take the file from the original model again.")
        }
        try self.init(Array(data), key: key, place)
    }

    /// Appends the normalized form of `source[range]` to `target`.
    func normalize(_ source: [UInt8], _ range: Range<Int>, to target: inout [UInt8]) {
        let clusters = GraphemeClusters.shared
        var position = range.lowerBound
        while position < range.upperBound {
            let byte = source[position]
            if byte < 0x80, !isReplaced[Int(byte)], isAlone(source, position, range.upperBound) {
                target.append(byte)
                position += 1
                continue
            }
            let end = clusters.end(source, position, range.upperBound)
            if end - position < 6, let place = replacement(source, position, end) {
                appendReplacement(place, to: &target)
                position = end
                continue
            }
            while position < end {
                let start = position
                position += UTF8Scalars.length(lead: source[start])
                if let place = replacement(source, start, position) {
                    appendReplacement(place, to: &target)
                } else {
                    target.append(contentsOf: source[start..<position])
                }
            }
        }
    }

    /// True if the ASCII byte at `position` is a cluster of its own because of the byte behind it.
    @inline(__always)
    private func isAlone(_ source: [UInt8], _ position: Int, _ limit: Int) -> Bool {
        position + 1 == limit || (source[position + 1] < 0x80 && source[position] != 0x0D)
    }

    /// The place of the replacement of the shortest key that `source[start..<end]` starts with; nil if there is none.
    private func replacement(_ source: [UInt8], _ start: Int, _ end: Int) -> Int? {
        var place = PrecompiledCharsmap.offset(units[0])
        for position in start..<end {
            let byte = source[position]
            place ^= Int(byte)
            guard byte != 0, place < units.count, units[place] & 0x8000_00FF == UInt32(byte) else { return nil }
            let unit = units[place]
            place ^= PrecompiledCharsmap.offset(unit)
            guard place < units.count else { return nil }
            if unit & 0x100 != 0 {
                let value = Int(units[place] & 0x7FFF_FFFF)
                // A place inside of a code point would make the text invalid.
                let isStart =
                    value <= replacements.count
                    && (value == replacements.count || replacements[value] & 0xC0 != 0x80)
                return isStart ? value : nil
            }
        }
        return nil
    }

    @inline(__always)
    private static func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int((unit & 0x200) >> 6) }

    private func appendReplacement(_ place: Int, to target: inout [UInt8]) {
        var place = place
        while place < replacements.count, replacements[place] != 0 {
            target.append(replacements[place])
            place += 1
        }
    }
}
