// The tokenizer.json that a tokenizer class builds from a vocabulary and the other files: for folders with only
// vocab.txt, and for folders whose class overrides their tokenizer.json (TokenizerClass.swift). Both then take the same
// path, and a model with only vocab.txt is saved with a tokenizer.json.

import TuttiGround

/// A vocabulary and the pipeline that a tokenizer class builds from it.
struct ClassPipeline {
    /// The contents of tokenizer.json.
    let document: JSONValue

    /// Builds the pipeline of `tokenizerClass` over `vocabulary`, ids by token.
    ///
    /// Throws: `.data` for a missing special token, or a key of the wrong type.
    init(
        vocabulary: JSONObject, files: TokenFiles, class tokenizerClass: TokenizerClass, _ place: TokenizerPlace
    ) throws(TuttiError) {
        let declared = try DeclaredTokens(files, of: tokenizerClass, place) { vocabulary.contains(key: $0) }
        var counter = AddedTokenCounter(vocabularyCount: vocabulary.count)
        var added: [JSONValue] = []
        var ids: [ExactText: Int32] = [:]
        for token in declared.tokens where !token.content.isEmpty {
            let known = vocabulary[token.content]?.int.flatMap { Int32(exactly: $0) } ?? ids[ExactText(token.content)]
            guard let id = counter.id(known: known) else {
                throw place.error(key: "added tokens", "more tokens than ids")
            }
            ids[ExactText(token.content)] = id
            added.append(token.json(id: id))
        }
        func essential(_ role: String) throws(TuttiError) -> (token: String, id: Int32) {
            let token = declared.named[role]?.content ?? ""
            guard let id = ids[ExactText(token)] else {
                throw place.error(key: role, "the token '\(token)' is not in the vocabulary")
            }
            return (token, id)
        }
        let unknown = try essential("unk_token")
        document = .object([
            "version": .string("1.0"), "truncation": .null, "padding": .null, "added_tokens": .array(added),
            "normalizer": try tokenizerClass.normalizer(files.configuration, place),
            "pre_tokenizer": .object(["type": .string("BertPreTokenizer")]),
            "post_processor": tokenizerClass.postProcessor(
                cls: try essential("cls_token"), sep: try essential("sep_token")),
            "decoder": .object([
                "type": .string("WordPiece"), "prefix": .string("##"), "cleanup": .bool(true),
            ]),
            "model": .object([
                "type": .string("WordPiece"), "unk_token": .string(unknown.token),
                "continuing_subword_prefix": .string("##"), "max_input_chars_per_word": .integer(100),
                "vocab": .object(vocabulary),
            ]),
        ])
    }

    /// The vocabulary of a vocab.txt: one token per line; for duplicates the last line wins, as in the reference.
    ///
    /// Throws: `.data` for a file that is empty or not UTF-8.
    static func vocabulary(_ bytes: [UInt8], path: String) throws(TuttiError) -> JSONObject {
        try bytes.withUnsafeBufferPointer { buffer throws(TuttiError) in
            try UTF8Text.check(UnsafeRawBufferPointer(buffer), source: path, operation: "read tokenizer")
        }
        var vocabulary = JSONObject()
        var count: Int64 = 0
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
        if lines.last?.isEmpty == true { lines.removeLast() }
        for line in lines {
            let token = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            vocabulary.set(String(decoding: token, as: UTF8.self), .integer(count))
            count += 1
        }
        guard count > 0 else { throw TuttiError(.data, "read tokenizer", path, "the vocabulary is empty") }
        return vocabulary
    }
}

/// Ids of added tokens: tokens in the vocabulary keep their ids, the others follow after it.
struct AddedTokenCounter {
    private let vocabularyCount: Int
    private var highest = -1

    init(vocabularyCount: Int) { self.vocabularyCount = vocabularyCount }

    /// The id of a token that has a `known` one, or a new id; nil if ids are exhausted.
    mutating func id(known: Int32?) -> Int32? {
        let id = known ?? Int32(exactly: max(vocabularyCount, highest + 1))
        if let id { highest = max(highest, Int(id)) }
        return id
    }
}
