// The models of tokenizer.json: each splits one word into token ids. The set is closed by the file format, so it is an
// enum; an unknown one is refused by name. A new model is one file, one case here and one line in `parse`.

import TuttiGround

/// Buffers of the models, one per thread; they belong to the tokenizer that used them last.
struct ModelScratch: Sendable {
    /// Ids of words seen before.
    var cache = WordCache()
    /// The symbols of the word that BPE is merging.
    var symbols = SymbolChain()
    /// The paths through a word of Unigram.
    var unigram = Unigram.Scratch()
}

/// A model of tokenizer.json.
enum TokenModel: Sendable {
    case bytePairs(BytePairs)
    case unigram(Unigram)
    case wordLevel(WordLevel)
    case wordPiece(WordPiece)

    /// The known `type` names.
    static let known = ["BPE", "Unigram", "WordLevel", "WordPiece"]

    /// A vocabulary entry.
    typealias Entry = (token: String, id: Int32)

    /// The id of `token`, which must be a whole vocabulary entry; nil if there is none.
    func id(of token: String) -> Int32? {
        switch self {
        case .bytePairs(let model): model.id(of: token)
        case .unigram(let model): model.id(of: token)
        case .wordLevel(let model): model.id(of: token)
        case .wordPiece(let model): model.id(of: token)
        }
    }

    /// Appends the ids of the words `bytes[word]`, in order, to `ids`, which may stop once it has `limit` ids.
    ///
    /// Allocates: only to grow `ids` and `scratch`.
    func encode(
        _ bytes: [UInt8], _ words: [Range<Int>], stopAt limit: Int, to ids: inout [Int32],
        scratch: inout ModelScratch
    ) {
        switch self {
        case .bytePairs(let model):
            for word in words {
                if ids.count >= limit { return }
                model.encode(bytes, word, stopAt: limit, to: &ids, scratch: &scratch)
            }
        case .unigram(let model):
            for word in words {
                if ids.count >= limit { return }
                model.encode(bytes, word, to: &ids, scratch: &scratch)
            }
        case .wordLevel(let model):
            for word in words {
                if ids.count >= limit { return }
                model.encode(bytes, word, to: &ids)
            }
        case .wordPiece(let model):
            for word in words {
                if ids.count >= limit { return }
                model.encode(bytes, word, to: &ids)
            }
        }
    }
}

extension TokenModel {
    /// The model described by `value`, and its vocabulary.
    ///
    /// Throws: `.data` for an unknown model, or for a key that cannot be used.
    static func parse(
        _ value: JSONValue, _ place: TokenizerPlace
    ) throws(TuttiError) -> (model: TokenModel, entries: [Entry]) {
        let type = value["type"]?.string ?? untyped(value)
        guard known.contains(type) else { throw place.unknown("tokenizer model", type, known: known) }
        if type == "Unigram" {
            let (entries, scores) = try Unigram.vocabulary(value, place)
            return (.unigram(try Unigram(value, entries, scores: scores, place)), entries)
        }
        let entries = try vocabulary(value, place)
        let model: TokenModel
        switch type {
        case "BPE": model = .bytePairs(try BytePairs(value, entries, place))
        case "WordLevel": model = .wordLevel(try WordLevel(value, entries, place))
        default: model = .wordPiece(try WordPiece(value, entries, place))
        }
        return (model, entries)
    }

    /// The type of a model in an early file, which omits it: told by the fields, in the reference's order.
    private static func untyped(_ value: JSONValue) -> String {
        if value["merges"] != nil { return "BPE" }
        if value["max_input_chars_per_word"] != nil { return "WordPiece" }
        if value["vocab"]?.array != nil { return "Unigram" }
        return value["unk_token"] == nil ? "(none)" : "WordLevel"
    }

    /// The entries of the object `vocab`.
    private static func vocabulary(_ value: JSONValue, _ place: TokenizerPlace) throws(TuttiError) -> [Entry] {
        var entries: [Entry] = []
        for (token, value) in try place.object(value, "vocab") {
            guard let id = value.int, let exact = Int32(exactly: id), exact >= 0 else {
                throw place.error(key: "model.vocab", "the id of '\(token)' is not an integer of at least 0")
            }
            entries.append((token, exact))
        }
        guard !entries.isEmpty else { throw place.error(key: "model.vocab", "the vocabulary is empty") }
        return entries
    }
}
