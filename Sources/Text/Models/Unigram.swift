// Unigram: a word becomes the sequence of pieces with the highest sum of scores. Characters at which no piece of exactly
// that character starts may be unknown, at the lowest score of the vocabulary less 10; neighbouring unknowns are one token.
//
// Equal sums: the path found first stays, which is the one whose last piece starts earliest. Sums are in double precision
// from left to right, so that ties fall as in the reference. An unknown run is looked up once more: it may be a piece by
// chance, else its bytes are written as `<0xNN>` tokens if byte_fallback is set and all of them exist, else it is unk_id.
// Reference: tokenizers/src/models/unigram/model.rs; Kudo 2018, arXiv:1804.10959.

import TuttiGround

/// The Unigram model of tokenizer.json.
struct Unigram: Sendable {
    private let trie: PieceTrie
    private let scores: [Double]
    private let unknownScore: Double
    /// The id of what no piece covers.
    let unknownId: Int32
    /// The id of each byte's token `<0xNN>`, -1 if it has none; empty without byte fallback.
    private let byteIds: [Int32]

    /// How much an unknown character costs beyond the lowest score.
    private static let unknownPenalty = 10.0
    /// The maximum length of a piece in bytes: it bounds the work of a text of equal characters.
    static let pieceLimit = 4096

    /// A place of a word: the best path that ends there.
    struct Node {
        var score: Double
        /// Where the path's last piece starts; -1 before a path is found.
        var start: Int32
        var id: Int32
    }

    /// Buffers of the search.
    struct Scratch: Sendable {
        var nodes: [Node] = []
        /// The ends of the best path's pieces, last first.
        var ends: [Int32] = []
    }

    /// The model described by `value` with the pieces `entries` and their `scores`; ids are places in the list.
    ///
    /// Throws: `.data` for pieces that are too long or too many, or without an unknown piece.
    init(
        _ value: JSONValue, _ entries: [TokenModel.Entry], scores: [Double], _ place: TokenizerPlace
    ) throws(TuttiError) {
        guard let unknown = value["unk_id"]?.int, entries.indices.contains(unknown) else {
            throw place.error(
                key: "model.unk_id",
                "expected a place in the vocabulary of \(entries.count) pieces, found \((value["unk_id"] ?? .null).serialized())",
                hint: "Without it no text with a character outside of the vocabulary could be encoded.")
        }
        unknownId = Int32(unknown)
        let isFallback = try place.bool(value, "byte_fallback", default: false)
        var pieces = ByteStrings(capacity: entries.count)
        for (piece, _) in entries {
            guard piece.utf8.count <= Unigram.pieceLimit else {
                throw place.error(
                    key: "model.vocab",
                    "a piece has \(piece.utf8.count) bytes; the limit is \(Unigram.pieceLimit)")
            }
            pieces.append(piece.utf8)
        }
        guard let trie = PieceTrie(pieces) else { throw place.tooLarge("model.vocab") }
        self.trie = trie
        self.scores = scores
        unknownScore = (scores.min() ?? 0) - Unigram.unknownPenalty
        byteIds = isFallback ? ByteMap.names.map { trie.value(of: $0.utf8) } : []
    }

    /// The pieces and scores of the list `vocab`.
    ///
    /// Throws: `.data` for an empty list, or an entry that is not ["piece", score].
    static func vocabulary(
        _ value: JSONValue, _ place: TokenizerPlace
    ) throws(TuttiError) -> (entries: [TokenModel.Entry], scores: [Double]) {
        let list = try place.array(value, "vocab")
        guard !list.isEmpty, list.count < Int(Int32.max) else {
            throw place.error(key: "model.vocab", "has \(list.count) pieces")
        }
        var entries: [TokenModel.Entry] = []
        var scores: [Double] = []
        entries.reserveCapacity(list.count)
        scores.reserveCapacity(list.count)
        for (index, item) in list.enumerated() {
            guard let pair = item.array, pair.count == 2, let piece = pair[0].string, let score = pair[1].double else {
                throw place.error(key: "model.vocab", "entry \(index) is not [\"piece\", score]")
            }
            entries.append((piece, Int32(index)))
            scores.append(score)
        }
        return (entries, scores)
    }

