// Byte-pair encoding: a word starts as its characters (or its bytes), and the neighbouring pair that was learned first is
// joined, again and again. Reference: tokenizers/src/models/bpe/model.rs; Sennrich et al. 2016, arXiv:1508.07909.
//
// A character that is not in the vocabulary becomes its bytes `<0xNN>` with byte_fallback if all of them exist, else the
// unknown token, else nothing. Neighbouring unknowns are one with fuse_unk. An unknown is written when the next known
// character comes, so that it follows byte tokens that come between, as in the reference.
//
// Two shortcuts, both exact. Byte-level vocabularies read raw bytes instead of their printable stand-ins (ByteLevel.swift).
// And where no learned pair has a "▁" after anything but "▁", a text splits before each "▁" into words that can be cached.

import TuttiGround

/// The BPE model of tokenizer.json.
struct BytePairs: Sendable {
    private let tokens: TokenTable
    private let merges: MergeTable
    private let ignoresMerges: Bool
    private let fusesUnknown: Bool
    private let unknownId: Int32?
    /// Ids of the tokens `<0x00>` ... `<0xFF>`, -1 for a missing one; nil without byte_fallback.
    private let fallback: [Int32]?
    /// What all characters but the first have in front, and the last one behind.
    private let prefix: [UInt8]
    private let suffix: [UInt8]
    /// Ids of the bytes' stand-ins if words are raw bytes.
    private var byteIds: [Int32]?
    /// Ids of the ASCII characters, -1 for a missing one.
    private let asciiIds: [Int32]
    /// A character before which words may be cut.
    private let delimiter: [UInt8]?
    private static let affixLimit = 256

    /// The model described by `value`.
    ///
    /// Throws: `.data` for merges of tokens that are not in the vocabulary, or dropout.
    init(_ value: JSONValue, _ entries: [TokenModel.Entry], _ place: TokenizerPlace) throws(TuttiError) {
        if let dropout = value["dropout"], !dropout.isNull, dropout.double != 0 {
            throw place.error(
                key: "model.dropout", "dropout of merges makes token ids random", hint: "Set it to null.")
        }
        let tokens = try TokenTable(entries, place)
        prefix = Array((value["continuing_subword_prefix"]?.string ?? "").utf8)
        suffix = Array((value["end_of_word_suffix"]?.string ?? "").utf8)
        guard prefix.count <= BytePairs.affixLimit, suffix.count <= BytePairs.affixLimit else {
            let key = prefix.count > suffix.count ? "continuing_subword_prefix" : "end_of_word_suffix"
            throw place.error(key: "model.\(key)", "is longer than \(BytePairs.affixLimit) bytes, which is the limit")
        }
        merges = try MergeTable(value["merges"], tokens, prefixLength: prefix.count, place)
        ignoresMerges = try place.bool(value, "ignore_merges", default: false)
        fusesUnknown = try place.bool(value, "fuse_unk", default: false)
        let hasFallback = try place.bool(value, "byte_fallback", default: false)
        fallback = hasFallback ? ByteMap.names.map { tokens.id(of: $0) ?? -1 } : nil
        asciiIds = (0..<128).map { tokens.id(of: [UInt8($0)], 0..<1) ?? -1 }
        let isByteLevel = ByteMap.standIns.allSatisfy { tokens.id(of: String($0)) != nil }
        if let unknown = value["unk_token"]?.string {
            unknownId = tokens.id(of: unknown)
            guard unknownId != nil || isByteLevel else {
                throw place.error(key: "model.unk_token", "the token '\(unknown)' is not in the vocabulary")
            }
        } else {
            unknownId = nil
        }
        let space = Array("\u{2581}".utf8)
        let isPlain = !ignoresMerges && prefix.isEmpty && suffix.isEmpty
        let cuts = isPlain && tokens.id(of: space, 0..<space.count) != nil && merges.onlyFollowsItself(space, entries)
        delimiter = cuts ? space : nil
        self.tokens = tokens
    }

    /// The id of `token`.
    func id(of token: String) -> Int32? { tokens.id(of: token) }

    /// The model for words of raw bytes; nil unless each byte's stand-in is a token.
    var readingRawBytes: BytePairs? {
        guard prefix.isEmpty, suffix.isEmpty else { return nil }
        var ids: [Int32] = []
        for standIn in ByteMap.standIns {
            guard let id = tokens.id(of: String(standIn)) else { return nil }
            ids.append(id)
        }
        var model = self
        model.byteIds = ids
        return model
    }

