// The tokenizer of word embeddings: words between white space, looked up in a list. Words that are not in it, and stop words,
// are left out.
//
// A word is looked up as it is, then without punctuation around it, then in lower case.
// Reference: sentence_transformers/sentence_transformer/modules/tokenizer/whitespace.py.

import TuttiFormats
import TuttiGround

/// A list of words with the words to leave out.
struct WordList: Sendable {
    /// The words; a word's id is its place.
    let words: [String]
    private let table: TokenTable
    private let stopWords: TokenTable
    private let lowercases: Bool

    /// The list of `words`; for one given twice the last id counts.
    init(_ words: [String], stopWords: [String], lowercases: Bool, _ place: TokenizerPlace) throws(TuttiError) {
        func table(_ words: [String]) throws(TuttiError) -> TokenTable {
            try TokenTable(words.enumerated().map { (token: $1, id: Int32(truncatingIfNeeded: $0)) }, place)
        }
        guard words.count < Int(Int32.max) else {
            throw place.error(key: "vocab", "has \(words.count) words; the limit is \(Int32.max)")
        }
        self.words = words
        self.table = try table(words)
        self.stopWords = try table(stopWords)
        self.lowercases = lowercases
    }

    /// The id of `word` as it stands; nil if it is not in the list.
    func id(of word: String) -> Int32? { table.id(of: word) }

    /// Appends the ids of the words of `text`, at most `limit`.
    func read(_ text: String, limit: Int, appendingTo ids: inout [Int32]) {
        var room = limit
        for word in PythonText.words(of: lowercases ? PythonText.lowered(text) : text) {
            guard room > 0 else { return }
            guard let id = lookUp(Array(word.utf8)) else { continue }
            ids.append(id)
            room -= 1
        }
    }

    private func lookUp(_ word: [UInt8]) -> Int32? {
        if stopWords.id(of: word, 0..<word.count) != nil { return nil }
        if let id = table.id(of: word, 0..<word.count) { return id }
        let bare = Array(PythonText.stripped(word[...]))
        if stopWords.id(of: bare, 0..<bare.count) != nil { return nil }
        if !bare.isEmpty, let id = table.id(of: bare, 0..<bare.count) { return id }
        let low = Array(PythonText.lowered(String(decoding: bare, as: UTF8.self)).utf8)
        if stopWords.id(of: low, 0..<low.count) != nil { return nil }
        return table.id(of: low, 0..<low.count)
    }
}

extension Tokenizer {
    /// The file of a tokenizer of words.
    package static let wordsFile = "whitespacetokenizer_config.json"

    /// Loads the tokenizer of words of the module folder `directory`.
    ///
    /// Throws: `.missingFile`; `.data` naming the key.
    package static func loadWords(directory: String) throws(TuttiError) -> Tokenizer {
        let path = directory + "/" + wordsFile
        let bytes = try MappedFile(path: path).contents
        let place = TokenizerPlace(path: path)
        let document = try JSONValue.parse(bytes, source: path)
        func list(_ key: String) throws(TuttiError) -> [String] {
            guard let values = document[key]?.array else {
                throw place.error(key: key, "is not a list of words")
            }
            let words = values.compactMap(\.string)
            guard words.count == values.count else { throw place.error(key: key, "is not a list of words") }
            return words
        }
        let stopWords = document["stop_words"] == nil ? EnglishStopWords.all : try list("stop_words")
        let words = try WordList(
            try list("vocab"), stopWords: stopWords,
            lowercases: try place.bool(document, "do_lower_case", default: false), place)
        return try Tokenizer(words, files: [(wordsFile, bytes)])
    }

    /// A tokenizer of the words of a list; it is saved as the reference saves it.
    package static func ofWords(
        _ words: [String], stopWords: [String], lowercases: Bool, source: String
    ) throws(TuttiError) -> Tokenizer {
        let list = try WordList(
            words, stopWords: stopWords, lowercases: lowercases, TokenizerPlace(path: source))
        let file: JSONObject = [
            "vocab": .array(words.map { .string($0) }), "stop_words": .array(stopWords.map { .string($0) }),
            "do_lower_case": .bool(lowercases),
        ]
        return try Tokenizer(list, files: [(wordsFile, Array(JSONValue.object(file).serialized().utf8))])
    }

    /// A tokenizer of the words of a list that another file holds.
    package static func ofVocabulary(_ words: [String], source: String) throws(TuttiError) -> Tokenizer {
        let list = try WordList(words, stopWords: [], lowercases: false, TokenizerPlace(path: source))
        return try Tokenizer(list, files: [])
    }
}
