// The first module of a model: what turns texts into vectors, by its class name in modules.json.
//
// A StaticEmbedding is a table of one vector a token and their mean; it has weights and a tokenizer, and no config.json.
// WordEmbeddings give vectors of words to the modules after it, a BoW counts words: WordFiles.swift.
// Reference: sentence_transformers/sentence_transformer/modules/static_embedding.py.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiText

/// The kinds of first modules; the raw value is the class name.
package enum InputModule: String, Sendable, CaseIterable {
    /// An encoder of the transformers library.
    case transformer = "Transformer"
    /// The mean of a table's rows.
    case staticEmbedding = "StaticEmbedding"
    /// A table of one vector a word.
    case wordEmbeddings = "WordEmbeddings"
    /// Weights of the words that occur.
    case bagOfWords = "BoW"

    /// True when the module's folder has the config.json of an architecture.
    var hasConfiguration: Bool { self == .transformer }
    /// True when special tokens go around a text, where its tokenizer has some.
    package var addsSpecialTokens: Bool { self == .transformer || self == .wordEmbeddings }
    /// True when a text becomes vectors of tokens, which other modules work on.
    package var hasTokenVectors: Bool { self == .transformer || self == .wordEmbeddings }
    /// True when the longest text is a setting of the module.
    package var keepsLength: Bool { hasTokenVectors }

    /// The file of the module's settings, if it has one.
    var settingsName: String? {
        switch self {
        case .transformer, .bagOfWords: "config.json"
        case .wordEmbeddings: "wordembedding_config.json"
        case .staticEmbedding: nil
        }
    }

    /// The folder that the model's only first module is saved in; empty for the root.
    var folder: String { self == .bagOfWords ? "0_BoW" : "" }

    /// The kind called `className`, of the entry at `place`.
    ///
    /// Throws: `.data` that says why another class cannot be first.
    init(className: String, place: String) throws(TuttiError) {
        if let known = InputModule(rawValue: className) {
            self = known
            return
        }
        let known = InputModule.allCases.map(\.rawValue)
        throw TuttiError(
            .data, "read model", place,
            "the first module is '\(className)'" + (InputModule.reasons[className].map { ", which \($0)" } ?? ""),
            hint: TuttiError.hint(unknown: className, known: known))
    }

    /// Why other modules of sentence-transformers cannot be trained.
    private static let reasons = [
        "CLIPModel": "encodes images"
    ]
}

extension ModelDirectory {
    /// The modules of a route after the first as an encoder has them: what has no token vectors is pooled already, by
    /// what stands for a mean.
    func heads(of route: RouteModules) -> [HeadConfiguration] {
        (inputs[route.input].input.hasTokenVectors ? [] : [.pooling(modes: [.mean])]) + route.modules.map(\.module)
    }
}

extension InputDirectory {
    /// The weights of the module.
    ///
    /// Throws: `.missingFile` with a remedy; `.data` for anything malformed.
    func openWeights() throws(TuttiError) -> TensorFile {
        if let made { return made.weights }
        switch input {
        case .transformer: return try keptLayers(of: try TensorFile.open(directory: encoderPath))
        case .staticEmbedding: return try StaticTable.read(try TensorFile.open(directory: path))
        case .wordEmbeddings: return try TensorFile.open(directory: path)
        case .bagOfWords: return try TensorFile(inMemory: [], sourcePath: configurationPath) { _, _ in }
        }
    }

    /// The settings of the module, of sizes that `weights` can have.
    ///
    /// Throws: `.data` naming file and key.
    func family(of weights: TensorFile) throws(TuttiError) -> any EncoderFamily {
        switch input {
        case .transformer: return try EncoderSettings.read(configurationFile, weights: weights)
        case .staticEmbedding: return try StaticTable.family(of: weights)
        case .wordEmbeddings: return try wordEmbeddings(of: weights)
        case .bagOfWords: return try WordList(configurationFile).family
        }
    }

    /// The tokenizer of the module.
    ///
    /// Throws: `.missingFile`; `.data` if a file cannot be used.
    func tokenizer() throws(TuttiError) -> Tokenizer {
        if let made { return made.tokenizer }
        switch input {
        case .transformer: return try Tokenizer.load(directory: tokenizerPath, lowercases: lowercases)
        case .staticEmbedding: return try Tokenizer.load(file: path + "/tokenizer.json")
        case .wordEmbeddings: return try wordTokenizer()
        case .bagOfWords:
            return try Tokenizer.ofVocabulary(try WordList(configurationFile).words, source: configurationPath)
        }
    }
}
