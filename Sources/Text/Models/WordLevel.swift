// WordLevel: a word is one token or unknown. Reference: tokenizers/src/models/wordlevel/mod.rs.

import TuttiGround

/// The WordLevel model of tokenizer.json.
struct WordLevel: Sendable {
    private let tokens: TokenTable
    private let unknownId: Int32

    /// The model described by `value`.
    ///
    /// Throws: `.data` if the unknown token is missing: the reference fails on the first unknown word.
    init(_ value: JSONValue, _ entries: [TokenModel.Entry], _ place: TokenizerPlace) throws(TuttiError) {
        tokens = try TokenTable(entries, place)
        let unknown = try place.string(value, "unk_token")
        guard let id = tokens.id(of: unknown) else {
            throw place.error(key: "model.unk_token", "the token '\(unknown)' is not in the vocabulary")
        }
        unknownId = id
    }

    /// The id of `token`.
    func id(of token: String) -> Int32? { tokens.id(of: token) }

    /// Appends the id of the word `bytes[word]` to `ids`.
    func encode(_ bytes: [UInt8], _ word: Range<Int>, to ids: inout [Int32]) {
        ids.append(tokens.id(of: bytes, word) ?? unknownId)
    }
}