    /// The id of `token`, which must be a whole piece.
    func id(of token: String) -> Int32? {
        let id = trie.value(of: token.utf8)
        return id < 0 ? nil : id
    }

    /// Appends the ids of the word `bytes[word]` to `ids`.
    ///
    /// Allocates: only to grow `ids` and `scratch`.
    func encode(_ bytes: [UInt8], _ word: Range<Int>, to ids: inout [Int32], scratch: inout ModelScratch) {
        guard let key = WordCache.key(bytes, word) else { return search(bytes, word, to: &ids, &scratch.unigram) }
        if scratch.cache.append(key, to: &ids) { return }
        let start = ids.count
        search(bytes, word, to: &ids, &scratch.unigram)
        scratch.cache.store(key, ids, from: start)
    }

    private func search(_ bytes: [UInt8], _ word: Range<Int>, to ids: inout [Int32], _ scratch: inout Scratch) {
        findPath(bytes, word, &scratch.nodes)
        scratch.ends.removeAll(keepingCapacity: true)
        var end = Int32(word.count)
        while end > 0 {
            scratch.ends.append(end)
            end = scratch.nodes[Int(end)].start
        }
        var start = word.lowerBound
        var place = scratch.ends.count - 1
        while place >= 0 {
            let id = scratch.nodes[Int(scratch.ends[place])].id
            guard id == unknownId else {
                ids.append(id)
                start = word.lowerBound + Int(scratch.ends[place])
                place -= 1
                continue
            }
            while place > 0, scratch.nodes[Int(scratch.ends[place - 1])].id == unknownId { place -= 1 }
            let end = word.lowerBound + Int(scratch.ends[place])
            appendUnknown(bytes[start..<end], to: &ids)
            start = end
            place -= 1
        }
    }

    /// Finds the best path to every place of the word; `nodes` has one entry more than the word has bytes.
    private func findPath(_ bytes: [UInt8], _ word: Range<Int>, _ nodes: inout [Node]) {
        nodes.removeAll(keepingCapacity: true)
        nodes.append(contentsOf: repeatElement(Node(score: 0, start: -1, id: 0), count: word.count + 1))
        var start = word.lowerBound
        while start < word.upperBound {
            let origin = start - word.lowerBound
            let scoreHere = nodes[origin].score
            let characterEnd = start + UTF8Scalars.length(lead: bytes[start])
            var isCovered = false
            var base = trie.root
            var position = start
            while position < word.upperBound {
                let node = trie.child(base, bytes[position])
                if node == 0 { break }
                position += 1
                base = PieceTrie.base(node)
                let id = PieceTrie.value(node)
                if id < 0 { continue }
                Unigram.offer(
                    scoreHere + scores[Int(id)], from: origin, id, at: position - word.lowerBound, &nodes)
                if position == characterEnd { isCovered = true }
            }
            if !isCovered {
                Unigram.offer(
                    scoreHere + unknownScore, from: origin, unknownId, at: characterEnd - word.lowerBound, &nodes)
            }
            start = characterEnd
        }
    }

    /// Takes a path to a place if it is the first or strictly better.
    @inline(__always)
    private static func offer(_ score: Double, from start: Int, _ id: Int32, at place: Int, _ nodes: inout [Node]) {
        if nodes[place].start < 0 || score > nodes[place].score {
            nodes[place] = Node(score: score, start: Int32(truncatingIfNeeded: start), id: id)
        }
    }

    /// Appends what stands for a run of unknown characters.
    private func appendUnknown(_ run: ArraySlice<UInt8>, to ids: inout [Int32]) {
        let id = trie.value(of: run)
        if id >= 0 {
            ids.append(id)
        } else if !byteIds.isEmpty, run.allSatisfy({ byteIds[Int($0)] >= 0 }) {
            for byte in run { ids.append(byteIds[Int(byte)]) }
        } else {
            ids.append(unknownId)
        }
    }
}
