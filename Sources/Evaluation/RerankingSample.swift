// The samples of a re-ranking evaluation, and the file that they are read from.

import TuttiCorpus
import TuttiFormats
import TuttiGround

/// A query with the documents that answer it and others that do not.
package struct RerankingSample: Sendable, Equatable {
    /// The query.
    package let query: String
    /// Documents that answer it.
    package let positives: [String]
    /// Documents that do not.
    package let negatives: [String]

    /// Makes a sample from its parts.
    package init(query: String, positives: [String], negatives: [String]) {
        self.query = query
        self.positives = positives
        self.negatives = negatives
    }

    /// Reads objects {"query", "positive", "negative"}, one a line, in an array, or the rows of a Parquet or Arrow file; the
    /// lists may be single texts.
    ///
    /// Throws: `.missingFile`; `.data` naming file and line.
    static func read(_ path: String) throws(TuttiError) -> [RerankingSample] {
        let file = try MappedFile.unpacked(path: path)
        var samples: [RerankingSample] = []
        if let objects = try columnarObjects(file, columns: ["query", "positive", "negative"]) {
            for (row, object) in objects.enumerated() {
                samples.append(try RerankingSample(.object(object), place: "\(path): row \(row + 1)"))
            }
            return samples
        }
        let reader = try DatasetReaders.reader(for: path)
        guard reader == JSONLinesReader.self || reader == JSONReader.self else {
            throw TuttiError(
                .data, "read samples", path, "lists of documents have no place in a table of texts",
                hint:
                    "Write JSON lines: {\"query\": \"...\", \"positive\": [\"...\"], \"negative\": [\"...\"]}, or Parquet."
            )
        }
        let isArray =
            file.bytes.first { ![0x20, 0x09, 0x0A, 0x0D, 0xEF, 0xBB, 0xBF].contains($0) } == UInt8(ascii: "[")
        var rows = try JSONSequence(file.bytes, form: isArray ? .array : .lines, source: path)
        while let (value, line) = try rows.next() {
            samples.append(try RerankingSample(value, place: "\(path):\(line)"))
        }
        return withExtendedLifetime(file) { samples }
    }

    /// The sample of one object, which is at `place`.
    private init(_ value: JSONValue, place: String) throws(TuttiError) {
        func texts(_ key: String) throws(TuttiError) -> [String] {
            guard let member = value[key] else {
                throw TuttiError(
                    .data, "read samples", place, "the sample has no \"\(key)\"",
                    hint: TuttiError.hint(unknown: key, known: value.object?.keys ?? []))
            }
            if let text = member.string { return [text] }
            let list = member.array?.compactMap(\.string)
            guard let list, list.count == member.array?.count, key != "query" else {
                throw TuttiError(
                    .data, "read samples", place,
                    "\"\(key)\" is \(member.kindName), where a text\(key == "query" ? "" : " or a list of texts") "
                        + "is needed")
            }
            return list
        }
        let (query, positives, negatives) = (try texts("query"), try texts("positive"), try texts("negative"))
        self.init(query: query[0], positives: positives, negatives: negatives)
    }
}
