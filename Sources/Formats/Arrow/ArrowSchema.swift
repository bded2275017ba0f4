// The schema of Arrow data: the fields and how each is laid out. Types that a data set cannot use are known too, because
// their buffers lie between those of others.
//
// Reference: format/Schema.fbs in apache/arrow; the numbers are those of its fields and of its union Type.

/// The type of a field.
enum ArrowType {
    case null, boolean
    case integer(bytes: Int, isSigned: Bool)
    case float(bytes: Int)
    case decimal(bytes: Int, scale: Int)
    /// Texts behind offsets of that many bytes.
    case text(offset: Int)
    /// Texts of which short ones are stored in place.
    case textView
    /// Lists behind offsets of that many bytes.
    case list(offset: Int)
    case fixedList(count: Int)
    /// Lists with offsets and lengths of that many bytes.
    case listView(offset: Int)
    /// A type that is not used, with the number of its buffers, and whether variadic ones follow them.
    case other(String, buffers: Int, isVariadic: Bool)
}

/// A field of a schema.
struct ArrowField {
    let name: String
    let type: ArrowType
    let children: [ArrowField]
    /// The dictionary with the values, where the field has indices.
    let dictionary: (id: Int64, index: ArrowType)?

    init(_ table: FlatTable, depth: Int = 0) throws(Damage) {
        guard depth < 32 else { throw Damage("has types that are nested too deep") }
        name = try table.text(0) ?? ""
        type = try ArrowType(try table.number(2, default: UInt8(0)), try table.table(3))
        var children: [ArrowField] = []
        for child in try table.tables(5) { children.append(try ArrowField(child, depth: depth + 1)) }
        self.children = children
        if let encoding = try table.table(4) {
            var index = ArrowType.integer(bytes: 4, isSigned: true)
            if let table = try encoding.table(1) { index = try ArrowType.integer(table) }
            dictionary = (try encoding.number(0, default: 0), index)
        } else {
            dictionary = nil
        }
        let expected: Int? =
            switch type {
            case .list, .fixedList, .listView: 1
            case .other: nil
            default: 0
            }
        if let expected, children.count != expected { throw Damage("has a field '\(name)' of a damaged type") }
    }

    /// The field of the values in the dictionary of `field`.
    init(valuesOf field: ArrowField) {
        name = field.name
        type = field.type
        children = field.children
        dictionary = nil
    }

    /// Why the field cannot be used, or nil.
    var refusal: String? {
        switch type {
        case .other(let name, _, _): "is a column of \(name)"
        case .list, .fixedList, .listView: children[0].refusal.map { _ in "is a list of values that are not supported" }
        default: nil
        }
    }
}

extension ArrowType {
    /// The type of a number in the union `Type`, with its table.
    init(_ code: UInt8, _ table: FlatTable?) throws(Damage) {
        func bits(_ id: Int, default standard: Int32) throws(Damage) -> Int {
            Int(try table?.number(id, default: standard) ?? standard)
        }
        switch code {
        case 1: self = .null
        case 2:
            guard let table else { throw Damage("has a damaged schema") }
            self = try ArrowType.integer(table)
        case 3:
            let precision = try table?.number(0, default: Int16(0)) ?? 0
            guard (0...2).contains(precision) else { throw Damage("has numbers of the precision \(precision)") }
            self = .float(bytes: 2 << Int(precision))
        case 4: self = .other("bytes", buffers: 3, isVariadic: false)
        case 5: self = .text(offset: 4)
        case 6: self = .boolean
        case 7:
            let (scale, width) = (try bits(1, default: 0), try bits(2, default: 128))
            guard [32, 64, 128, 256].contains(width), (-300...300).contains(scale) else {
                throw Damage("has decimals of \(width) bits and scale \(scale)")
            }
            self = .decimal(bytes: width / 8, scale: scale)
        case 8: self = .other("dates", buffers: 2, isVariadic: false)
        case 9: self = .other("times", buffers: 2, isVariadic: false)
        case 10: self = .other("timestamps", buffers: 2, isVariadic: false)
        case 11: self = .other("intervals", buffers: 2, isVariadic: false)
        case 12: self = .list(offset: 4)
        case 13: self = .other("structures", buffers: 1, isVariadic: false)
        case 14:
            let isDense = try table?.number(0, default: Int16(0)) == 1
            self = .other("unions", buffers: isDense ? 2 : 1, isVariadic: false)
        case 15: self = .other("bytes of fixed length", buffers: 2, isVariadic: false)
        case 16:
            let count = try bits(0, default: 0)
            guard count >= 0 else { throw Damage("has lists of \(count) elements") }
            self = .fixedList(count: count)
        case 17: self = .other("maps", buffers: 2, isVariadic: false)
        case 18: self = .other("durations", buffers: 2, isVariadic: false)
        case 19: self = .other("bytes", buffers: 3, isVariadic: false)
        case 20: self = .text(offset: 8)
        case 21: self = .list(offset: 8)
        case 22: self = .other("runs", buffers: 0, isVariadic: false)
        case 23: self = .other("bytes", buffers: 2, isVariadic: true)
        case 24: self = .textView
        case 25: self = .listView(offset: 4)
        case 26: self = .listView(offset: 8)
        default: throw Damage("has a field of the unknown type \(code)")
        }
    }

    /// The type of a table `Int`.
    static func integer(_ table: FlatTable) throws(Damage) -> ArrowType {
        let bits = try table.number(0, default: Int32(0))
        guard [8, 16, 32, 64].contains(bits) else { throw Damage("has whole numbers of \(bits) bits") }
        return .integer(bytes: Int(bits) / 8, isSigned: try table.number(1, default: UInt8(0)) != 0)
    }
}
