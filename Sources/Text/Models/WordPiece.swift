// WordPiece: a word becomes the longest vocabulary entry that is its prefix, then the longest `##` entry that is a
// prefix of the rest, and so on; a word that cannot be covered, or is too long, becomes the unknown token.
// Reference: tokenizers/src/models/wordpiece/mod.rs; Wu et al. 2016, arXiv:1609.08144.

import TuttiGround

/// The WordPiece model of tokenizer.json.
struct WordPiece: Sendable {
    private let trie: ByteTrie
    private let wordRoot: UInt32
    private let continuationRoot: UInt32
    /// The id of words that cannot be covered.
    let unknownId: Int32
    private let maximumCharacters: Int

    /// The model described by `value`; max_input_chars_per_word counts code points.
    ///
    /// Throws: `.data` for a missing unknown token, a negative limit, or a vocabulary that is too large.
    init(_ value: JSONValue, _ entries: [TokenModel.Entry], _ place: TokenizerPlace) throws(TuttiError) {
        let unknown = value["unk_token"]?.string ?? "[UNK]"
        guard let entry = entries.first(where: { $0.token.utf8.elementsEqual(unknown.utf8) }) else {
            throw place.error(key: "model.unk_token", "the token '\(unknown)' is not in the vocabulary")
        }
        let limit = value["max_input_chars_per_word"] ?? .integer(100)
        guard let maximumCharacters = limit.int, maximumCharacters >= 0 else {
            throw place.error(key: "model.max_input_chars_per_word", "expected an integer of at least 0")
        }
        var trie = ByteTrie()
        wordRoot = trie.addRoot()
        continuationRoot = trie.addRoot()
        let prefix = Array((value["continuing_subword_prefix"]?.string ?? "##").utf8)
        for (token, id) in entries {
            guard trie.insert(token.utf8, below: wordRoot, value: id) else { throw place.tooLarge("model.vocab") }
            guard token.utf8.starts(with: prefix) else { continue }
            guard trie.insert(token.utf8.dropFirst(prefix.count), below: continuationRoot, value: id) else {
                throw place.tooLarge("model.vocab")
            }
        }
        self.trie = trie
        unknownId = entry.id
        self.maximumCharacters = maximumCharacters
    }

    /// The id of `token`, which must be a whole vocabulary entry.
    func id(of token: String) -> Int32? { trie.value(of: token.utf8, below: wordRoot) }

    /// Appends the ids of the word `bytes[word]` to `ids`.
    func encode(_ bytes: [UInt8], _ word: Range<Int>, to ids: inout [Int32]) {
        if word.count > maximumCharacters, isTooLong(bytes, word) {
            ids.append(unknownId)
            return
        }
        let before = ids.count
        var position = word.lowerBound
        var root = wordRoot
        while position < word.upperBound {
            let piece = trie.longestPrefix(bytes, position, word.upperBound, below: root)
            guard piece.value >= 0, piece.end > position else {
                ids.removeSubrange(before...)
                ids.append(unknownId)
                return
            }
            ids.append(piece.value)
            position = piece.end
            root = continuationRoot
        }
    }

    private func isTooLong(_ bytes: [UInt8], _ word: Range<Int>) -> Bool {
        var characters = 0
        for position in word where bytes[position] & 0xC0 != 0x80 {
            characters += 1
            if characters > maximumCharacters { return true }
        }
        return false
    }
}
