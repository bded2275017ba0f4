// Arrow IPC as rows of JSON values: files (Feather 2, polars) and streams (what datasets.save_to_disk writes).
//
// A file is "ARROW1", messages, a footer with the places of the messages, its length, "ARROW1". A stream is messages, one
// after the other: a schema, dictionaries, batches. A message is a mark (four bytes FF, which old writers leave out), the
// length of its header, the header, its body.
// Reference: docs/source/format/Columnar.rst and format/{Message,File}.fbs in apache/arrow.

import TuttiGround

/// An Arrow file or stream.
package struct ArrowFile {
    /// The names of its columns, without an index that pandas adds.
    package var columnNames: [String] { places.map { fields[$0].name } }
    fileprivate let file: MappedFile
    fileprivate let fields: [ArrowField]
    private let places: [Int]
    /// Where dictionaries and batches are, in the order in which they are read; nil for a stream after its schema.
    fileprivate let blocks: [Int]?
    fileprivate let start: Int

    private static let magic = Array("ARROW1".utf8)

    /// The schema of `file`.
    ///
    /// Throws: `.data` naming the file, for one that is not Arrow, or damaged.
    package init(_ file: MappedFile) throws(TuttiError) {
        self.file = file
        do throws(Damage) {
            let bytes = file.bytes
            if bytes.starts(with: "FEA1".utf8) {
                throw Damage("is a Feather file of version 1, which is not supported")
            }
            let schema: FlatTable
            if bytes.starts(with: ArrowFile.magic) {
                let footer = try ArrowFile.footer(bytes)
                guard let table = try footer.table(1) else { throw Damage("has no schema") }
                schema = table
                blocks = (try footer.words(2, each: 3) + footer.words(3, each: 3)).map { Int(clamping: $0[0]) }
                start = 0
            } else {
                guard let first = try ArrowMessage(bytes, at: 0), first.kind == .schema else {
                    throw Damage("is not an Arrow file or stream")
                }
                schema = first.header
                blocks = nil
                start = first.end
            }
            guard try schema.number(0, default: Int16(0)) == 0 else {
                throw Damage("has numbers with the highest byte first, which is not supported")
            }
            var fields: [ArrowField] = []
            for table in try schema.tables(1) { fields.append(try ArrowField(table)) }
            self.fields = fields
        } catch {
            throw ArrowFile.error(file.path, error)
        }
        let fields = fields
        places = fields.indices.filter { !fields[$0].name.hasPrefix("__index_level_") }
    }

    private static func footer(_ bytes: UnsafeRawBufferPointer) throws(Damage) -> FlatTable {
        guard bytes.count >= 18, bytes.suffix(6).elementsEqual(magic) else {
            throw Damage("ends too early: its end is not \"ARROW1\"")
        }
        let length = Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: bytes.count - 10, as: Int32.self))
        guard length >= 0, Int(length) <= bytes.count - 18 else { throw Damage("has a footer of \(length) bytes") }
        let end = bytes.count - 10
        return try FlatTable(root: UnsafeRawBufferPointer(rebasing: bytes[end - Int(length)..<end]))
    }

    /// The rows of the columns at `columns` of `columnNames`.
    ///
    /// Throws: `.data` naming the column, for one of another shape than texts, numbers and lists of them.
    package func rows(of columns: [Int]) throws(TuttiError) -> ArrowRows {
        let chosen = columns.map { places[$0] }
        for place in chosen {
            guard let refusal = fields[place].refusal else { continue }
            throw TuttiError(
                .data, "read Arrow", "\(file.path): column '\(fields[place].name)'", refusal,
                hint: "A data set has columns of texts, numbers or lists; name those to use with columns: [...].")
        }
        return ArrowRows(self, chosen)
    }

    fileprivate static func error(_ subject: String, _ damage: Damage) -> TuttiError {
        TuttiError(
            .data, "read Arrow", subject, damage.problem,
            hint: damage.problem.hasSuffix("not supported")
                ? "Save the data set again with a current pyarrow or datasets."
                : "Take the file from its source again.")
    }
}

/// A message: its header, its body, and where it ends.
private struct ArrowMessage {
    enum Kind: UInt8 { case none, schema, dictionary, batch, tensor, sparseTensor }

    let kind: Kind
    let header: FlatTable
    let body: UnsafeRawBufferPointer
    let end: Int

