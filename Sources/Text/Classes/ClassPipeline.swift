// The tokenizer.json that a tokenizer class builds from a vocabulary and the other files: for folders without a
// tokenizer.json, and for folders whose class overrides theirs (TokenizerClass.swift). Both then take the same path, and a
// model with only a vocabulary is saved with a tokenizer.json.

import TuttiGround

/// A vocabulary as a file has it, and the ids of its tokens.
struct ClassVocabulary {
    /// The members of tokenizer.json's `model` that hold it: `vocab`, and `merges` for BPE.
    let members: JSONObject
    /// The number of tokens.
    let count: Int
    /// The character map of a SentencePiece model, in base64, and the id of its unknown token.
    var charsmap: String?
    var unknownId: Int?
    private let ids: JSONObject
    /// The places of the pieces of a list.
    private let places: TokenTable?

    /// The vocabulary of `members`, whose `vocab` is an object of ids by token, or a list of [piece, score].
    ///
    /// Throws: `.data` if it is neither.
    init(_ members: JSONObject, _ place: TokenizerPlace) throws(TuttiError) {
        self.members = members
        guard let list = members["vocab"]?.array else {
            ids = try place.object(.object(members), "vocab")
            count = ids.count
            places = nil
            return
        }
        ids = [:]
        count = list.count
        places = try TokenTable(Unigram.vocabulary(.object(members), place).entries, place)
    }

    /// The pieces of a list; empty if the vocabulary is an object.
    var pieces: [JSONValue] { members["vocab"]?.array ?? [] }

    /// The id of `token`; nil if there is none.
    func id(of token: String) -> Int32? {
        places.map { $0.id(of: token) } ?? ids[token]?.int.flatMap { Int32(exactly: $0) }
    }
}

/// A vocabulary and the pipeline that a tokenizer class builds from it.
struct ClassPipeline {
    /// The contents of tokenizer.json.
    let document: JSONValue

    /// Builds the pipeline of `tokenizerClass` over `vocabulary`; `file` is the folder's tokenizer.json, or null.
    ///
    /// Throws: `.data` for a missing special token, or a key of the wrong type.
    init(
        vocabulary: ClassVocabulary, files: TokenFiles, file: JSONValue = .null, class tokenizerClass: TokenizerClass,
        _ place: TokenizerPlace
    ) throws(TuttiError) {
        let declared = try DeclaredTokens(files, of: tokenizerClass, place)
        var counter = AddedTokenCounter(vocabularyCount: vocabulary.count)
        var added: [JSONValue] = []
        var ids: [ExactText: Int32] = [:]
        for token in declared.tokens where !token.content.isEmpty {
            let known = vocabulary.id(of: token.content) ?? ids[token.key]
            if known == nil, let role = declared.optional[token.key] {
                guard !tokenizerClass.neededRoles.contains(role) else {
                    throw place.error(key: role, "the token '\(token.content)' is not in the vocabulary")
                }
                if files.hasNoRow(counter.next) { continue }
            }
            guard let id = counter.id(known: known) else {
                throw place.error(key: "added tokens", "more tokens than ids")
            }
            ids[token.key] = id
            added.append(token.json(id: id))
        }
        var named: [String: (token: String, id: Int32)] = [:]
        for (role, token) in declared.named {
            if let id = ids[ExactText(token.content)] { named[role] = (token.content, id) }
        }
        let context = ClassContext(
            vocabulary: vocabulary, configuration: files.configuration, file: file, named: named, place: place)
        let parts = try tokenizerClass.parts(context)
        var processor = parts.postProcessor ?? file["post_processor"] ?? .null
        let takesFlags = parts.postProcessor == nil || parts.yieldsPostProcessor
        if file.isNull, takesFlags, let flags = try ClassPipeline.boundaries(context) {
            processor = flags
        }
        document = .object([
            "version": .string("1.0"), "truncation": .null, "padding": .null, "added_tokens": .array(added),
            "normalizer": parts.normalizer, "pre_tokenizer": parts.preTokenizer, "post_processor": processor,
            "decoder": parts.decoder, "model": .object(parts.model.merging(vocabulary.members)),
        ])
    }

    /// The template that add_bos_token and add_eos_token ask for; nil if the configuration has neither. They count only in
    /// folders without a tokenizer.json, for classes that have no template of their own.
    private static func boundaries(_ context: ClassContext) throws(TuttiError) -> JSONValue? {
        let (configuration, place) = (context.configuration, context.place)
        guard configuration["add_bos_token"] != nil || configuration["add_eos_token"] != nil else { return nil }
        let hasStart = try place.bool(configuration, "add_bos_token", default: false)
        let hasEnd = try place.bool(configuration, "add_eos_token", default: false)
        return try context.template(
            before: hasStart && context.named["bos_token"] != nil ? ["bos_token"] : [],
            after: hasEnd && context.named["eos_token"] != nil ? ["eos_token"] : [])
    }
}

/// Ids of added tokens: tokens in the vocabulary keep their ids, the others follow after it.
struct AddedTokenCounter {
    private let vocabularyCount: Int
    private var highest = -1

    init(vocabularyCount: Int) { self.vocabularyCount = vocabularyCount }

    /// The next new id.
    var next: Int { max(vocabularyCount, highest + 1) }

    /// The id of a token that has a `known` one, or a new id; nil if ids are exhausted.
    mutating func id(known: Int32?) -> Int32? {
        let id = known ?? Int32(exactly: next)
        if let id { highest = max(highest, Int(id)) }
        return id
    }
}
