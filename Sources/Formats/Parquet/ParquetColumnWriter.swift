// A column of a Parquet file being written: what its part of the schema is, and the bytes of some of its rows.
//
// Columns are declared as pyarrow declares them: values may be absent, though none are here, and a list has three levels
//
//   optional group NAME (LIST) { repeated group list { optional TYPE element } }
//
// Values are in the plain encoding. Levels are runs: a byte's value, repeated.
// Reference: apache/parquet-format, Encodings.md, LogicalTypes.md.

import TuttiGround

/// A column of texts, or of lists of numbers of one length.
package struct ParquetOutputColumn {
    private enum Values {
        case texts([String])
        case lists(TensorType, width: Int, UnsafeRawBufferPointer)
    }

    /// The column's name.
    let name: String
    private let values: Values

    /// A column of texts.
    package static func texts(_ name: String, _ texts: [String]) -> ParquetOutputColumn {
        ParquetOutputColumn(name: name, values: .texts(texts))
    }

    /// A column of lists of `width` numbers: `bytes` row after row, of f32, i8 or u8, which must stay valid.
    package static func lists(
        _ name: String, _ bytes: UnsafeRawBufferPointer, type: TensorType, width: Int
    ) -> ParquetOutputColumn {
        precondition([.f32, .i8, .u8].contains(type), "ParquetOutputColumn: lists of \(type.rawValue)")
        precondition(width > 0 && bytes.count % (width * type.width) == 0, "ParquetOutputColumn: rows of \(width)")
        return ParquetOutputColumn(name: name, values: .lists(type, width: width, bytes))
    }

    /// The number of rows.
    var rowCount: Int {
        switch values {
        case .texts(let texts): texts.count
        case .lists(let type, let width, let bytes): bytes.count / (width * type.width)
        }
    }

    /// The bytes of a row's values.
    func size(of row: Int) -> Int {
        switch values {
        case .texts(let texts): texts[row].utf8.count + 4
        case .lists(_, let width, _): width * 4
        }
    }

    /// The values of a row.
    var valuesOfRow: Int { if case .lists(_, let width, _) = values { width } else { 1 } }

    /// The stored type: BYTE_ARRAY, FLOAT or INT32.
    var type: Int {
        switch values {
        case .texts: 6
        case .lists(.f32, _, _): 4
        case .lists: 1
        }
    }

    /// The path of its values in the schema.
    var path: [String] { if case .lists = values { [name, "list", "element"] } else { [name] } }

    /// Whether its pages are packed: floats would hardly get smaller.
    var isPacked: Bool { if case .lists(.f32, _, _) = values { false } else { true } }

    /// Its elements of the schema, in preorder.
    var schema: [ThriftWriter] {
        switch values {
        case .texts: return [leaf(name)]
        case .lists:
            var (outer, middle) = (ThriftWriter(), ThriftWriter())
            outer.int(3, 1)  // optional
            outer.text(4, name)
            outer.int(5, 1)
            outer.int(6, 3)  // LIST
            outer.structure(10, logical(3))
            middle.int(3, 2)  // repeated
            middle.text(4, "list")
            middle.int(5, 1)
            return [outer, middle, leaf("element")]
        }
    }

    private func leaf(_ name: String) -> ThriftWriter {
        var element = ThriftWriter()
        element.int(1, type)
        element.int(3, 1)  // optional
        element.text(4, name)
        switch values {
        case .texts:
            element.int(6, 0)  // UTF8
            element.structure(10, logical(1))
        case .lists(.f32, _, _): break
        case .lists(let type, _, _):
            element.int(6, type == .i8 ? 15 : 11)
            var integer = ThriftWriter()
            integer.byte(1, 8)
            integer.truth(2, type == .i8)
            element.structure(10, logical(10, integer))
        }
        return element
    }

    private func logical(_ kind: Int, _ parameters: ThriftWriter = ThriftWriter()) -> ThriftWriter {
        var union = ThriftWriter()
        union.structure(kind, parameters)
        return union
    }

    /// Appends levels and values of the rows `rows`, as a page of version 1 has them.
    func append(_ rows: Range<Int>, to page: inout [UInt8]) {
        switch values {
        case .texts(let texts):
            levels(to: &page) { $0.append(run: 1, count: rows.count) }
            for row in rows {
                page.append(littleEndian: UInt32(texts[row].utf8.count))
                page.append(contentsOf: texts[row].utf8)
            }
        case .lists(let type, let width, let bytes):
            levels(to: &page) { levels in
                for _ in rows {
                    levels.append(run: 0, count: 1)
                    if width > 1 { levels.append(run: 1, count: width - 1) }
                }
            }
            levels(to: &page) { $0.append(run: 3, count: rows.count * width) }
            let stored = bytes[rows.lowerBound * width * type.width..<rows.upperBound * width * type.width]
            switch type {
            case .i8:
                for byte in stored { page.append(littleEndian: UInt32(bitPattern: Int32(Int8(bitPattern: byte)))) }
            case .u8: for byte in stored { page.append(littleEndian: UInt32(byte)) }
            default: page.append(contentsOf: stored)
            }
        }
    }

    /// Levels behind their length.
    private func levels(to page: inout [UInt8], _ body: (inout [UInt8]) -> Void) {
        var levels: [UInt8] = []
        body(&levels)
        page.append(littleEndian: UInt32(levels.count))
        page += levels
    }
}

extension [UInt8] {
    /// A level of less than eight bits, repeated.
    fileprivate mutating func append(run level: UInt8, count: Int) {
        append(varint: count << 1)
        append(level)
    }

    fileprivate mutating func append(littleEndian number: UInt32) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }
}
