// A configuration file: YAML (so JSON too) -> JSON values with the position of every key, and `--set key=value`.
//
// Plain scalars follow the YAML 1.2 core schema: `no` is a string (an eval_strategy), 2e-5 is a number. A few lines of
// nested aliases can expand to billions of values, so values are counted as they are expanded.

import TuttiFormats
import TuttiGround
import TuttiTraining
import Yams

/// A configuration as read from a file, with overrides applied.
struct YAMLConfiguration {
    private(set) var root: JSONObject
    private(set) var places: [String: String] = [:]
    let path: String
    private var valueCount = 0

    /// Maximum values of a file, aliases expanded, and maximum bytes.
    private static let valueLimit = 1_000_000
    private static let byteLimit = 64 << 20

    /// The position of a key in error messages.
    var keyPlaces: ConfigurationPlaces { ConfigurationPlaces(file: path, places: places) }

    /// Reads `path` and applies `settings`, each `key.path=value` with the value in YAML.
    ///
    /// - Throws: exit 66 for a missing file, 65 for bytes that are not UTF-8, 64 for invalid YAML; with line
    ///   and column.
    init(path: String, settings: [String]) throws {
        self.path = path
        let file = try MappedFile(path: path)
        root = JSONObject()
        guard file.bytes.count <= Self.byteLimit else {
            throw unusable("1:1", "the file has \(file.bytes.count) bytes; the limit is \(Self.byteLimit)")
        }
        try UTF8Text.check(file.bytes, source: path, operation: "read the configuration")
        let mark = "\u{FEFF}".utf8  // a byte-order mark
        let text = String(
            decoding: file.contents.dropFirst(file.bytes.starts(with: mark) ? mark.count : 0), as: UTF8.self)
        try read(text)
        for setting in settings { try apply(setting) }
    }

    /// Reads a text that `source` names in errors.
    ///
    /// - Throws: exit 64 for invalid YAML, with line and column.
    init(text: String, source: String) throws {
        path = source
        root = JSONObject()
        try read(text)
    }

    private mutating func read(_ text: String) throws {
        guard let node = try compose(text, source: path) else { throw unusable("1:1", "the file is empty") }
        guard case .object(let object) = try convert(node, path: "", record: true) else {
            throw unusable("1:1", "expected a mapping (key: value) at the top")
        }
        root = object
    }

    /// Sets the value of a dotted key, as `--set` does.
    mutating func set(_ value: JSONValue, at key: String) throws(TuttiError) {
        try set(value, at: key, setting: key)
    }

    /// Removes a key at the top level.
    mutating func remove(_ key: String) { root[key] = nil }

    private func unusable(_ place: String, _ problem: String) -> TuttiError {
        TuttiError(.usage, "read the configuration", "\(path):\(place)", problem)
    }

    private func compose(_ text: String, source: String) throws(TuttiError) -> Node? {
        do {
            return try Yams.compose(yaml: text, .basic)  // `value(of:)` resolves scalar types itself
        } catch {
            throw TuttiError(
                .usage, "read the configuration", source, "not YAML: \(Self.oneLine("\(error)"))",
                hint: "Check indentation, colons and quotes there.")
        }
    }

    private static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).map { $0.trimmingPrefix(while: \.isWhitespace) }.joined(separator: " ")
    }

    // MARK: YAML to JSON

    private mutating func convert(_ node: Node, path keyPath: String, record: Bool) throws(TuttiError) -> JSONValue {
        valueCount += 1
        guard valueCount <= Self.valueLimit else {
            throw unusable(
                "\(node.mark?.line ?? 1):\(node.mark?.column ?? 1)",
                "more than \(Self.valueLimit) values with aliases expanded, which is the limit")
        }
        if record, let mark = node.mark, places[keyPath] == nil {
            places[keyPath] = "\(path):\(mark.line):\(mark.column)"
        }
        switch node {
        case .scalar(let scalar): return Self.value(of: scalar)
        case .sequence(let sequence):
            var items: [JSONValue] = []
            for (index, item) in sequence.enumerated() {
                items.append(try convert(item, path: Self.join(keyPath, "\(index)"), record: record))
            }
            return .array(items)
        case .mapping(let mapping):
            var object = JSONObject()
            for (keyNode, valueNode) in mapping {
                guard let key = keyNode.scalar?.string else {
                    throw unusable("\(keyNode.mark?.line ?? 1):\(keyNode.mark?.column ?? 1)", "a key must be a string")
                }
                let childPath = Self.join(keyPath, key)
                if let mark = keyNode.mark, record { places[childPath] = "\(path):\(mark.line):\(mark.column)" }
                guard object[key] == nil else {
                    throw unusable(
                        "\(keyNode.mark?.line ?? 1):\(keyNode.mark?.column ?? 1)", "duplicate key \"\(key)\"")
                }
                object[key] = try convert(valueNode, path: childPath, record: record)
            }
            return .object(object)
        case .alias:
            throw unusable("\(node.mark?.line ?? 1):\(node.mark?.column ?? 1)", "an alias without an anchor")
        }
    }

    private static func value(of scalar: Node.Scalar) -> JSONValue {
        guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
        let text = scalar.string
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        if let integer = Int64(text), text.first != "+" { return .integer(integer) }
        let numeric = text.allSatisfy { $0.isASCII && ($0.isNumber || "+-.eE".contains($0)) }
        if numeric, text.contains(where: \.isNumber), let number = Double(text), number.isFinite {
            return .number(number)
        }
        return .string(text)
    }

    private static func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    // MARK: --set

    private mutating func apply(_ setting: String) throws(TuttiError) {
        let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty else {
            throw TuttiError(
                .usage, "apply --set", "--set \(setting)", "expected key=value",
                hint: "For example --set args.max_steps=100.")
        }
        let node = try compose(String(parts[1]), source: "--set \(setting)")
        let value: JSONValue = if let node { try convert(node, path: "", record: false) } else { .null }
        try set(value, at: String(parts[0]), setting: setting)
        places[String(parts[0])] = "--set"
    }

    private mutating func set(_ value: JSONValue, at key: String, setting: String) throws(TuttiError) {
        let keys = key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard case .object(let changed) = try set(value, at: keys[...], in: .object(root), setting: setting) else {
            return
        }
        root = changed
    }

    private func set(
        _ value: JSONValue, at keys: ArraySlice<String>, in target: JSONValue, setting: String
    ) throws(TuttiError) -> JSONValue {
        guard let key = keys.first else { return value }
        let rest = keys.dropFirst()
        switch target {
        case .object(var object):
            object[key] = try set(value, at: rest, in: object[key] ?? .object(JSONObject()), setting: setting)
            return .object(object)
        case .array(var items):
            guard let index = Int(key), items.indices.contains(index) else {
                throw TuttiError(
                    .usage, "apply --set", "--set \(setting)",
                    "\"\(key)\" is not an index of a list of \(items.count)", hint: "Count from 0.")
            }
            items[index] = try set(value, at: rest, in: items[index], setting: setting)
            return .array(items)
        case .null:
            return try set(value, at: keys, in: .object(JSONObject()), setting: setting)
        default:
            throw TuttiError(
                .usage, "apply --set", "--set \(setting)", "\"\(key)\" would go into \(target.serialized())")
        }
    }
}
