// The tokens that the other tokenizer files add to a vocabulary: which, in which order, and how each is matched.
//
// tokenizer_config.json's added_tokens_decoder decides if present. Otherwise special_tokens_map.json,
// added_tokens.json and the added tokens of tokenizer.json are merged. Then come the named special tokens
// (cls_token ...) and the other ones (additional_special_tokens, extra_special_tokens) that are not yet included.
// Reference: transformers/tokenization_utils_base.py (_from_pretrained), tokenization_utils_tokenizers.py (__init__).

import TuttiGround

/// A token as a file declares it.
struct DeclaredToken: Sendable, Equatable {
    var content: String
    var isSpecial = false
    /// nil follows `isSpecial`: ordinary tokens are matched in the normalized text, special ones in the raw text.
    var isNormalized: Bool?
    var isSingleWord = false
    var stripsLeft = false
    var stripsRight = false
    /// The content, compared by its bytes.
    var key: ExactText { ExactText(content) }

    /// A token without flags.
    init(_ content: String, stripsLeft: Bool = false) {
        self.content = content
        self.stripsLeft = stripsLeft
    }

    /// The token described by an object {"content": ..., "lstrip": ...}.
    ///
    /// Throws: `.data` naming `key` for a wrong type.
    init(_ value: JSONValue, key: String, _ place: TokenizerPlace) throws(TuttiError) {
        guard let content = value["content"]?.string else {
            throw place.error(key: key, "expected an object with the string 'content'")
        }
        self.content = content
        isSpecial = try place.bool(value, "special", default: false)
        isNormalized = try place.optionalBool(value, "normalized")
        isSingleWord = try place.bool(value, "single_word", default: false)
        stripsLeft = try place.bool(value, "lstrip", default: false)
        stripsRight = try place.bool(value, "rstrip", default: false)
    }

    /// The token in tokenizer.json's format.
    func json(id: Int32) -> JSONValue {
        .object([
            "id": .integer(Int64(id)), "content": .string(content), "single_word": .bool(isSingleWord),
            "lstrip": .bool(stripsLeft), "rstrip": .bool(stripsRight),
            "normalized": .bool(isNormalized ?? !isSpecial), "special": .bool(isSpecial),
        ])
    }
}

/// The other tokenizer files that define added tokens; null for a missing file.
struct TokenFiles {
    /// tokenizer_config.json.
    var configuration = JSONValue.null
    /// special_tokens_map.json.
    var specialTokens = JSONValue.null
    /// added_tokens.json: ids by token.
    var addedTokens = JSONValue.null
    /// config.json, for the class of a folder that names none.
    var model = JSONValue.null
    /// The added_tokens of tokenizer.json.
    var fileTokens: [JSONValue] = []
    /// The control and user-defined pieces of a SentencePiece model; nil without one.
    var pieceTokens: [DeclaredToken]?

    /// Whether config.json says that the model's embedding table has no row for a token: the reference gives such a token
    /// an id beyond the table all the same, and fails on a text that contains it.
    func hasNoRow(_ id: Int) -> Bool {
        (model["vocab_size"] ?? model["text_config"]?["vocab_size"])?.int.map { id >= $0 } ?? false
    }
}

/// The tokens that the files of one folder add.
struct DeclaredTokens {
    /// All tokens, in id order.
    private(set) var tokens: [DeclaredToken] = []
    /// The named tokens by role: "cls_token" ...
    private(set) var named: [String: DeclaredToken]

