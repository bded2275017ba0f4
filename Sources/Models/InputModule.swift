// The first module of a model: what turns texts into vectors, by its class name in modules.json.
//
// A StaticEmbedding is a table of one vector a token and their mean; it has weights and a tokenizer, and no config.json.
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

    /// True when the module's folder has a config.json.
    var hasConfiguration: Bool { self == .transformer }
    /// True when special tokens go around a text.
    package var addsSpecialTokens: Bool { self == .transformer }

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
        "WordEmbeddings": "splits texts by a word list of its own, where a tokenizer.json is needed",
        "BoW": "has no parameters to train",
        "CLIPModel": "encodes images",
    ]
}

extension ModelDirectory {
    /// The modules of a route after the first as an encoder has them: a bag of tokens is pooled by their mean.
    func heads(of route: RouteModules) -> [HeadConfiguration] {
        (inputs[route.input].input == .staticEmbedding ? [.pooling(modes: [.mean])] : []) + route.modules.map(\.module)
    }
}

extension InputDirectory {
    /// The weights of the module.
    ///
    /// Throws: `.missingFile` with a remedy; `.data` for anything malformed.
    func openWeights() throws(TuttiError) -> TensorFile {
        let file = try TensorFile.open(directory: encoderPath)
        return input == .staticEmbedding ? try StaticTable.read(file) : file
    }

    /// The settings of the module, of sizes that `weights` can have.
    ///
    /// Throws: `.data` naming file and key.
    func family(of weights: TensorFile) throws(TuttiError) -> any EncoderFamily {
        switch input {
        case .transformer:
            return try EncoderSettings.read(configurationFile, weights: weights)
        case .staticEmbedding: return try StaticTable.family(of: weights)
        }
    }

    /// The tokenizer of the module.
    ///
    /// Throws: `.missingFile`; `.data` if a file cannot be used.
    func tokenizer() throws(TuttiError) -> Tokenizer {
        switch input {
        case .transformer: try Tokenizer.load(directory: tokenizerPath, lowercases: lowercases)
        case .staticEmbedding: try Tokenizer.load(file: path + "/tokenizer.json")
        }
    }
}
