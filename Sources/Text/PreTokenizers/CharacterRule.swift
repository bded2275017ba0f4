// Pre-tokenizers that treat each character by its properties alone: BertPreTokenizer, Whitespace, WhitespaceSplit.

/// Words cut by the properties of characters.
enum CharacterRule: Sendable {
    /// Removes white space; each punctuation mark is a separate word.
    case bert
    /// Runs of word characters, and runs of characters that are neither word characters nor white space.
    case whitespace
    /// Removes white space.
    case whitespaceSplit

    /// How a rule treats a code point.
    private enum Role { case word, otherWord, alone, removed }

    /// Appends the words of `bytes[range]` to `words`.
    func split(_ bytes: [UInt8], _ range: Range<Int>, into words: inout [Range<Int>]) {
        switch self {
        case .bert:
            CharacterRule.cut(bytes, range, into: &words) {
                $0.contains(.space) ? .removed : $0.contains(.punctuation) ? .alone : .word
            }
        case .whitespace:
            CharacterRule.cut(bytes, range, into: &words) {
                $0.contains(.word) ? .word : $0.contains(.space) ? .removed : .otherWord
            }
        case .whitespaceSplit:
            CharacterRule.cut(bytes, range, into: &words) { $0.contains(.space) ? .removed : .word }
        }
    }

    @inline(__always)
    private static func cut(
        _ bytes: [UInt8], _ range: Range<Int>, into words: inout [Range<Int>], _ role: (CodePointFlags) -> Role
    ) {
        let properties = UnicodeProperties.shared
        var start = range.lowerBound
        var current = Role.removed
        var position = range.lowerBound
        while position < range.upperBound {
            let place = position
            let next = role(properties.flags(UTF8Scalars.next(bytes, &position)))
            if next == current, next != .alone { continue }
            if current != .removed { words.append(start..<place) }
            start = place
            current = next
        }
        if current != .removed, start < range.upperBound { words.append(start..<range.upperBound) }
    }
}

/// The pre-tokenizer FixedLength.
enum FixedLength {
    /// Appends words of `length` characters, the last one perhaps shorter.
    static func split(_ bytes: [UInt8], _ range: Range<Int>, _ length: Int, into words: inout [Range<Int>]) {
        var position = range.lowerBound
        while position < range.upperBound {
            let start = position
            var count = 0
            while position < range.upperBound, count < length {
                _ = UTF8Scalars.next(bytes, &position)
                count += 1
            }
            words.append(start..<position)
        }
    }
}