    private static let roles = [
        "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    ]

    /// Named tokens and tokens of the class itself, by role ("" for none): they are left out if they are not in the
    /// vocabulary and the model has no row for them.
    private(set) var optional: [ExactText: String] = [:]

    /// Collects the tokens.
    ///
    /// Throws: `.data` naming the key at fault.
    init(_ files: TokenFiles, of tokenizerClass: TokenizerClass, _ place: TokenizerPlace) throws(TuttiError) {
        var given = GivenTokens(tokenizerClass: tokenizerClass, place: place)
        try given.read(files.configuration.object ?? JSONObject(), isMap: false)
        let added: [DeclaredToken]
        if let decoder = files.configuration["added_tokens_decoder"], !decoder.isNull {
            added = try DeclaredTokens.decoder(files.configuration, place)
        } else {
            var special = Set(given.further.map(\.key))
            try given.read(files.specialTokens.object ?? JSONObject(), isMap: true)
            special.formUnion(given.named.values.map(\.key))
            added = try DeclaredTokens.legacy(files, special: special, place)
        }
        let byContent = Dictionary(added.map { ($0.key, $0) }) { _, last in last }
        for (role, token) in given.named { given.named[role] = byContent[token.key] ?? token }
        for (role, token) in tokenizerClass.defaultTokens
        where given.named[role] == nil && !given.absent.contains(role) {
            given.named[role] = token
        }
        named = given.named
        for role in tokenizerClass.neededRoles where named[role] == nil {
            throw place.error(key: role, "is null, but the tokenizer class needs it")
        }

        var contents = Set(byContent.keys)
        tokens = added
        for role in DeclaredTokens.roles + given.furtherRoles {
            guard let token = named[role] else { continue }
            if contents.insert(token.key).inserted {
                tokens.append(token)
                if DeclaredTokens.roles.contains(role) { optional[token.key] = role }
            } else if optional[token.key] != nil, tokenizerClass.neededRoles.contains(role) {
                optional[token.key] = role
            }
        }
        if !given.namesFurther {
            given.further = tokenizerClass.furtherTokens(files.configuration, files.pieceTokens)
            for token in given.further where !contents.contains(token.key) { optional[token.key] = "" }
        }
        for token in given.further where contents.insert(token.key).inserted { tokens.append(token) }
        let special = Set(named.values.map(\.key))
        for place in tokens.indices where special.contains(tokens[place].key) { tokens[place].isSpecial = true }
    }

    /// `document`, a tokenizer.json that is followed as it is, with the tokens that the other files add to it or give other
    /// flags.
    ///
    /// Throws: `.data` naming the key at fault.
    static func merged(
        into document: JSONValue, _ files: TokenFiles, _ place: TokenizerPlace
    ) throws(TuttiError) -> JSONValue {
        let hasOthers = [files.configuration, files.specialTokens, files.addedTokens].contains { !$0.isNull }
        guard hasOthers, var object = document.object else { return document }
        guard let listed = (document["added_tokens"] ?? .array([])).array else { return document }
        var files = files
        files.fileTokens = listed
        let plain = TokenizerClass("", []) { _ throws(TuttiError) in TokenizerClass.Parts(model: [:]) }
        let declared = try DeclaredTokens(files, of: plain, place)
        var places: [ExactText: Int] = [:]
        var tokens = listed
        for (number, value) in listed.enumerated() {
            if let content = value["content"]?.string { places[ExactText(content)] = number }
        }
        let isListed = declared.tokens.allSatisfy { places[$0.key] != nil }
        let model = document["model"]?.object ?? JSONObject()
        let vocabulary = isListed ? nil : try ClassVocabulary(model, place)
        var counter = AddedTokenCounter(vocabularyCount: vocabulary?.count ?? 0)
        for value in listed { _ = counter.id(known: value["id"]?.int.flatMap { Int32(exactly: $0) }) }
        for token in declared.tokens where !token.content.isEmpty {
            if let number = places[token.key] {
                let id = tokens[number]["id"]?.int.flatMap { Int32(exactly: $0) } ?? 0
                tokens[number] = token.json(id: id)
                continue
            }
            let known = vocabulary?.id(of: token.content)
            if known == nil, declared.optional[token.key] != nil, files.hasNoRow(counter.next) { continue }
            places[token.key] = tokens.count
            tokens.append(token.json(id: counter.id(known: known) ?? 0))
        }
        object["added_tokens"] = .array(tokens)
        return .object(object)
    }

    /// The tokens of added_tokens_decoder by ascending id.
    private static func decoder(_ file: JSONValue, _ place: TokenizerPlace) throws(TuttiError) -> [DeclaredToken] {
        var added: [Int: DeclaredToken] = [:]
        for (text, value) in try place.object(file, "added_tokens_decoder") {
            guard let id = Int(text) else {
                throw place.error(key: "added_tokens_decoder", "'\(text)' is not a token id")
            }
            added[id] = try DeclaredToken(value, key: "added_tokens_decoder.\(text)", place)
        }
        return added.sorted { $0.key < $1.key }.map(\.value)
    }

    /// The tokens of added_tokens.json and tokenizer.json by ascending id.
    private static func legacy(
        _ files: TokenFiles, special: Set<ExactText>, _ place: TokenizerPlace
    ) throws(TuttiError) -> [DeclaredToken] {
        var added: [Int: DeclaredToken] = [:]
        for (content, value) in files.addedTokens.object ?? JSONObject() {
            guard let id = value.int else {
                throw place.error(key: "added_tokens.json", "the id of '\(content)' is not an integer")
            }
            var token = DeclaredToken(content)
            token.isSpecial = special.contains(token.key)
            token.isNormalized = !token.isSpecial
            added[id] = token
        }
        for value in files.fileTokens {
            guard let id = value["id"]?.int else { throw place.error(key: "added_tokens", "an entry has no id") }
            added[id] = try DeclaredToken(value, key: "added_tokens", place)
        }
        return added.sorted { $0.key < $1.key }.map(\.value)
    }
}

/// The special tokens of tokenizer_config.json and special_tokens_map.json; the later file wins.
private struct GivenTokens {
    let tokenizerClass: TokenizerClass
    let place: TokenizerPlace
    var named: [String: DeclaredToken] = [:]
    /// Roles that a file sets to null.
    var absent: Set<String> = []
    /// Roles beyond the usual ones, in their order.
    var furtherRoles: [String] = []
    /// Special tokens without a role.
    var further: [DeclaredToken] = []
    /// Whether a file has a list of them, be it empty.
    var namesFurther = false

