// The tokenizer of a model folder: tokenizer.json, or a vocabulary if there is none, with the other files.
//
//   tokenizer_config.json     class, lowercasing, special tokens, added_tokens_decoder, model_max_length
//   special_tokens_map.json   special tokens of older folders
//   added_tokens.json         added tokens of older folders
//   config.json               model_type and tokenizer_class, for folders whose tokenizer_config.json names no class

import Foundation
import TuttiFormats
import TuttiGround

/// The tokenizer files of one model folder.
struct TokenizerFolder {
    let path: String
    private(set) var files = TokenFiles()
    /// The bytes of the files to save with a model, in order.
    private var copied: [(name: String, bytes: [UInt8])] = []

    /// Reads the files next to the vocabulary.
    ///
    /// Throws: `.data` for malformed JSON.
    init(path: String) throws(TuttiError) {
        self.path = path
        files.configuration = try read("tokenizer_config.json")
        files.specialTokens = try read("special_tokens_map.json")
        files.addedTokens = try read("added_tokens.json")
        if let bytes = try optionalBytes("config.json") {
            files.model = try JSONValue.parse(bytes, source: path + "/config.json")
        }
    }

    /// The tokenizer; `lowercases` puts a Lowercase before a normalizer without one, as the older layout's
    /// do_lower_case requires.
    ///
    /// Throws: `.missingFile` if there is neither tokenizer.json nor a vocabulary, `.data` for unusable files.
    func tokenizer(lowercases: Bool) throws(TuttiError) -> Tokenizer {
        let file = path + "/tokenizer.json"
        if let contents = try optionalBytes("tokenizer.json") {
            var saved = [(name: "tokenizer.json", bytes: contents)] + copied
            for name in SentencePieceFile.names + VocabularyFiles.kinds.flatMap(\.names) {
                if let bytes = try optionalBytes(name) { saved.append((name, bytes)) }
            }
            let document = UntypedParts.typed(try JSONValue.parse(contents, source: file))
            let (effective, notices) = try overridden(document, path: file)
            return try Tokenizer(
                lowercased(effective, lowercases), path: file, configuration: files.configuration, files: saved,
                notices: notices)
        }
        for name in SentencePieceFile.names {
            guard let bytes = try optionalBytes(name) else { continue }
            return try built(fromPieces: (name, bytes), lowercases: lowercases)
        }
        for kind in VocabularyFiles.kinds {
            var found: [(name: String, bytes: [UInt8])] = []
            for name in kind.names { if let bytes = try optionalBytes(name) { found.append((name, bytes)) } }
            if found.count == kind.names.count { return try built(from: kind, found, lowercases: lowercases) }
        }
        let lists = SentencePieceFile.names + VocabularyFiles.kinds.map { $0.names.joined(separator: " and ") }
        throw TuttiError(
            .missingFile, "read tokenizer", path,
            "has neither tokenizer.json nor a vocabulary (\(lists.joined(separator: ", or ")))",
            hint: "Check that the path is a model folder.")
    }

    /// The tokenizer of a folder with only a vocabulary.
    private func built(
        from kind: VocabularyFiles, _ found: [(name: String, bytes: [UInt8])], lowercases: Bool
    ) throws(TuttiError) -> Tokenizer {
        let place = TokenizerPlace(path: path + "/" + kind.names[0])
        let name = TokenizerClass.name(configuration: files.configuration, model: files.model)
        let known = TokenizerClass(configuration: files.configuration, model: files.model)
        guard let tokenizerClass = known ?? (name == nil ? kind.usualClass : nil) else {
            throw place.unknown("tokenizer class", name ?? "", known: TokenizerClass.known)
        }
        let vocabulary = try ClassVocabulary(try kind.members(found, path), place)
        let document = try ClassPipeline(
            vocabulary: vocabulary, files: files, class: tokenizerClass, place
        ).document
        return try saved(document, found, place, lowercases: lowercases)
    }

    /// The tokenizer of a folder with only a SentencePiece model.
    private func built(
        fromPieces file: (name: String, bytes: [UInt8]), lowercases: Bool
    ) throws(TuttiError) -> Tokenizer {
        let place = TokenizerPlace(path: path + "/" + file.name)
        try TokenizerClass.checkName(configuration: files.configuration, model: files.model, place)
        let model = try SentencePieceFile(file.bytes, path: place.path)
        var files = files
        files.pieceTokens = model.tokens
        let tokenizerClass =
            TokenizerClass(configuration: files.configuration, model: files.model) ?? model.followingClass
        guard ["BPE", "Unigram"].contains(tokenizerClass.model) else {
            let name =
                TokenizerClass.name(configuration: files.configuration, model: files.model) ?? "of the model's family"
            throw place.error(
                key: "tokenizer_class", "the tokenizer class \(name) has no use for a SentencePiece model")
        }
        let document = try ClassPipeline(
            vocabulary: try model.vocabulary(for: tokenizerClass, files, place), files: files, class: tokenizerClass,
            place
        ).document
        return try saved(document, [file], place, lowercases: lowercases)
    }

    /// The tokenizer of a `document` that was built from the files `found`, to be saved with them.
    private func saved(
        _ document: JSONValue, _ found: [(name: String, bytes: [UInt8])], _ place: TokenizerPlace, lowercases: Bool
    ) throws(TuttiError) -> Tokenizer {
        let written = Array(document.serialized(indent: 2).utf8)
        return try Tokenizer(
            lowercased(document, lowercases), path: place.path, configuration: files.configuration,
            files: [("tokenizer.json", written)] + found + copied, notices: [])
    }

