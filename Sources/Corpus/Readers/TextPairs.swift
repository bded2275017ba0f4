// Pairs of short texts in a file or a configuration: ids with their texts, or related ids.
//
//   .csv, .tsv     a header line, then the first two columns of every row
//   .jsonl         a line is an array of two, or an object; its first two members are used
//   .json          an array of such lines; or an object {first: second} or {first: {second: true}}
//   .parquet ...   the first two text columns
//
// Integers are read as strings, since ids are often numbers.

import TuttiFormats
import TuttiGround

/// The reader of pairs.
package enum TextPairs {
    /// A pair of texts.
    package typealias Pair = (first: String, second: String)

    /// Reads the pairs in the file at `path`.
    ///
    /// `options` give the format of a file of separated values; they do not apply to JSON.
    /// Throws: `.missingFile`; `.data` naming file and line.
    package static func read(_ path: String, options: ReaderOptions = ReaderOptions()) throws(TuttiError) -> [Pair] {
        let file = try MappedFile.unpacked(path: path)
        let reader = try DatasetReaders.reader(for: path, options: options)
        let pairs: [Pair]
        if reader == JSONReader.self {
            pairs = try TextPairs.pairs(of: JSONValue.parse(file.bytes, source: path), source: path)
        } else if reader == JSONLinesReader.self {
            pairs = try lines(of: file)
        } else if reader == CSVReader.self || reader == TSVReader.self {
            pairs = try records(
                of: file, separator: options.delimiter ?? (reader == TSVReader.self ? "\t" : ","), options)
        } else {
            let table = try reader.read(file, columns: nil, options: options)
            guard table.columnNames.count >= 2 else {
                throw TuttiError(.data, "read pairs", path, "has fewer than two text columns")
            }
            pairs = (0..<table.rowCount).map { (table.text(row: $0, column: 0), table.text(row: $0, column: 1)) }
        }
        return withExtendedLifetime(file) { pairs }
    }

    /// The pairs in a JSON value; `source` names it in errors.
    ///
    /// Throws: `.data` for anything else.
    package static func pairs(of value: JSONValue, source: String) throws(TuttiError) -> [Pair] {
        var pairs: [Pair] = []
        if let list = value.array {
            for (place, element) in list.enumerated() {
                guard let pair = pair(of: element) else { throw flaw(element, "\(source): element \(place + 1)") }
                pairs.append(pair)
            }
            return pairs
        }
        guard let object = value.object else { throw flaw(value, source) }
        for (key, member) in object {
            if let second = text(member) {
                pairs.append((key, second))
            } else if let marks = member.object {
                for (second, mark) in marks {
                    guard let isMarked = mark.bool else { throw flaw(mark, "\(source): \(key).\(second)") }
                    if isMarked { pairs.append((key, second)) }
                }
            } else {
                throw flaw(member, "\(source): \(key)")
            }
        }
        return pairs
    }

    private static func lines(of file: MappedFile) throws(TuttiError) -> [Pair] {
        var rows = try JSONSequence(file.bytes, form: .lines, source: file.path)
        var pairs: [Pair] = []
        while let (value, line) = try rows.next() {
            guard let pair = pair(of: value) else { throw flaw(value, "\(file.path):\(line)") }
            pairs.append(pair)
        }
        return pairs
    }

    private static func records(
        of file: MappedFile, separator: Unicode.Scalar, _ options: ReaderOptions
    ) throws(TuttiError) -> [Pair] {
        var parser = CSVParser(file.bytes, source: file.path, separator: separator, quote: options.quote)
        var record = CSVRecord()
        var width = 2
        switch options.header {
        case .columns: break
        case .names(let names): width = names.count
        case .line: width = try parser.next(&record) ? record.count : 0
        }
        guard width >= 2 else {
            throw TuttiError(.data, "read pairs", "\(file.path):1", "no header line with two columns")
        }
        var pairs: [Pair] = []
        while try parser.next(&record) {
            guard record.count == width else { throw parser.raggedRow(record, expected: width) }
            pairs.append((record[0], record[1]))
        }
        return pairs
    }

    /// An array of two texts, or the first two members of an object.
    private static func pair(of value: JSONValue) -> Pair? {
        guard let values = value.array ?? value.object?.values.map({ $0 }), values.count >= 2,
            values.count == 2 || value.array == nil,
            let first = text(values[0]), let second = text(values[1])
        else { return nil }
        return (first, second)
    }

    private static func text(_ value: JSONValue) -> String? { value.string ?? value.int.map(String.init) }

    private static func flaw(_ value: JSONValue, _ place: String) -> TuttiError {
        TuttiError(
            .data, "read pairs", place, "is \(value.kindName), not a pair of texts",
            hint: "Pairs are arrays of two, objects of two members, or an object {first: second}.")
    }
}
