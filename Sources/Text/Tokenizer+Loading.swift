// A tokenizer out of a model folder: tokenizer.json, or vocab.txt where there is none; tokenizer_config.json and
// special_tokens_map.json beside it.

import Foundation
import TuttiFormats
import TuttiGround

extension Tokenizer {
    /// Loads the tokenizer of the model folder `directory`.
    ///
    /// Throws: `.missingFile` when there is neither tokenizer.json nor vocab.txt, `.data` when a file cannot be used.
    public static func load(directory: String) throws(TuttiError) -> Tokenizer {
        let configuration = try optionalJSON(directory, "tokenizer_config.json")
        let specialTokens = try optionalJSON(directory, "special_tokens_map.json")
        let others = [configuration, specialTokens].compactMap(\.file)
        let path = directory + "/tokenizer.json"
        if FileManager.default.fileExists(atPath: path) {
            let file = try MappedFile(path: path)
            let contents = file.contents
            let document = try JSONValue.parse(contents, source: path)
            var files = [(name: "tokenizer.json", bytes: contents)] + others
            if let vocabulary = try optionalFile(directory, "vocab.txt") { files.append(vocabulary) }
            return try Tokenizer(document, path: path, configuration: configuration.value, files: files)
        }
        let vocabularyPath = directory + "/vocab.txt"
        guard FileManager.default.fileExists(atPath: vocabularyPath) else {
            throw TuttiError(
                .missingFile, "read tokenizer", directory, "has neither tokenizer.json nor vocab.txt",
                hint: "Check that the path is a model folder.")
        }
        let vocabulary = try MappedFile(path: vocabularyPath)
        let document = try VocabularyFile.tokenizerJSON(
            bytes: vocabulary.bytes, path: vocabularyPath, configuration: configuration.value,
            specialTokens: specialTokens.value)
        let written = Array(document.serialized(indent: 2).utf8)
        let files = [(name: "tokenizer.json", bytes: written), (name: "vocab.txt", bytes: vocabulary.contents)]
        return try Tokenizer(document, path: vocabularyPath, configuration: configuration.value, files: files + others)
    }

    private static func optionalFile(
        _ directory: String, _ name: String
    ) throws(TuttiError) -> (name: String, bytes: [UInt8])? {
        let path = directory + "/" + name
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let file = try MappedFile(path: path)
        return (name, file.contents)
    }

    private static func optionalJSON(
        _ directory: String, _ name: String
    ) throws(TuttiError) -> (value: JSONValue, file: (name: String, bytes: [UInt8])?) {
        guard let file = try optionalFile(directory, name) else { return (.null, nil) }
        return (try JSONValue.parse(file.bytes, source: directory + "/" + name), file)
    }
}
