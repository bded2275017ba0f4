// Tokens that are matched in a text before the model sees it: "[SEP]", "<mask>", and tokens added by users.
//
// Matches are leftmost-longest and do not overlap. A single_word token matches only without a word character on either
// side; lstrip and rstrip absorb adjacent white space. Tokens with `normalized` are matched in the normalized text, in
// their own normalized form; the others in the raw text. Reference:
// tokenizers/src/tokenizer/added_vocabulary.rs.

import TuttiGround

/// One added token.
struct AddedToken: Sendable, Equatable {
    var content: String
    var id: Int32
    var isSpecial = false
    var isNormalized = false
    var isSingleWord = false
    var stripsLeft = false
    var stripsRight = false
}

/// A set of added tokens that are matched in the same text.
struct AddedTokenMatcher: Sendable {
    private let tokens: [AddedToken]
    private var trie = ByteTrie()
    private let root: UInt32
    private var startsToken = [Bool](repeating: false, count: 256)

    /// A piece of a text: an added token, or the text between two of them.
    struct Piece: Equatable {
        let range: Range<Int>
        let id: Int32?
    }

    /// A matcher; `patterns` are the strings to match, in the order of `tokens`. Empty patterns never match.
    ///
    /// Throws: `.data` if the patterns are too long in total.
    init(_ tokens: [AddedToken], patterns: [[UInt8]], path: String) throws(TuttiError) {
        self.tokens = tokens
        root = trie.addRoot()
        for (index, pattern) in patterns.enumerated() {
            guard let first = pattern.first else { continue }
            guard trie.insert(pattern, below: root, value: Int32(index)) else {
                throw TokenizerPlace(path: path).tooLarge("added_tokens")
            }
            startsToken[Int(first)] = true
        }
    }

    /// True if nothing can match.
    var isEmpty: Bool { tokens.isEmpty }

    /// Appends the pieces of `bytes[range]`, in order and without empty ones, to `pieces`.
    func split(_ bytes: [UInt8], _ range: Range<Int>, into pieces: inout [Piece]) {
        if isEmpty {
            if !range.isEmpty { pieces.append(Piece(range: range, id: nil)) }
            return
        }
        var copied = range.lowerBound
        var position = range.lowerBound
        while position < range.upperBound {
            guard startsToken[Int(bytes[position])] else {
                position += 1
                continue
            }
            let match = trie.longestPrefix(bytes, position, range.upperBound, below: root)
            guard match.value >= 0 else {
                position += 1
                continue
            }
            let token = tokens[Int(match.value)]
            var start = position
            var end = match.end
            position = match.end
            if token.isSingleWord, touchesWord(bytes, range, start, end) { continue }
            if token.stripsLeft { start = max(copied, spaceStart(bytes, range, before: start)) }
            if token.stripsRight { end = spaceEnd(bytes, range, after: end) }
            if copied < start { pieces.append(Piece(range: copied..<start, id: nil)) }
            pieces.append(Piece(range: min(start, end)..<end, id: token.id))
            copied = end
        }
        if copied < range.upperBound { pieces.append(Piece(range: copied..<range.upperBound, id: nil)) }
    }

    private func touchesWord(_ bytes: [UInt8], _ range: Range<Int>, _ start: Int, _ end: Int) -> Bool {
        let properties = UnicodeProperties.shared
        if start > range.lowerBound {
            var position = start
            if properties.flags(UTF8Scalars.previous(bytes, &position)).contains(.word) { return true }
        }
        if end < range.upperBound {
            var position = end
            if properties.flags(UTF8Scalars.next(bytes, &position)).contains(.word) { return true }
        }
        return false
    }

    private func spaceStart(_ bytes: [UInt8], _ range: Range<Int>, before start: Int) -> Int {
        var found = start
        while found > range.lowerBound {
            var position = found
            guard UnicodeProperties.shared.flags(UTF8Scalars.previous(bytes, &position)).contains(.space) else { break }
            found = position
        }
        return found
    }

    private func spaceEnd(_ bytes: [UInt8], _ range: Range<Int>, after end: Int) -> Int {
        var found = end
        while found < range.upperBound {
            var position = found
            guard UnicodeProperties.shared.flags(UTF8Scalars.next(bytes, &position)).contains(.space) else { break }
            found = position
        }
        return found
    }
}
