// Fuzz targets of columnar files, Parquet and Arrow, as several writers make them: every column of every row is read.

import Foundation
import TuttiFormats
import TuttiGround

extension FuzzTarget {
    /// Bytes of Thrift's compact protocol, of levels and of lengths.
    private static let alphabet: [UInt8] = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 0x15, 0x19, 0x1C, 0x2C, 0x4C, 0x7F, 0x80, 0xFE, 0xFF,
    ]

    static let columnarTargets: [FuzzTarget] = [
        columnar("parquet") { file in
            let parquet = try ParquetFile(file)
            return try parquet.rows(of: Array(parquet.columnNames.indices))
        },
        columnar("arrow") { file in
            let arrow = try ArrowFile(file)
            return try arrow.rows(of: Array(arrow.columnNames.indices))
        },
    ]

    /// The target of the files with the extension `name`, whose rows `open` gives.
    private static func columnar(
        _ name: String, open: @escaping @Sendable (MappedFile) throws -> any ColumnarRows
    ) -> FuzzTarget {
        FuzzTarget(
            name, alphabet: alphabet, corpus: { try files(name) }, mutate: changed,
            use: { bytes, folder in
                let file = try MappedFile(path: try folder.write("f." + name, bytes))
                defer { withExtendedLifetime(file) {} }
                var rows = try open(file)
                var cells: [JSONValue] = []
                while try rows.next(&cells) { _ = cells.count }
            })
    }

    /// The files of Tests/Golden/columnar with this extension.
    private static func files(_ ending: String) throws -> [[UInt8]] {
        try names(in: "columnar").filter { $0.hasSuffix("." + ending) }.map { try golden("columnar/" + $0) }
    }

    /// Changes anywhere, or only in the end of a file, which tells most of what can go wrong.
    private static func changed(_ mutator: inout Mutator, _ original: [UInt8], _ alphabet: [UInt8]) -> [UInt8] {
        if Bool.random(using: &mutator) { return mutator.mutate(original, alphabet: alphabet) }
        let start = max(0, original.count - 1500)
        return original[..<start] + mutator.mutate(Array(original[start...]), alphabet: alphabet)
    }
}
