// JSON as values. Objects keep the order of their keys, because model folders are read by people and compared by bytes;
// integers stay integers up to 64 bits, because token ids and offsets are not floating-point numbers.

/// A JSON value.
public enum JSONValue: Sendable, Equatable {
    /// null
    case null
    /// true or false
    case bool(Bool)
    /// A number without fraction and exponent that fits 64 bits.
    case integer(Int64)
    /// Any other number; always finite when it was parsed.
    case number(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object, its keys in order.
    case object(JSONObject)

    /// The string, if it is one.
    public var string: String? {
        if case .string(let value) = self { return value }
        return nil
    }

    /// The integer, if it is one or a number without fraction (`2.0`).
    public var int: Int? {
        switch self {
        case .integer(let value): return Int(value)
        case .number(let value): return Int(exactly: value)
        default: return nil
        }
    }

    /// The number, if it is one.
    public var double: Double? {
        switch self {
        case .integer(let value): return Double(value)
        case .number(let value): return value
        default: return nil
        }
    }

    /// The boolean, if it is one.
    public var bool: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    /// The array, if it is one.
    public var array: [JSONValue]? {
        if case .array(let value) = self { return value }
        return nil
    }

    /// The object, if it is one.
    public var object: JSONObject? {
        if case .object(let value) = self { return value }
        return nil
    }

    /// True for null.
    public var isNull: Bool { self == .null }

    /// The kind of value, for error messages: "a string".
    public var kindName: String {
        switch self {
        case .null: return "null"
        case .bool: return "true or false"
        case .integer, .number: return "a number"
        case .string: return "a string"
        case .array: return "an array"
        case .object: return "an object"
        }
    }

    /// The member of an object; nil if it is absent or this is not an object.
    public subscript(key: String) -> JSONValue? { object?[key] }
}

/// A JSON object that keeps the order of its keys; equal to another with the same members in any order.
public struct JSONObject: Sendable, Equatable, Sequence, ExpressibleByDictionaryLiteral {
    private var entries: [(key: String, value: JSONValue)] = []
    /// Indices of the keys, kept only for objects with more than `directLimit` entries.
    private var places: [ExactKey: Int] = [:]
    /// Removed entries of a large object that keep their slots, so that removing many is not quadratic.
    private var holes: Set<Int> = []

    /// A key compared by its code points: JSON has no canonical equivalence, which String's == applies.
    private struct ExactKey: Hashable {
        let text: String

        static func == (a: ExactKey, b: ExactKey) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

        func hash(into hasher: inout Hasher) {
            for byte in text.utf8 { hasher.combine(byte) }
        }
    }

    private static let directLimit = 12

    /// An empty object.
    public init() {}

    /// An object from a literal; a repeated key keeps its first position and its last value.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        for (key, value) in elements { set(key, value) }
    }

    /// The number of members.
    public var count: Int { entries.count - holes.count }

    /// True when there are no members.
    public var isEmpty: Bool { count == 0 }

    /// The keys in order.
    public var keys: [String] { members.map(\.key) }

    /// The values in the order of their keys.
    public var values: [JSONValue] { members.map(\.value) }

    /// The value of `key`; setting nil removes the member, a new key goes to the end.
    public subscript(key: String) -> JSONValue? {
        get { place(of: key).map { entries[$0].value } }
        set {
            if let newValue { set(key, newValue) } else { remove(key) }
        }
    }

    /// Sets the value of `key`, at its old position or at the end.
    public mutating func set(_ key: String, _ value: JSONValue) {
        if let place = place(of: key) {
            entries[place].value = value
        } else {
            append(newKey: key, value)
        }
    }

    /// Removes `key` and returns its value.
    @discardableResult
    public mutating func remove(_ key: String) -> JSONValue? {
        guard let place = place(of: key) else { return nil }
        let removed = entries[place].value
        guard !places.isEmpty else {
            entries.remove(at: place)
            return removed
        }
        places[ExactKey(text: key)] = nil
        entries[place].value = .null
        holes.insert(place)
        if holes.count * 2 > entries.count {
            entries = members
            holes.removeAll()
            places.removeAll()
            indexIfLarge()
        }
        return removed
    }

    /// These members merged with those of `other`, which win.
    public func merging(_ other: JSONObject) -> JSONObject {
        var merged = self
        for (key, value) in other { merged.set(key, value) }
        return merged
    }

    /// True when `key` is a member.
    public func contains(key: String) -> Bool { place(of: key) != nil }

    /// Iterates over the members in order.
    public func makeIterator() -> IndexingIterator<[(key: String, value: JSONValue)]> { members.makeIterator() }

    /// Equal members in any order.
    public static func == (a: JSONObject, b: JSONObject) -> Bool {
        a.count == b.count && a.members.allSatisfy { b[$0.key] == $0.value }
    }

    /// The entries that are members.
    private var members: [(key: String, value: JSONValue)] {
        holes.isEmpty ? entries : entries.indices.filter { !holes.contains($0) }.map { entries[$0] }
    }

    private func place(of key: String) -> Int? {
        if entries.count > JSONObject.directLimit { return places[ExactKey(text: key)] }
        return entries.firstIndex { $0.key.utf8.elementsEqual(key.utf8) }
    }

    private mutating func append(newKey key: String, _ value: JSONValue) {
        entries.append((key, value))
        if places.isEmpty { indexIfLarge() } else { places[ExactKey(text: key)] = entries.count - 1 }
    }

    private mutating func indexIfLarge() {
        guard entries.count > JSONObject.directLimit else { return }
        for (place, entry) in entries.enumerated() { places[ExactKey(text: entry.key)] = place }
    }
}
