// A text file of word vectors, as GloVe and word2vec write it: a word and its numbers a line.
//
//   the 0.418 0.24968 -0.41242 ...
//
// A first line of two fields is word2vec's header. The first row of the table is a vector of zeros called PADDING_TOKEN, and
// lines of another length are left out, as in the reference.
//
// Reference: WordEmbeddings.from_text_file in sentence_transformers.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiText

/// The words of a file of vectors with their numbers.
struct VectorFile {
    /// [V] the words, PADDING_TOKEN first.
    private(set) var words: [String] = []
    /// [V, D]
    private(set) var values: [Float] = []
    /// D.
    private(set) var width = 0
    /// Lines that were left out.
    private(set) var oddLines = 0

    /// Reads the file at `path`; `maximumWords` without PADDING_TOKEN, nil = all.
    ///
    /// Throws: `.missingFile`; `.data` naming the line of what is not a number, and for a file without vectors.
    init(_ path: String, separator: String, maximumWords: Int?) throws(TuttiError) {
        let file = try MappedFile.unpacked(path: path)
        let (bytes, between) = (file.bytes, Array(separator.utf8))
        var (begin, line) = (0, 0)
        while begin < bytes.count {
            var end = begin
            while end < bytes.count, bytes[end] != 0x0A { end += 1 }
            line += 1
            var text = Array(bytes[begin..<end])
            while let last = text.last, VectorFile.isSpace(last) { text.removeLast() }
            begin = end + 1
            let fields = VectorFile.fields(text, between)
            if words.isEmpty, fields.count == 2 { continue }
            if words.isEmpty {
                guard fields.count > 1 else { throw VectorFile.error(path, line, "has no numbers after the word") }
                width = fields.count - 1
                words.append("PADDING_TOKEN")
                values += [Float](repeating: 0, count: width)
            }
            guard fields.count == width + 1 else {
                oddLines += 1
                continue
            }
            words.append(String(decoding: text[fields[0]], as: UTF8.self))
            text.append(0)
            for field in fields.dropFirst() {
                guard let number = VectorFile.number(text, field) else {
                    let found = String(decoding: text[field], as: UTF8.self)
                    throw VectorFile.error(path, line, "'\(found)' is not a number")
                }
                values.append(number)
            }
            if let maximumWords, words.count > maximumWords { break }
        }
        guard !words.isEmpty else { throw TuttiError(.data, "read word vectors", path, "the file has no vectors") }
    }

    private static func error(_ path: String, _ line: Int, _ problem: String) -> TuttiError {
        TuttiError(
            .data, "read word vectors", "\(path):\(line)", problem,
            hint: "A line is a word and its numbers, with item_separator between them.")
    }

    /// The parts of a line, empty ones too.
    private static func fields(_ text: [UInt8], _ separator: [UInt8]) -> [Range<Int>] {
        var (fields, start, place) = ([Range<Int>](), 0, 0)
        while place + separator.count <= text.count {
            if text[place..<place + separator.count].elementsEqual(separator) {
                fields.append(start..<place)
                place += separator.count
                start = place
            } else {
                place += 1
            }
        }
        return fields + [start..<text.count]
    }

    /// The finite number that a field spells, in double precision first, as the reference reads it.
    private static func number(_ text: [UInt8], _ field: Range<Int>) -> Float? {
        guard !field.isEmpty else { return nil }
        return text.withUnsafeBytes { bytes -> Float? in
            guard let base = bytes.baseAddress else { return nil }
            let start = (base + field.lowerBound).assumingMemoryBound(to: CChar.self)
            var end: UnsafeMutablePointer<CChar>?
            let value = strtod(start, &end)
            guard let end, UnsafePointer(end) - start == field.count, value.isFinite, Float(value).isFinite else {
                return nil
            }
            return Float(value)
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}
