// Thrift's compact protocol, read only: the footer and the page headers of Parquet.
//
// A message is read into a tree, whatever its fields mean, so that fields of later versions are passed over. Depth and
// counts are held to the bytes that are there.
// Reference: thrift/doc/specs/thrift-compact-protocol.md.

/// A value of a Thrift message.
enum ThriftValue {
    case truth(Bool)
    case integer(Int64)
    case double(Double)
    case binary(UnsafeRawBufferPointer)
    case list([ThriftValue])
    case structure(ThriftStructure)
    case map
}

/// The fields of a Thrift structure by their numbers.
struct ThriftStructure {
    private var fields: [(id: Int, value: ThriftValue)] = []

    /// Reads one structure.
    init(_ reader: inout BoundedReader) throws(Damage) { try self.init(&reader, depth: 0) }

    fileprivate init(_ reader: inout BoundedReader, depth: Int) throws(Damage) {
        guard depth < 32 else { throw Damage("structures are nested too deep") }
        var id = 0
        while true {
            let header = try reader.byte()
            guard header != 0 else { return }
            let delta = Int(header >> 4)
            id = delta > 0 ? id + delta : Int(truncatingIfNeeded: try reader.zigzag())
            guard (0...0x7FFF).contains(id) else { throw Damage("field number \(id)") }
            let type = header & 0x0F
            fields.append((id, type <= 2 ? .truth(type == 1) : try ThriftStructure.value(&reader, type, depth)))
        }
    }

    private static func value(_ reader: inout BoundedReader, _ type: UInt8, _ depth: Int) throws(Damage) -> ThriftValue
    {
        guard depth < 32 else { throw Damage("lists are nested too deep") }
        switch type {
        case 1, 2: return .truth(try reader.byte() == 1)  // in a list
        case 3: return .integer(Int64(Int8(bitPattern: try reader.byte())))
        case 4, 5, 6: return .integer(try reader.zigzag())
        case 7: return .double(Double(bitPattern: try reader.number(UInt64.self)))
        case 8: return .binary(try reader.take(try reader.count(atMost: reader.left)))
        case 9, 10:
            let header = try reader.byte()
            let count = header >> 4 == 15 ? try reader.count(atMost: reader.left) : Int(header >> 4)
            guard count <= reader.left else { throw .endsEarly }
            var items: [ThriftValue] = []
            for _ in 0..<count { items.append(try value(&reader, header & 0x0F, depth + 1)) }
            return .list(items)
        case 11:
            let count = try reader.count(atMost: reader.left)
            guard count > 0 else { return .map }
            let types = try reader.byte()
            for _ in 0..<count {
                _ = try value(&reader, types >> 4, depth + 1)
                _ = try value(&reader, types & 0x0F, depth + 1)
            }
            return .map
        case 12: return .structure(try ThriftStructure(&reader, depth: depth + 1))
        default: throw Damage("a field has the unknown type \(type)")
        }
    }

    private subscript(id: Int) -> ThriftValue? { fields.last { $0.id == id }?.value }

    /// Whether field `id` is there.
    func has(_ id: Int) -> Bool { self[id] != nil }

    /// The number of the first field: what a union holds.
    var first: Int? { fields.first?.id }

    /// The integer of field `id`, or nil.
    func integer(_ id: Int) throws(Damage) -> Int? {
        guard let value = self[id] else { return nil }
        guard case .integer(let number) = value else { throw Damage("field \(id) is not a number") }
        return Int(number)
    }

    /// The integer of field `id`, which must be there and not be negative.
    func count(_ id: Int, _ what: String) throws(Damage) -> Int {
        guard let number = try integer(id) else { throw Damage("\(what) is missing") }
        guard number >= 0 else { throw Damage("\(what) is \(number)") }
        return number
    }

    /// The truth of field `id`, or nil.
    func truth(_ id: Int) throws(Damage) -> Bool? {
        guard let value = self[id] else { return nil }
        guard case .truth(let flag) = value else { throw Damage("field \(id) is not true or false") }
        return flag
    }

    /// The text of field `id`, or nil.
    func text(_ id: Int) throws(Damage) -> String? {
        guard let value = self[id] else { return nil }
        guard case .binary(let bytes) = value, let text = String(validating: bytes, as: UTF8.self) else {
            throw Damage("field \(id) is not a text")
        }
        return text
    }

    /// The structure of field `id`, or nil.
    func structure(_ id: Int) throws(Damage) -> ThriftStructure? {
        guard let value = self[id] else { return nil }
        guard case .structure(let fields) = value else { throw Damage("field \(id) is not a structure") }
        return fields
    }

    /// The structures of the list in field `id`; none without it.
    func structures(_ id: Int) throws(Damage) -> [ThriftStructure] {
        guard let value = self[id] else { return [] }
        guard case .list(let items) = value else { throw Damage("field \(id) is not a list") }
        var all: [ThriftStructure] = []
        for item in items {
            guard case .structure(let fields) = item else { throw Damage("field \(id) is not a list of structures") }
            all.append(fields)
        }
        return all
    }
}
