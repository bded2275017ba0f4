// A first module that a run makes of files of words, in place of a folder: WordEmbeddings of a file of vectors, a BoW of a
// vocabulary.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiText

/// What takes the place of a module's files.
package struct MadeInput: Sendable {
    /// What messages call it.
    let source: String
    let tokenizer: Tokenizer
    let weights: TensorFile
}

extension InputDirectory {
    /// The first module that `request` asks for; `notices` gets what a user should know.
    ///
    /// Throws: `.missingFile`; `.data` naming file and line; `.usage` for options that do not fit.
    static func made(_ request: ModuleRequest, notices: inout [String]) throws(TuttiError) -> InputDirectory {
        switch request.kind {
        case .wordEmbeddings(let request): return try made(request, notices: &notices)
        case .bagOfWords(let request): return try made(request)
        default: preconditionFailure("InputDirectory: a module that reads no texts")
        }
    }

    private static func made(
        _ request: WordEmbeddingsRequest, notices: inout [String]
    ) throws(TuttiError) -> InputDirectory {
        let file = try VectorFile(request.path, separator: request.separator, maximumWords: request.maximumWords)
        if file.oddLines > 0 {
            notices.append("\(request.path): \(file.oddLines) lines without \(file.width) numbers are left out")
        }
        let weights = try TensorFile(
            inMemory: WordEmbeddings.table, shape: [file.words.count, file.width], sourcePath: request.path
        ) { _ = $0.update(from: file.values) }
        let tokenizer = try Tokenizer.ofWords(
            file.words, stopWords: request.stopWords ?? EnglishStopWords.all, lowercases: request.lowercases,
            source: request.path)
        let settings: JSONObject = [
            "tokenizer_class": .string(
                "sentence_transformers.models.tokenizer.WhitespaceTokenizer.WhitespaceTokenizer"),
            "update_embeddings": .bool(request.isTrained), "max_seq_length": .integer(Int64(request.maximumLength)),
        ]
        return InputDirectory(
            .wordEmbeddings, made: MadeInput(source: request.path, tokenizer: tokenizer, weights: weights),
            settings: settings, maximumLength: request.maximumLength)
    }

    private static func made(_ request: BagOfWordsRequest) throws(TuttiError) -> InputDirectory {
        var (words, weights, source) = ([String](), JSONObject(), "")
        switch (request.vocabulary, request.frequencies) {
        case (let path?, nil):
            source = path
            words = try WordFrequencies.lines(of: path).filter { !$0.isEmpty }
            if let limit = request.maximumWords {
                let stopWords = Set(EnglishStopWords.all)
                words = Array(words.filter { !stopWords.contains($0) }.prefix(limit))
            }
            guard !words.isEmpty else { throw TuttiError(.data, "read a vocabulary", path, "the file has no words") }
        case (nil, let path?):
            source = path
            weights = try WordFrequencies(
                path, lowercases: true, stopWords: EnglishStopWords.all, maximumWords: request.maximumWords
            ).weights
            words = weights.keys
        default:
            throw TuttiError(
                .usage, "make a BoW", "modules.0", "needs vocab or document_frequencies, and not both")
        }
        let settings: JSONObject = [
            "vocab": .array(words.map { .string($0) }), "word_weights": .object(weights),
            "unknown_word_weight": .number(request.unknownWeight),
            "cumulative_term_frequency": .bool(request.isCumulative),
        ]
        let list = try WordList(ConfigurationFile(path: source, object: settings))
        return InputDirectory(
            .bagOfWords,
            made: MadeInput(
                source: source, tokenizer: try Tokenizer.ofVocabulary(list.words, source: source),
                weights: try TensorFile(inMemory: [], sourcePath: source) { _, _ in }),
            settings: settings, maximumLength: nil)
    }
}
