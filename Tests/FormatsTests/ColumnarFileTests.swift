// Parquet and Arrow files of several writers against the rows that were written; the errors of those that cannot be read.
//
// A few files are committed; launch/test --real makes some six hundred (Tests/Golden/columnar_files.py FOLDER).

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

/// The columns and rows of a Parquet or Arrow file, those of `columns` or all.
func columnarRows(
    _ path: String, _ columns: [String]? = nil
) throws -> (names: [String], rows: [[JSONValue]]) {
    let file = try MappedFile(path: path)
    defer { withExtendedLifetime(file) {} }
    func all(_ names: [String], _ rows: ([Int]) throws -> any ColumnarRows) throws -> ([String], [[JSONValue]]) {
        let used = try columns?.map { try #require(names.firstIndex(of: $0)) }
        var source = try rows(used ?? Array(names.indices))
        var cells: [JSONValue] = []
        var found: [[JSONValue]] = []
        while try source.next(&cells) { found.append(cells) }
        return (names, found)
    }
    if path.hasSuffix(".parquet") {
        let parquet = try ParquetFile(file)
        return try all(parquet.columnNames) { try parquet.rows(of: $0) }
    }
    let arrow = try ArrowFile(file)
    return try all(arrow.columnNames) { try arrow.rows(of: $0) }
}

@Suite struct ColumnarFileTests {
    static let folder = Goldens.path("columnar")
    private static let real = ProcessInfo.processInfo.environment["TUTTI_REAL_COLUMNAR"].flatMap {
        $0.isEmpty ? nil : $0
    }

    /// Equal values; a number may be written as a whole one or not.
    private static func equal(_ a: JSONValue, _ b: JSONValue) -> Bool {
        switch (a, b) {
        case (.integer(let a), .number(let b)), (.number(let b), .integer(let a)): Double(a) == b
        case (.array(let a), .array(let b)): a.count == b.count && zip(a, b).allSatisfy(equal)
        default: a == b
        }
    }

    /// Compares every file of `folder` with the rows that were written; how many there are.
    private static func compare(_ folder: String) throws -> Int {
        var count = 0
        var expected: [Substring: [[JSONValue]]] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() {
            guard let table = name.split(separator: "~").first, name.contains("~") else { continue }
            if expected[table] == nil {
                let text = try String(contentsOfFile: "\(folder)/\(table).expect.jsonl", encoding: .utf8)
                expected[table] = try text.split(separator: "\n").map { line in
                    try #require(try JSONValue.parse(String(line)).array)
                }
            }
            let wanted = try #require(expected[table])
            let rows = try columnarRows("\(folder)/\(name)").rows
            #expect(rows.count == wanted.count, "\(name)")
            let different = zip(rows, wanted).enumerated().first { !equal(.array($0.element.0), .array($0.element.1)) }
            #expect(different == nil, "\(name): row \((different?.offset ?? 0) + 1)")
            count += 1
        }
        return count
    }

    @Test func rowsAreThoseThatWereWritten() throws {
        #expect(try Self.compare(Self.folder) == 42)
    }

    @Test(.enabled(if: real != nil, "launch/test --real makes the files"))
    func realFilesOfEveryWriterAndSettingHoldTheRowsThatWereWritten() throws {
        #expect(try Self.compare(try #require(Self.real)) >= 600)
    }

    /// Columns that a data set cannot use do not keep the others from being read.
    @Test(arguments: ["mixed.parquet", "mixed.feather"])
    func otherShapesAreRefusedByName(_ name: String) throws {
        let path = Self.folder + "/" + name
        let (names, rows) = try columnarRows(path, ["last", "text"])
        #expect(names == ["when", "pair", "text", "map", "bytes", "last"])
        #expect(rows.map { $0[1] } == [.string("one"), .string("two"), .string("three")])
        #expect(rows.map { $0[0] } == [.array([.string("x")]), .array([]), .array([.string("y"), .string("z")])])
        for (column, words) in [
            ("when", "is a column of timestamps"),
            ("pair", name.hasSuffix("parquet") ? "is a structure" : "structures"),
            ("map", "map"),
        ] {
            let error = try #require(failure { try columnarRows(path, [column]) })
            #expect(error.kind == .data && error.problem.contains(words), "\(error)")
            #expect(error.subject == "\(path): column '\(column)'" && error.hint?.contains("columns: [...]") == true)
        }
        // Bytes without a meaning are text to old writers of Parquet, if they are UTF-8.
        let bytes = try #require(failure { try columnarRows(path, ["bytes"]) })
        #expect(bytes.problem.contains(name.hasSuffix("parquet") ? "not valid UTF-8" : "is a column of bytes"))
    }

    @Test func whatIsNotSupportedIsRefusedByName() throws {
        let path = Self.folder + "/brotli.parquet"
        let error = try #require(failure { try columnarRows(path) })
        #expect(error.kind == .data && error.problem.contains("Brotli"))
        #expect(error.subject == "\(path): column 'anchor', row group 1, page 1")
        let scratch = try Scratch()
        var encrypted = try bytes(of: Self.folder + "/mixed.parquet")
        encrypted.replaceSubrange(encrypted.count - 4..<encrypted.count, with: Array("PARE".utf8))
        #expect(
            failure { try columnarRows(try scratch.write(encrypted, to: "e.parquet")) }?.problem.contains("encrypted")
                == true)
        let feather = try scratch.write(Array("FEA1".utf8) + [UInt8](repeating: 0, count: 40), to: "f.feather")
        #expect(failure { try columnarRows(feather) }?.problem.contains("version 1") == true)
    }

    /// A file that was cut off anywhere is refused, or is a stream that ends between two batches.
    @Test(arguments: [
        "texts~pyarrow-deltas-zstd-v2-300.parquet", "lists~polars-zstd.parquet", "texts~feather-lz4.arrow",
    ])
    func filesThatWereCutOffAreRefused(_ name: String) throws {
        let original = try bytes(of: Self.folder + "/" + name)
        let scratch = try Scratch()
        for end in stride(from: 0, to: original.count, by: 31) {
            let path = try scratch.write(Array(original[..<end]), to: name)
            #expect(failure { try columnarRows(path) }?.kind == .data, "\(end) bytes")
        }
    }

    /// With a checksum, a flipped bit of a page is noticed whatever it would have meant.
    @Test func checksumsOfPagesAreChecked() throws {
        let name = "texts~pyarrow-lengths-gzip-v1-300.parquet"
        let original = try bytes(of: Self.folder + "/" + name)
        let scratch = try Scratch()
        var noticed = 0
        // Within the first pages, before the footer.
        for place in 60..<260 {
            var changed = original
            changed[place] ^= 4
            let error = failure { try columnarRows(try scratch.write(changed, to: name)) }
            #expect(error?.kind == .data, "byte \(place)")
            if error?.problem.contains("checksum") == true { noticed += 1 }
        }
        #expect(noticed > 100)
    }
}