    /// Appends the ids of the word `bytes[word]` to `ids`, which may stop once it has `limit` ids.
    ///
    /// Allocates: only to grow `ids` and `scratch`.
    func encode(
        _ bytes: [UInt8], _ word: Range<Int>, stopAt limit: Int, to ids: inout [Int32], scratch: inout ModelScratch
    ) {
        guard let delimiter, byteIds == nil else { return encodeWhole(bytes, word, to: &ids, &scratch) }
        var start = word.lowerBound
        while start < word.upperBound, ids.count < limit {
            let end = BytePairs.cut(bytes, start..<word.upperBound, delimiter)
            encodeWhole(bytes, start..<end, to: &ids, &scratch)
            start = end
        }
    }

    /// The first place in `range`, after its start, where a delimiter follows something else; else the end.
    @inline(__always)
    private static func cut(_ bytes: [UInt8], _ range: Range<Int>, _ delimiter: [UInt8]) -> Int {
        let (first, count) = (delimiter[0], delimiter.count)
        func isDelimiter(_ place: Int) -> Bool {
            guard bytes[place] == first, place + count <= range.upperBound else { return false }
            for offset in 1..<count where bytes[place + offset] != delimiter[offset] { return false }
            return true
        }
        var place = range.lowerBound
        while place < range.upperBound, isDelimiter(place) { place += count }
        while place < range.upperBound {
            if isDelimiter(place) { return place }
            place += 1
        }
        return range.upperBound
    }

    private func encodeWhole(
        _ bytes: [UInt8], _ word: Range<Int>, to ids: inout [Int32], _ scratch: inout ModelScratch
    ) {
        let key = WordCache.key(bytes, word)
        if let key, scratch.cache.append(key, to: &ids) { return }
        let start = ids.count
        compute(bytes, word, to: &ids, &scratch.symbols)
        if let key { scratch.cache.store(key, ids, from: start) }
    }

    private func compute(_ bytes: [UInt8], _ word: Range<Int>, to ids: inout [Int32], _ symbols: inout SymbolChain) {
        symbols.ids.removeAll(keepingCapacity: true)
        if let byteIds {
            if ignoresMerges, let id = wholeToken(bytes, word, &symbols.text) { return ids.append(id) }
            for position in word { symbols.ids.append(byteIds[Int(bytes[position])]) }
        } else {
            if ignoresMerges, let id = tokens.id(of: bytes, word) { return ids.append(id) }
            addCharacters(bytes, word, &symbols)
        }
        symbols.merge(merges)
        ids.append(contentsOf: symbols.ids)
    }

    /// The token that a word of raw bytes is as a whole.
    private func wholeToken(_ bytes: [UInt8], _ word: Range<Int>, _ text: inout [UInt8]) -> Int32? {
        text.removeAll(keepingCapacity: true)
        ByteMap.append(bytes, word, to: &text)
        return tokens.id(of: text, 0..<text.count)
    }

    /// The symbols that the characters of a word start as.
    private func addCharacters(_ bytes: [UInt8], _ word: Range<Int>, _ symbols: inout SymbolChain) {
        let isPlain = prefix.isEmpty && suffix.isEmpty
        var hasUnknown = false
        var position = word.lowerBound
        while position < word.upperBound {
            let start = position
            _ = UTF8Scalars.next(bytes, &position)
            var id: Int32?
            if isPlain {
                if bytes[start] < 0x80 {
                    let known = asciiIds[Int(bytes[start])]
                    id = known < 0 ? nil : known
                } else {
                    id = tokens.id(of: bytes, start..<position)
                }
            } else {
                symbols.text.removeAll(keepingCapacity: true)
                if start > word.lowerBound { symbols.text.append(contentsOf: prefix) }
                symbols.text.append(contentsOf: bytes[start..<position])
                if position == word.upperBound { symbols.text.append(contentsOf: suffix) }
                id = tokens.id(of: symbols.text, 0..<symbols.text.count)
            }
            if let id {
                if hasUnknown, let unknownId { symbols.ids.append(unknownId) }
                hasUnknown = false
                symbols.ids.append(id)
                continue
            }
            let isFallenBack =
                isPlain
                ? addBytes(bytes, start..<position, &symbols.ids)
                : addBytes(symbols.text, 0..<symbols.text.count, &symbols.ids)
            if isFallenBack { continue }
            if hasUnknown, !fusesUnknown, let unknownId { symbols.ids.append(unknownId) }
            hasUnknown = true
        }
        if hasUnknown, let unknownId { symbols.ids.append(unknownId) }
    }

    /// Appends the byte tokens of `bytes[range]` if all of them exist.
    private func addBytes(_ bytes: [UInt8], _ range: Range<Int>, _ ids: inout [Int32]) -> Bool {
        guard let fallback else { return false }
        for position in range where fallback[Int(bytes[position])] < 0 { return false }
        for position in range { ids.append(fallback[Int(bytes[position])]) }
        return true
    }
}
