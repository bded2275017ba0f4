// Comma- and tab-separated records, streamed over a file's bytes: RFC 4180 and common extensions.
//
// Fields may be quoted, with doubled quotes and line ends inside; records end with \n, \r\n or a lone \r; a byte order
// mark and lines without any character are skipped (a single empty field is written ""). A quote inside an unquoted
// field is an ordinary character, as in Python's csv. Errors name source:line:column. A record's fields are kept in
// one reused block of bytes, so that reading a million rows creates no strings.

import TuttiGround

/// One record: the concatenated bytes of its fields.
package struct CSVRecord: Sendable {
    /// The unquoted bytes of all fields, valid UTF-8.
    package fileprivate(set) var bytes: [UInt8] = []
    fileprivate var ends: [Int] = []
    fileprivate var starts: [Int] = []
    /// The line on which the record starts, from one.
    package fileprivate(set) var line = 1
    /// Lines of the record; more than one if quoted fields contain line ends.
    package fileprivate(set) var lineCount = 1

    /// An empty record, to be filled by `CSVParser.next`.
    package init() {}

    /// The number of fields.
    package var count: Int { ends.count }

    /// The range of field `index` in `bytes`.
    package func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

    /// Field `index` as a string.
    package subscript(index: Int) -> String { String(decoding: bytes[range(index)], as: UTF8.self) }

    /// All fields as strings.
    package var fields: [String] { (0..<count).map { self[$0] } }

    fileprivate mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        starts.removeAll(keepingCapacity: true)
    }
}

/// Reads the records of a CSV or TSV text one by one.
package struct CSVParser {
    private let bytes: UnsafeRawBufferPointer
    private let source: String
    private let separator: UInt8
    private let quote: UInt8?
    private var position = 0
    private var line = 1
    private var encoding: UTF8Progress
    private static let operation = "read table"

    /// A parser over `bytes`, which must stay valid while it is used; `source` names them in errors. Without a `quote`,
    /// every character but the separator and line ends belongs to its field.
    package init(
        _ bytes: UnsafeRawBufferPointer, source: String, separator: Unicode.Scalar = ",",
        quote: Unicode.Scalar? = "\""
    ) {
        precondition(separator.isASCII && quote?.isASCII ?? true, "CSVParser: separator and quote must be one byte")
        encoding = UTF8Progress(bytes, source: source, operation: CSVParser.operation)
        self.bytes = bytes
        self.source = source
        self.separator = UInt8(separator.value)
        self.quote = quote.map { UInt8($0.value) }
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { position = 3 }
    }

    /// Reads the next record into `record`; false at the end.
    ///
    /// Throws: `.data` with source:line:column for bytes that are not UTF-8, an unclosed quote or text after a closing
    /// quote.
    package mutating func next(_ record: inout CSVRecord) throws(TuttiError) -> Bool {
        let isFound: Bool
        do throws(TuttiError) {
            isFound = try take(&record)
        } catch {
            try encoding.checkAll()  // what looks like a flaw of the table may be another encoding
            throw error
        }
        try encoding.check(to: position)
        return isFound
    }

    private mutating func take(_ record: inout CSVRecord) throws(TuttiError) -> Bool {
        record.removeAll()
        while position < bytes.count, takeLineEnd() {}
        guard position < bytes.count else { return false }
        record.line = line
        while true {
            record.starts.append(position)
            if let quote, position < bytes.count, bytes[position] == quote {
                try takeQuoted(quote, into: &record.bytes)
            } else {
                takePlain(into: &record.bytes)
            }
            record.ends.append(record.bytes.count)
            if position < bytes.count, bytes[position] == separator {
                position += 1
            } else {
                guard position == bytes.count || takeLineEnd() else {
                    throw error("text after a closing quote", at: position, hint: CSVParser.quoteHint)
                }
                record.lineCount = max(1, line - record.line)
                return true
            }
        }
    }

    /// The position of field `index` of `record`, "source:line:column", for errors about its content.
    package func place(of index: Int, in record: CSVRecord) -> String {
        guard index < record.starts.count else { return "\(source):\(record.line)" }
        return "\(source):\(TextPosition(offset: record.starts[index], in: bytes))"
    }

    /// The error for a record with more or fewer fields than the header.
    package func raggedRow(_ record: CSVRecord, expected: Int, hint: String? = nil) -> TuttiError {
        let extra = record.count > expected
        let usual =
            switch (extra, quote) {
            case (false, _): "Every row needs a field for every column."
            case (true, nil): "Without quotes (quote: none) a field cannot contain the separator."
            case (true, let quote?):
                "A field that contains the separator must be between two \(Character(Unicode.Scalar(quote))) characters."
            }
        return TuttiError(
            .data, CSVParser.operation, extra ? place(of: expected, in: record) : "\(source):\(record.line)",
            "the row has \(record.count) fields, the header has \(expected)", hint: hint ?? usual)
    }

    private static let quoteHint =
        "Double a quote inside a quoted field; if quotes are ordinary characters in this file, read it with "
        + "quote: none."

    private mutating func takePlain(into field: inout [UInt8]) {
        let first = position
        while position < bytes.count {
            let byte = bytes[position]
            if byte == separator || byte == 0x0A || byte == 0x0D { break }
            position += 1
        }
        field.append(contentsOf: bytes[first..<position])
    }

    private mutating func takeQuoted(_ quote: UInt8, into field: inout [UInt8]) throws(TuttiError) {
        let opening = position
        position += 1
        var first = position
        while position < bytes.count {
            let byte = bytes[position]
            if byte == quote {
                field.append(contentsOf: bytes[first..<position])
                position += 1
                guard position < bytes.count, bytes[position] == quote else { return }
                first = position
                position += 1
            } else if !takeLineEnd() {
                position += 1
            }
        }
        throw error("the quoted field that starts here has no closing quote", at: opening, hint: CSVParser.quoteHint)
    }

    /// Skips a line end and counts it; false if there is none.
    private mutating func takeLineEnd() -> Bool {
        switch bytes[position] {
        case 0x0A:
            position += 1
        case 0x0D:
            position += position + 1 < bytes.count && bytes[position + 1] == 0x0A ? 2 : 1
        default:
            return false
        }
        line += 1
        return true
    }

    private func error(_ problem: String, at offset: Int, hint: String?) -> TuttiError {
        let position = TextPosition(offset: offset, in: bytes)
        return TuttiError(.data, CSVParser.operation, "\(source):\(position)", problem, hint: hint)
    }
}

/// The inverse: fields as one line of CSV, as Python's csv.writer does by default, without line end.
package func csvLine(_ fields: [String], separator: Character = ",") -> String {
    if fields.count == 1, fields[0].isEmpty { return "\"\"" }
    return fields.map { field in
        let needsQuotes = field.unicodeScalars.contains {
            $0 == "\"" || $0 == "\n" || $0 == "\r" || Character($0) == separator
        }
        guard needsQuotes else { return field }
        // By scalars: a quote and a following combining accent are one Character.
        var quoted = String.UnicodeScalarView("\"".unicodeScalars)
        for scalar in field.unicodeScalars {
            quoted.append(scalar)
            if scalar == "\"" { quoted.append(scalar) }
        }
        quoted.append("\"")
        return String(quoted)
    }.joined(separator: String(separator))
}
