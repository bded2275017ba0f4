// The validated parts of a tokenizer.json: normalizer, pre-tokenizer, model, post-processor, added tokens.
// Unknown parts are refused by name.

import TuttiFormats
import TuttiGround

/// The contents of one tokenizer.json.
struct TokenizerFile: Sendable {
    let normalizer: Normalizer?
    let preTokenizer: PreTokenizer?
    let postProcessor: PostProcessor
    let model: TokenModel
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
        let (model, entries) = try TokenModel.parse(JSONValue.object(try place.object(document, "model")), place)
        normalizer = try Normalizer.parse(document["normalizer"], place)
        if let normalizer { try NormalizerGrowth(normalizer).check(place) }
        let preTokenizer = try PreTokenizer.parse(document["pre_tokenizer"], place)
        if case .bytePairs(let pairs) = model, let raw = pairs.readingRawBytes, let split = preTokenizer?.leavingBytes {
            self.model = .bytePairs(raw)
            self.preTokenizer = split
        } else {
            self.model = model
            self.preTokenizer = preTokenizer
        }
        postProcessor = try PostProcessor.parse(document["post_processor"], place)
        truncatesLeft = document["truncation"]?["direction"]?.string == "Left"

        var tokens: [Int32: String] = [:]
        for (token, id) in entries { tokens[id] = token }
        addedTokens = try TokenizerFile.addedTokens(document, model, vocabularyCount: entries.count, place)
        for added in addedTokens { tokens[added.id] = added.content }
        self.tokens = tokens
    }

    /// The added tokens; as in the reference, the vocabulary decides the id, and new ones follow after its end.
    private static func addedTokens(
        _ document: JSONValue, _ model: TokenModel, vocabularyCount: Int, _ place: TokenizerPlace
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
            guard let id = counter.id(known: same.map { added[$0].id } ?? model.id(of: content)) else {
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
