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
    /// Of the data set, path, split, rename and rows count.
    /// Throws: `.missingFile`; `.data` naming file and line.
    static func read(_ dataset: DatasetSpecification) throws(TuttiError) -> [RerankingSample] {
        var samples: [RerankingSample] = []
        for path in try DatasetReaders.files(of: dataset) {
            try read(path, renames: dataset.options.renames, into: &samples)
        }
        guard let rows = dataset.rows else { return samples }
        return Array(samples[try rows.range(of: samples.count, source: dataset.path)])
    }

    private static func read(
        _ path: String, renames: [String: String], into samples: inout [RerankingSample]
    ) throws(TuttiError) {
        let file = try MappedFile.unpacked(path: path)
        let columns = ["query", "positive", "negative"] + renames.keys
        if var rows = try ColumnarObjects(file, columns: columns) {
            var row = 0
            while let object = try rows.next() {
                row += 1
                samples.append(try RerankingSample(.object(object), renames, place: "\(path): row \(row)"))
            }
            return
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
            samples.append(try RerankingSample(value, renames, place: "\(path):\(line)"))
        }
        withExtendedLifetime(file) {}
    }

    /// The sample of one object, which is at `place`; `renames` are other names of its keys.
    private init(_ value: JSONValue, _ renames: [String: String], place: String) throws(TuttiError) {
        func texts(_ wanted: String) throws(TuttiError) -> [String] {
            let key = renames.first { $0.value == wanted }?.key ?? wanted
            guard let member = value[key] else {
                throw TuttiError(
                    .data, "read samples", place, "the sample has no \"\(key)\"",
                    hint: TuttiError.hint(unknown: key, known: value.object?.keys ?? []))
            }
            if let text = member.string { return [text] }
            let list = member.array?.compactMap(\.string)
            guard let list, list.count == member.array?.count, wanted != "query" else {
                throw TuttiError(
                    .data, "read samples", place,
                    "\"\(key)\" is \(member.kindName), where a text\(wanted == "query" ? "" : " or a list of texts") "
                        + "is needed")
            }
            return list
        }
        let (query, positives, negatives) = (try texts("query"), try texts("positive"), try texts("negative"))
        self.init(query: query[0], positives: positives, negatives: negatives)
    }
}
