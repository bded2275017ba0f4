// Written Parquet files: read back by the package to equal bits, and by pyarrow, polars, duckdb, fastparquet and pandas.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct ParquetWriterTests {
    private static let texts = ["", "baba ce", "line\nbreak, \"quotes\"", "caf\u{E9} \u{4F60}\u{1F3BB}", "baba ce"]
    private static let floats: [Float] = [
        0, -0.0, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 0.1, -1.5e-7, 1 / 3,
    ]

    /// Rows of a table with every kind of column: `rows` texts, and lists of `width` floats and bytes.
    private struct Sample {
        let texts: [String]
        let floats: [Float]
        let bytes: [UInt8]

        init(rows: Int, width: Int) {
            texts = (0..<rows).map { ParquetWriterTests.texts[$0 % 5] + (rows > 100 ? " \($0)" : "") }
            floats = (0..<rows * width).map { place in
                let value = ParquetWriterTests.floats[place % 7]
                return place % 11 == 0 ? value : Float(place) / 997
            }
            bytes = (0..<rows * width).map { UInt8(truncatingIfNeeded: $0 &* 37) }
        }

        func write(_ path: String, width: Int, limits: ParquetWriter.Limits = .init()) throws {
            try floats.withUnsafeBytes { floats in
                try bytes.withUnsafeBytes { bytes in
                    try ParquetWriter.write(
                        path: path,
                        columns: [
                            .texts("text", texts), .lists("embedding", floats, type: .f32, width: width),
                            .lists("int8", bytes, type: .i8, width: width),
                            .lists("uint8", bytes, type: .u8, width: width),
                        ], limits: limits)
                }
            }
        }
    }

    /// Equal bits in every shape: no rows, lists of one, many pages and row groups, rows larger than a page.
    @Test(arguments: [(0, 3), (1, 1), (5, 7), (40, 1), (300, 16), (2000, 33)])
    func ownReaderReadsEqualBits(_ rows: Int, _ width: Int) throws {
        let scratch = try Scratch()
        let sample = Sample(rows: rows, width: width)
        for limits in [ParquetWriter.Limits(), .init(group: 4000, page: 700), .init(group: 1, page: 1)] {
            let path = scratch.file("x.parquet")
            try sample.write(path, width: width, limits: limits)
            let (names, cells) = try columnarRows(path)
            #expect(names == ["text", "embedding", "int8", "uint8"] && cells.count == rows)
            #expect(cells.map { $0[0].string } == sample.texts)
            let numbers = try cells.flatMap { try #require($0[1].array) }
            #expect(try numbers.map { Float(try #require($0.double)).bitPattern } == sample.floats.map(\.bitPattern))
            #expect(cells.allSatisfy { $0[1].array?.count == width })
            #expect(cells.flatMap { $0[2].array ?? [] }.map(\.int) == sample.bytes.map { Int(Int8(bitPattern: $0)) })
            #expect(cells.flatMap { $0[3].array ?? [] }.map(\.int) == sample.bytes.map { Int($0) })
        }
        #expect(try scratch.names == ["x.parquet"], "nothing is left beside the file")
    }

    /// Text is packed, and files have the same bytes every time.
    @Test func filesArePackedAndRepeatable() throws {
        let scratch = try Scratch()
        let sample = Sample(rows: 2000, width: 4)
        for name in ["a", "b"] { try sample.write(scratch.file(name), width: 4) }
        #expect(try bytes(of: scratch.file("a")) == bytes(of: scratch.file("b")))
        let long = (0..<1000).map { _ in String(repeating: "presto ", count: 100) }
        try ParquetWriter.write(path: scratch.file("c"), columns: [.texts("text", long)])
        #expect(try bytes(of: scratch.file("c")).count < 20_000)
    }

    /// A flipped bit of a page is noticed, since pages have checksums.
    @Test func damageIsNoticed() throws {
        let scratch = try Scratch()
        try Sample(rows: 5, width: 7).write(scratch.file("x.parquet"), width: 7)
        let original = try bytes(of: scratch.file("x.parquet"))
        let footer = original.suffix(8).prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        var noticed = 0
        for place in 30..<original.count - 8 - footer {
            var changed = original
            changed[place] ^= 4
            if let error = failure({ try columnarRows(try scratch.write(changed, to: "y.parquet")) }) {
                #expect(error.kind == .data, "byte \(place)")
                noticed += 1
            } else {
                Issue.record("byte \(place) was changed and nobody noticed")
            }
        }
        #expect(noticed > 300)
    }

    @Test func whatCannotBeWrittenIsTold() throws {
        let scratch = try Scratch()
        let error = try #require(failure { try ParquetWriter.write(path: scratch.file("no/x.parquet"), columns: []) })
        #expect(error.kind == .missingFile && error.subject == scratch.file("no/x.parquet"))
    }

    /// The readers of the field, on files of several shapes: the rows, and the types that pyarrow gives its own.
    @Test(
        .enabled(if: Reference.variable("TUTTI_REAL_COLUMNAR") != nil, "launch/test --real has the readers"))
    func realReadersReadTheRows() throws {
        let scratch = try Scratch()
        for (rows, width) in [(0, 3), (1, 1), (5, 7), (2000, 33)] {
            let sample = Sample(rows: rows, width: width)
            let name = scratch.file("\(rows)-\(width)")
            try sample.write(name + ".parquet", width: width)
            try sample.write(name + "-small.parquet", width: width, limits: .init(group: 4000, page: 700))
            var expected: JSONObject = [:]
            expected["text"] = .array(sample.texts.map { .string($0) })
            expected["embedding"] = .array(sample.floats.map { .integer(Int64($0.bitPattern)) })
            expected["uint8"] = .array(sample.bytes.map { .integer(Int64($0)) })
            expected["width"] = .integer(Int64(width))
            for ending in ["", "-small"] {
                try AtomicWrite.file(path: name + ending + ".json", text: expected.serialized())
            }
        }
        try Reference.run("check_written_parquet.py", [scratch.path])
    }
}