    init(tokenizerClass: TokenizerClass, place: TokenizerPlace) {
        self.tokenizerClass = tokenizerClass
        self.place = place
    }

    mutating func read(_ file: JSONObject, isMap: Bool) throws(TuttiError) {
        for (role, value) in file where role.hasSuffix("_token") { try readNamed(role, value) }
        for key in ["extra_special_tokens", "additional_special_tokens"] where file[key]?.array != nil {
            namesFurther = true
        }
        if let extra = file["extra_special_tokens"] {
            for (role, value) in extra.object ?? JSONObject() { try readNamed(role, value) }
            further += try list(extra, "extra_special_tokens")
        }
        // The map's additional tokens count only if tokenizer_config.json names none.
        if further.isEmpty, let additional = file["additional_special_tokens"] {
            further = try list(additional, "additional_special_tokens")
        }
    }

    private mutating func readNamed(_ role: String, _ value: JSONValue) throws(TuttiError) {
        switch value {
        case .null:
            named[role] = nil
            absent.insert(role)
            return
        case .string(let content): named[role] = tokenizerClass.token(named: role, content)
        case .object: named[role] = try DeclaredToken(value, key: role, place)
        default: return  // add_bos_token and similar keys are flags
        }
        absent.remove(role)
        if !furtherRoles.contains(role) { furtherRoles.append(role) }
    }

    private func list(_ value: JSONValue, _ key: String) throws(TuttiError) -> [DeclaredToken] {
        var tokens: [DeclaredToken] = []
        for item in value.array ?? [] {
            if let content = item.string {
                var token = DeclaredToken(content)
                token.isSpecial = true
                tokens.append(token)
            } else {
                tokens.append(try DeclaredToken(item, key: key, place))
            }
        }
        return tokens
    }
}