    /// The tokenizer.json after the folder's tokenizer class is applied, and a notice if that changes what is split.
    private func overridden(
        _ document: JSONValue, path: String
    ) throws(TuttiError) -> (document: JSONValue, notices: [String]) {
        let place = TokenizerPlace(path: path)
        try TokenizerClass.checkName(configuration: files.configuration, model: files.model, place)
        let model = document["model"] ?? .null
        let untyped = model["vocab"]?.array == nil ? "WordPiece" : "Unigram"
        let type = model["type"]?.string ?? (model["merges"] == nil ? untyped : "BPE")
        let asItIs = try DeclaredTokens.merged(into: document, files, place)
        guard
            let tokenizerClass = TokenizerClass(configuration: files.configuration, model: files.model, file: document),
            tokenizerClass.model == type, let members = model.object,
            type == "Unigram" || members["vocab"]?.object != nil
        else { return (asItIs, []) }
        var kept = JSONObject()
        for key in ["vocab", "merges"] { kept[key] = members[key] }
        var files = files
        files.fileTokens = document["added_tokens"]?.array ?? []
        let built = try ClassPipeline(
            vocabulary: try ClassVocabulary(kept, place), files: files, file: document, class: tokenizerClass, place
        ).document
        return (built, notices(document, built, path: path))
    }

    /// Where the class changes what the file says.
    private func notices(_ document: JSONValue, _ built: JSONValue, path: String) -> [String] {
        let normalizer = built["normalizer"] ?? .null
        let before = document["normalizer"] ?? .null
        if before["type"]?.string == "BertNormalizer", normalizer["type"]?.string == "BertNormalizer" {
            let changes = ["lowercase", "strip_accents", "handle_chinese_chars"].filter {
                (before[$0] ?? .null) != (normalizer[$0] ?? .null)
            }
            guard !changes.isEmpty else { return [] }
            let list = changes.map { "\($0) \((normalizer[$0] ?? .null).serialized())" }.joined(separator: ", ")
            return ["\(path): the tokenizer's class and tokenizer_config.json set \(list), as in transformers"]
        }
        let changed = ["normalizer", "pre_tokenizer"].filter { part in
            !TokenizerFolder.agree(document[part] ?? .null, built[part] ?? .null)
        }
        guard !changed.isEmpty else { return [] }
        let name = TokenizerClass.name(configuration: files.configuration, model: files.model) ?? "of its model_type"
        let list = changed.map { $0 == "normalizer" ? $0 : "pre-tokenizer" }.joined(separator: " and the ")
        return ["\(path): the tokenizer class \(name) replaces the \(list)"]
    }

    /// True if two parts differ at most in keys that one of them leaves out.
    private static func agree(_ a: JSONValue, _ b: JSONValue) -> Bool {
        if let first = a.object, let second = b.object {
            return first.allSatisfy { member in second[member.key].map { agree(member.value, $0) } ?? true }
        }
        if let first = a.array, let second = b.array {
            return first.count == second.count && zip(first, second).allSatisfy { agree($0, $1) }
        }
        return a == b
    }

    private func lowercased(_ document: JSONValue, _ lowercases: Bool) -> JSONValue {
        guard lowercases, var object = document.object else { return document }
        let normalizer = document["normalizer"] ?? .null
        let steps = normalizer["normalizers"]?.array ?? (normalizer.isNull ? [] : [normalizer])
        let hasLowercase = steps.contains { step in
            step["type"]?.string == "Lowercase"
                || (step["type"]?.string == "BertNormalizer" && step["lowercase"]?.bool ?? true)
        }
        guard !hasLowercase else { return document }
        object["normalizer"] = .object([
            "type": .string("Sequence"),
            "normalizers": .array([.object(["type": .string("Lowercase")])] + steps),
        ])
        return .object(object)
    }

    private mutating func read(_ name: String) throws(TuttiError) -> JSONValue {
        guard let bytes = try optionalBytes(name) else { return .null }
        copied.append((name, bytes))
        return try JSONValue.parse(bytes, source: path + "/" + name)
    }

    private func optionalBytes(_ name: String) throws(TuttiError) -> [UInt8]? {
        let file = path + "/" + name
        guard FileManager.default.fileExists(atPath: file) else { return nil }
        return try MappedFile(path: file).contents
    }
}

extension Tokenizer {
    /// Loads the tokenizer of the model folder `directory`; `lowercases` as the older layout's do_lower_case.
    ///
    /// Throws: `.missingFile` if there is neither tokenizer.json nor a vocabulary, `.data` if a file cannot be used.
    package static func load(directory: String, lowercases: Bool = false) throws(TuttiError) -> Tokenizer {
        try TokenizerFolder(path: directory).tokenizer(lowercases: lowercases)
    }

    /// Loads a tokenizer.json as it is: no class changes it, and its own truncation is the longest input.
    ///
    /// Throws: `.missingFile`; `.data` if it cannot be used.
    package static func load(file: String) throws(TuttiError) -> Tokenizer {
        let contents = try MappedFile(path: file).contents
        let document = UntypedParts.typed(try JSONValue.parse(contents, source: file))
        var configuration = JSONObject()
        if let limit = document["truncation"]?["max_length"] { configuration.set("model_max_length", limit) }
        return try Tokenizer(
            document, path: file, configuration: .object(configuration), files: [("tokenizer.json", contents)],
            notices: [])
    }
}