    /// The message at `start`; nil at the end of a stream.
    init?(_ bytes: UnsafeRawBufferPointer, at start: Int) throws(Damage) {
        guard start >= 0, start <= bytes.count else { throw Damage("has a message outside of the file") }
        guard start < bytes.count else { return nil }
        var reader = BoundedReader(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        var length = try reader.number(UInt32.self)
        if length == UInt32.max { length = try reader.number(UInt32.self) }
        guard length > 0 else { return nil }
        let message = try FlatTable(root: try reader.take(Int(length)))
        guard let kind = Kind(rawValue: try message.number(1, default: 0)), let header = try message.table(2) else {
            throw Damage("has a message of an unknown kind")
        }
        let size = try message.number(3, default: Int64(0))
        guard size >= 0, size <= Int64(reader.left) else { throw .endsEarly }
        body = try reader.take(Int(size))
        self.kind = kind
        self.header = header
        end = start + reader.position
    }
}

/// The rows of some columns, in order.
package struct ArrowRows: ColumnarRows {
    private let arrow: ArrowFile
    private let chosen: [Int]
    private var arrays: [ArrowArray] = []
    private var dictionaries: [Int64: [ArrowArray]] = [:]
    private var batch = 0
    private var row = 0
    private var rows = 0
    private var nextBlock = 0
    private var position: Int

    fileprivate init(_ arrow: ArrowFile, _ chosen: [Int]) {
        self.arrow = arrow
        self.chosen = chosen
        position = arrow.start
    }

    /// Puts the cells of the next row into `cells`; false at the end.
    ///
    /// Throws: `.data` naming file, column, batch and row.
    package mutating func next(_ cells: inout [JSONValue]) throws(TuttiError) -> Bool {
        cells.removeAll(keepingCapacity: true)
        do throws(Damage) {
            while row == rows {
                guard try enterBatch() else { return false }
            }
        } catch {
            throw ArrowFile.error("\(arrow.file.path): batch \(batch + 1)", error)
        }
        for (place, array) in arrays.enumerated() {
            do throws(Damage) {
                cells.append(try array.value(row))
            } catch {
                let name = arrow.fields[chosen[place]].name
                throw ArrowFile.error("\(arrow.file.path): column '\(name)', batch \(batch), row \(row + 1)", error)
            }
        }
        row += 1
        return true
    }

    /// Goes on to the next batch, reading dictionaries on the way; false at the end.
    private mutating func enterBatch() throws(Damage) -> Bool {
        while true {
            if let blocks = arrow.blocks {
                guard nextBlock < blocks.count else { return false }
                position = blocks[nextBlock]
                nextBlock += 1
            }
            guard let message = try ArrowMessage(arrow.file.bytes, at: position) else {
                guard arrow.blocks == nil else { throw Damage("has an empty message") }
                return false
            }
            position = message.end
            switch message.kind {
            case .dictionary: try readDictionary(message)
            case .batch:
                var contents = try ArrowBatch(message.header, body: message.body)
                var used: [Int: ArrowArray] = [:]
                for (place, field) in arrow.fields.enumerated() {
                    let array = try contents.array(
                        field, isUsed: chosen.contains(place), dictionaries: dictionaries)
                    if let array { used[place] = array }
                }
                arrays = chosen.compactMap { used[$0] }
                (row, rows) = (0, contents.rows)
                batch += 1
                return true
            case .schema: throw Damage("has a second schema")
            case .none, .tensor, .sparseTensor: throw Damage("has a message that is not a table's")
            }
        }
    }

    private mutating func readDictionary(_ message: ArrowMessage) throws(Damage) {
        let id = try message.header.number(0, default: Int64(0))
        guard let data = try message.header.table(1) else { throw Damage("has an empty dictionary") }
        guard let field = ArrowRows.field(of: id, in: arrow.fields) else { return }
        guard field.refusal == nil else { return }
        let values = ArrowField(valuesOf: field)
        var contents = try ArrowBatch(data, body: message.body)
        guard let array = try contents.array(values, isUsed: true, dictionaries: dictionaries) else { return }
        let isAddition = try message.header.number(2, default: UInt8(0)) != 0
        dictionaries[id] = (isAddition ? dictionaries[id] ?? [] : []) + [array]
    }

    /// The field whose dictionary has this id, at any depth.
    private static func field(of id: Int64, in fields: [ArrowField]) -> ArrowField? {
        for field in fields {
            if field.dictionary?.id == id { return field }
            if let inner = Self.field(of: id, in: field.children) { return inner }
        }
        return nil
    }
}
