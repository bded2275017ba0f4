// How many documents have a word, as a text file: the number of documents, then a word, a tab and a number a line.
//
// The weight of a word is its inverse document frequency, log(documents / documents with the word).
// Reference: wikipedia_doc_frequencies.txt in examples/sentence_transformer/training/avg_word_embeddings.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiText

/// The words of a file with their inverse document frequencies.
struct WordFrequencies {
    /// The documents.
    let documents: Double
    /// Words in file order, with their weights; a word that is there twice has the last weight.
    let weights: JSONObject

    /// Reads the file at `path`.
    ///
    /// - Parameters:
    ///   - lowercases: whether lines are put in lower case.
    ///   - stopWords: words that are left out.
    ///   - maximumWords: words at most, nil = all.
    /// - Throws: `.missingFile`; `.data` naming the line that cannot be read.
    init(
        _ path: String, lowercases: Bool = false, stopWords: [String] = [], maximumWords: Int? = nil
    ) throws(TuttiError) {
        let lines = try WordFrequencies.lines(of: path)
        guard let first = lines.first, let documents = Double(first), documents >= 1 else {
            throw WordFrequencies.error(path, 1, "expected the number of documents")
        }
        let excluded = Set(stopWords)
        var weights = JSONObject()
        for (place, line) in lines.enumerated().dropFirst() {
            let line = lowercases ? PythonText.lowered(line) : line
            let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
            guard fields.count == 2, let count = Double(fields[1]), count >= 1 else {
                throw WordFrequencies.error(path, place + 1, "expected a word, a tab and a number of documents")
            }
            let word = String(fields[0])
            if excluded.contains(word) { continue }
            weights.set(word, .number(log(documents / count)))
            if let maximumWords, weights.count >= maximumWords { break }
        }
        guard !weights.isEmpty else { throw WordFrequencies.error(path, 2, "the file has no words") }
        (self.documents, self.weights) = (documents, weights)
    }

    /// The lines of a text file, without white space around them.
    ///
    /// Throws: `.missingFile`; `.data` for a damaged compressed file.
    static func lines(of path: String) throws(TuttiError) -> [String] {
        let file = try MappedFile.unpacked(path: path)
        return withExtendedLifetime(file) {
            var lines = file.bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map { bytes in
                String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            }
            if lines.last?.isEmpty == true { lines.removeLast() }
            return lines
        }
    }

    private static func error(_ path: String, _ line: Int, _ problem: String) -> TuttiError {
        TuttiError(.data, "read document frequencies", "\(path):\(line)", problem)
    }
}
