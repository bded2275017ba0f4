// The validated parts of a tokenizer.json: normalizer, pre-tokenizer, model, post-processor, added tokens.
// An unknown model (byte-level BPE, Unigram) is refused by name; a new one is one more case of `Model`.

import TuttiFormats
import TuttiGround

/// The contents of one tokenizer.json.
struct TokenizerFile: Sendable {
    /// A tokenizer model; the set is closed by the file format.
    enum Model: Sendable {
        case wordPiece(WordPiece)

        /// The known `type` names.
        static let known = ["WordPiece"]
    }

    let normalizer: Normalizer?
    let preTokenizer: PreTokenizer?
    let postProcessor: PostProcessor
    let model: Model
    /// Tokens of the model by id, overlaid with the added tokens.
    let tokens: [Int32: String]
    let addedTokens: [AddedToken]
    let truncatesLeft: Bool

    /// Reads the parts of a parsed tokenizer.json.
    ///
    /// Throws: `.data` that names the key, with the known names for an unknown one.
    init(_ document: JSONValue, path: String) throws(TuttiError) {
        let place = TokenizerPlace(path: path)
        guard document.object != nil else {
            throw place.error(key: "tokenizer", "expected an object, found \(document.kindName)")
        }
        let description = JSONValue.object(try place.object(document, "model"))
        // Early versions omit the type; only WordPiece has the limit of characters per word.
        let untyped = description["max_input_chars_per_word"] == nil ? "(none)" : "WordPiece"
        let type = description["type"]?.string ?? untyped
        guard Model.known.contains(type) else { throw place.unknown("tokenizer model", type, known: Model.known) }
        let entries = try TokenizerFile.vocabulary(description, place)
        model = .wordPiece(try TokenizerFile.wordPiece(description, entries, place))

        normalizer = try Normalizer.parse(document["normalizer"], place)
        if let normalizer { try NormalizerGrowth(normalizer).check(place) }
        preTokenizer = try PreTokenizer.parse(document["pre_tokenizer"], place)
        postProcessor = try PostProcessor.parse(document["post_processor"], place)
        truncatesLeft = document["truncation"]?["direction"]?.string == "Left"

        var tokens: [Int32: String] = [:]
        for (token, id) in entries { tokens[id] = token }
        addedTokens = try TokenizerFile.addedTokens(document, model, vocabularyCount: entries.count, place)
        for added in addedTokens { tokens[added.id] = added.content }
        self.tokens = tokens
    }

    private static func vocabulary(
        _ description: JSONValue, _ place: TokenizerPlace
    ) throws(TuttiError) -> [(token: String, id: Int32)] {
        var entries: [(token: String, id: Int32)] = []
        for (token, value) in try place.object(description, "vocab") {
            guard let id = value.int, let exact = Int32(exactly: id), exact >= 0 else {
                throw place.error(key: "model.vocab", "the id of '\(token)' is not an integer of at least 0")
            }
            entries.append((token, exact))
        }
        guard !entries.isEmpty else { throw place.error(key: "model.vocab", "the vocabulary is empty") }
        return entries
    }

    private static func wordPiece(
        _ description: JSONValue, _ entries: [(token: String, id: Int32)], _ place: TokenizerPlace
    ) throws(TuttiError) -> WordPiece {
        let unknown = description["unk_token"]?.string ?? "[UNK]"
        guard let entry = entries.first(where: { $0.token.utf8.elementsEqual(unknown.utf8) }) else {
            throw place.error(key: "model.unk_token", "the token '\(unknown)' is not in the vocabulary")
        }
        let limit = description["max_input_chars_per_word"] ?? .integer(100)
        guard let maximumCharacters = limit.int, maximumCharacters >= 0 else {
            throw place.error(key: "model.max_input_chars_per_word", "expected an integer of at least 0")
        }
        guard
            let model = WordPiece(
                entries: entries, unknownId: entry.id,
                continuationPrefix: description["continuing_subword_prefix"]?.string ?? "##",
                maximumCharacters: maximumCharacters)
        else { throw place.tooLarge("model.vocab") }
        return model
    }

    /// The added tokens; as in the reference, the vocabulary decides the id, and new ones follow after its end.
    private static func addedTokens(
        _ document: JSONValue, _ model: Model, vocabularyCount: Int, _ place: TokenizerPlace
    ) throws(TuttiError) -> [AddedToken] {
        guard let list = document["added_tokens"], !list.isNull else { return [] }
        guard let values = list.array else {
            throw place.error(key: "added_tokens", "expected an array, found \(list.kindName)")
        }
        var added: [AddedToken] = []
        var places: [ExactText: Int] = [:]
        var counter = AddedTokenCounter(vocabularyCount: vocabularyCount)
        for value in values {
            let content = try place.string(value, "content")
            if content.isEmpty { continue }
            let same = places[ExactText(content)]
            var known = same.map { added[$0].id }
            if known == nil, case .wordPiece(let wordPiece) = model { known = wordPiece.id(of: content) }
            guard let id = counter.id(known: known) else {
                throw place.error(key: "added_tokens", "no id is left for '\(content)'")
            }
            let isSpecial = try place.bool(value, "special", default: false)
            let token = AddedToken(
                content: content, id: id, isSpecial: isSpecial,
                isNormalized: try place.bool(value, "normalized", default: !isSpecial),
                isSingleWord: try place.bool(value, "single_word", default: false),
                stripsLeft: try place.bool(value, "lstrip", default: false),
                stripsRight: try place.bool(value, "rstrip", default: false))
            if let same {
                added[same] = token
            } else {
                places[ExactText(content)] = added.count
                added.append(token)
            }
        }
        return added
    }
}

/// A string compared by its bytes: canonically equivalent tokens are distinct.
struct ExactText: Hashable, Sendable {
    private let bytes: [UInt8]

    init(_ text: String) { bytes = Array(text.utf8) }
}
