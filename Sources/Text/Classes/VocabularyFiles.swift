// Vocabularies that stand alone in older model folders: vocab.txt, or vocab.json with merges.txt.
// A new kind is one entry in `kinds`, most telling names first.

import TuttiFormats
import TuttiGround

/// One kind of vocabulary.
struct VocabularyFiles: Sendable {
    /// A file and its contents.
    typealias File = (name: String, bytes: [UInt8])

    /// The files, all of which must be there.
    let names: [String]
    /// The class of a folder that names none.
    let usualClass: TokenizerClass?
    /// What tokenizer.json's `model` holds of the vocabulary; the argument is the folder's path.
    let members: @Sendable ([File], String) throws(TuttiError) -> JSONObject

    /// The kinds, in the order in which they are looked for.
    static let kinds = [
        VocabularyFiles(names: ["vocab.json", "merges.txt"], usualClass: .gpt2) { files, folder throws(TuttiError) in
            let vocabulary = try JSONValue.parse(files[0].bytes, source: folder + "/" + files[0].name)
            guard vocabulary.object != nil else {
                throw TuttiError(
                    .data, "read tokenizer", folder + "/" + files[0].name,
                    "expected an object of ids by token, found \(vocabulary.kindName)")
            }
            return ["vocab": vocabulary, "merges": try merges(files[1].bytes, path: folder + "/" + files[1].name)]
        },
        VocabularyFiles(names: ["vocab.txt"], usualClass: .bert) { files, folder throws(TuttiError) in
            ["vocab": .object(try lines(files[0].bytes, path: folder + "/" + files[0].name))]
        },
    ]

    /// The merges of a merges.txt: one "left right" a line, without the lines that start with "#version".
    private static func merges(_ bytes: [UInt8], path: String) throws(TuttiError) -> JSONValue {
        try check(bytes, path: path)
        var merges: [JSONValue] = []
        for line in split(bytes) where !line.isEmpty && !line.starts(with: "#version".utf8) {
            merges.append(.string(String(decoding: line, as: UTF8.self)))
        }
        return .array(merges)
    }

    /// The vocabulary of a vocab.txt: one token per line; for duplicates the last line wins, as in the reference.
    ///
    /// Throws: `.data` for a file that is empty or not UTF-8.
    private static func lines(_ bytes: [UInt8], path: String) throws(TuttiError) -> JSONObject {
        try check(bytes, path: path)
        var vocabulary = JSONObject()
        for (number, line) in split(bytes).enumerated() {
            vocabulary.set(String(decoding: line, as: UTF8.self), .integer(Int64(number)))
        }
        guard !vocabulary.isEmpty else { throw TuttiError(.data, "read tokenizer", path, "the vocabulary is empty") }
        return vocabulary
    }

    private static func check(_ bytes: [UInt8], path: String) throws(TuttiError) {
        try bytes.withUnsafeBufferPointer { buffer throws(TuttiError) in
            try UTF8Text.check(UnsafeRawBufferPointer(buffer), source: path, operation: "read tokenizer")
        }
    }

    /// The lines, without their ends; an empty last one does not count.
    private static func split(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0 }
    }
}
