// The tokenizer of a model folder: tokenizer.json, or vocab.txt if there is none, with the other files.
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
    /// Throws: `.missingFile` if there is neither tokenizer.json nor vocab.txt, `.data` for unusable files.
    func tokenizer(lowercases: Bool) throws(TuttiError) -> Tokenizer {
        let file = path + "/tokenizer.json"
        if let contents = try optionalBytes("tokenizer.json") {
            var saved = [(name: "tokenizer.json", bytes: contents)] + copied
            if let vocabulary = try optionalBytes("vocab.txt") { saved.append(("vocab.txt", vocabulary)) }
            let document = try JSONValue.parse(contents, source: file)
            let (effective, notices) = try overridden(document, path: file)
            return try Tokenizer(
                lowercased(effective, lowercases), path: file, configuration: files.configuration, files: saved,
                notices: notices)
        }
        guard let vocabulary = try optionalBytes("vocab.txt") else {
            throw TuttiError(
                .missingFile, "read tokenizer", path, "has neither tokenizer.json nor vocab.txt",
                hint: "Check that the path is a model folder.")
        }
        let place = TokenizerPlace(path: path + "/vocab.txt")
        let name = TokenizerClass.name(configuration: files.configuration, model: files.model)
        let found = TokenizerClass(configuration: files.configuration, model: files.model)
        guard let tokenizerClass = found ?? (name == nil ? .bert : nil) else {
            throw place.unknown("tokenizer class", name ?? "", known: TokenizerClass.known)
        }
        let entries = try ClassPipeline.vocabulary(vocabulary, path: place.path)
        let document = try ClassPipeline(vocabulary: entries, files: files, class: tokenizerClass, place).document
        let written = Array(document.serialized(indent: 2).utf8)
        return try Tokenizer(
            lowercased(document, lowercases), path: place.path, configuration: files.configuration,
            files: [("tokenizer.json", written), ("vocab.txt", vocabulary)] + copied, notices: [])
    }

    /// The tokenizer.json after the folder's tokenizer class is applied, and a notice if that changes the normalizer.
    private func overridden(
        _ document: JSONValue, path: String
    ) throws(TuttiError) -> (document: JSONValue, notices: [String]) {
        let place = TokenizerPlace(path: path)
        guard document["model"]?["type"]?.string ?? "WordPiece" == "WordPiece",
            let tokenizerClass = TokenizerClass(configuration: files.configuration, model: files.model),
            let vocabulary = document["model"]?["vocab"]?.object
        else { return (document, []) }
        var files = files
        files.fileTokens = document["added_tokens"]?.array ?? []
        let built = try ClassPipeline(vocabulary: vocabulary, files: files, class: tokenizerClass, place).document
        let normalizer = built["normalizer"] ?? .null
        guard let before = document["normalizer"], before["type"]?.string == "BertNormalizer" else {
            let name =
                TokenizerClass.name(configuration: files.configuration, model: files.model) ?? "of its model_type"
            return (built, ["\(path): the tokenizer class \(name) replaces the normalizer"])
        }
        let changes = ["lowercase", "strip_accents", "handle_chinese_chars"].filter {
            (before[$0] ?? .null) != (normalizer[$0] ?? .null)
        }
        guard !changes.isEmpty else { return (built, []) }
        let list = changes.map { "\($0) \((normalizer[$0] ?? .null).serialized())" }.joined(separator: ", ")
        return (built, ["\(path): the tokenizer's class and tokenizer_config.json set \(list), as in transformers"])
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
    /// Throws: `.missingFile` if there is neither tokenizer.json nor vocab.txt, `.data` if a file cannot be used.
    package static func load(directory: String, lowercases: Bool = false) throws(TuttiError) -> Tokenizer {
        try TokenizerFolder(path: directory).tokenizer(lowercases: lowercases)
    }
}
