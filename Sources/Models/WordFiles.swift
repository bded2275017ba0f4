// The files of the modules that read words: WordEmbeddings, BoW, and WordWeights after the first.
//
//   WordEmbeddings  wordembedding_config.json {tokenizer_class, update_embeddings, max_seq_length}, model.safetensors with
//                   emb_layer.weight [V, D], and the tokenizer's files: whitespacetokenizer_config.json, or those of a
//                   tokenizer of the transformers library
//   BoW             config.json {vocab, word_weights, unknown_word_weight, cumulative_term_frequency}
//   WordWeights     config.json {vocab, word_weights, unknown_word_weight}, model.safetensors with emb_layer.weight [V, 1]
//
// The weight of a word is that of the word, else of the word in lower case, else the one of unknown words. The reference takes
// WordWeights from config.json alone when it opens a model, so a trained model has its weights there too.
//
// Reference: word_embeddings.py, bow.py and word_weights.py in sentence_transformers/sentence_transformer/modules.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiText

/// The vocabulary of a BoW or of WordWeights, with a weight for each word.
struct WordList {
    /// [V] the words.
    let words: [String]
    /// [V] their weights.
    let weights: [Float]
    /// The weight of words that were given none.
    let unknownWeight: Double
    /// Whether a BoW counts a word as often as it occurs.
    let isCumulative: Bool

    /// The most words that a file may have.
    private static let limit = 1 << 26

    /// Reads the module's config.json; of a BoW a word that is there twice counts once.
    ///
    /// Throws: `.data` naming the key.
    init(_ file: ConfigurationFile, isUnique: Bool = true) throws(TuttiError) {
        guard let values = file.object["vocab"]?.array else { throw file.error("vocab", "is not a list of words") }
        guard (1...WordList.limit).contains(values.count) else {
            throw file.error("vocab", "has \(values.count) words, expected 1 to \(WordList.limit)")
        }
        var words = values.compactMap(\.string)
        guard words.count == values.count else { throw file.error("vocab", "is not a list of words") }
        if isUnique {
            var seen = JSONObject()
            for word in words where !seen.contains(key: word) { seen.set(word, .null) }
            words = seen.keys
        }
        self.words = words
        unknownWeight = try file.value("unknown_word_weight") ?? 1
        isCumulative = try file.value("cumulative_term_frequency") ?? true
        let known = try file.value("word_weights", as: JSONObject.self) ?? JSONObject()
        var weights: [Float] = []
        weights.reserveCapacity(words.count)
        for word in words {
            guard let value = known[word] ?? known[PythonText.lowered(word)] else {
                weights.append(Float(unknownWeight))
                continue
            }
            guard let number = value.double, Float(number).isFinite else {
                throw file.error("word_weights.\(word)", "is \(value.configurationText), expected a number")
            }
            weights.append(Float(number))
        }
        self.weights = weights
    }

    /// The settings of a BoW.
    var family: BagOfWords { BagOfWords(weights: weights, isCumulative: isCumulative) }
}

extension InputDirectory {
    /// The settings of WordEmbeddings.
    ///
    /// Throws: `.data` if there is no table.
    func wordEmbeddings(of weights: TensorFile) throws(TuttiError) -> WordEmbeddings {
        guard let info = weights.info(WordEmbeddings.table) else {
            throw TuttiError(.data, "read weights", weights.path, "has no tensor '\(WordEmbeddings.table)'")
        }
        guard info.shape.count == 2, info.count > 0 else {
            throw weights.tensorError(info, "has the shape \(info.shape), where a table [words, width] is needed")
        }
        return WordEmbeddings(
            rows: info.shape[0], width: info.shape[1],
            isTrained: try configurationFile.value("update_embeddings") ?? false)
    }

    /// The tokenizer of WordEmbeddings.
    ///
    /// Throws: `.data` for a class that cannot be read.
    func wordTokenizer() throws(TuttiError) -> Tokenizer {
        let path: String = try configurationFile.required("tokenizer_class")
        let name = path.split(separator: ".").last.map(String.init) ?? path
        let known = ["WhitespaceTokenizer", "TransformersTokenizerWrapper"]
        switch name {
        case "WhitespaceTokenizer": return try Tokenizer.loadWords(directory: self.path)
        case "TransformersTokenizerWrapper": return try Tokenizer.load(directory: self.path)
        case "PhraseTokenizer":
            throw configurationFile.error(
                "tokenizer_class", "is PhraseTokenizer, which splits texts with NLTK's rules, which are not here",
                hint: "Save the model with a WhitespaceTokenizer of the same words.")
        default:
            throw configurationFile.error(
                "tokenizer_class", "is '\(path)', which is not known",
                hint: TuttiError.hint(unknown: name, known: known))
        }
    }
}

extension WordWeightsPlan {
    /// The text of config.json with these weights, one for each word of the vocabulary.
    func configurationText(_ weights: UnsafeMutableBufferPointer<Float>) -> String {
        var known = JSONObject()
        for (word, weight) in zip(vocabulary, weights) { known.set(word, .number(Double(weight))) }
        return JSONValue.object([
            "vocab": .array(vocabulary.map { .string($0) }), "word_weights": .object(known),
            "unknown_word_weight": .number(unknownWeight),
        ])
        .serialized(indent: 4)
    }
}
