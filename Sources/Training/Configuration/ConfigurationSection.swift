// One mapping of a configuration, read key by key, with errors that name where the key stands.

import TuttiFormats
import TuttiGround

/// The places (`file:line:column`) of the keys of a configuration, by key path (`args.learning_rate`).
package struct ConfigurationPlaces: Sendable {
    private let file: String
    private let places: [String: String]

    /// - Parameter places: key path -> `file:line:column`; a path that is absent is reported as `file: path`.
    package init(file: String, places: [String: String] = [:]) {
        self.file = file
        self.places = places
    }

    /// The place of a key path, or of its nearest enclosing key.
    package func place(_ path: String) -> String {
        if let exact = places[path] { return "\(exact): \(path)" }
        return "\(file): \(path)"
    }
}

/// One mapping of the configuration: typed access to its keys, and a check for the ones nobody knows.
struct ConfigurationSection {
    let object: JSONObject
    let path: String
    let places: ConfigurationPlaces

    init(_ object: JSONObject, path: String, places: ConfigurationPlaces) {
        self.object = object
        self.path = path
        self.places = places
    }

    func path(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// An error at `key`: a usage error, exit code 64.
    func error(_ key: String, _ problem: String, hint: String? = nil) -> TuttiError {
        TuttiError(.usage, "read the configuration", places.place(path(of: key)), problem, hint: hint)
    }

    /// Refuses any key outside `known`, suggesting the nearest one.
    func allowOnly(_ known: [String]) throws(TuttiError) {
        for key in object.keys where !known.contains(key) {
            throw error(key, "unknown key", hint: TuttiError.hint(unknown: key, known: known))
        }
    }

    func string(_ key: String) throws(TuttiError) -> String? {
        guard let value = present(key) else { return nil }
        guard let text = value.string else { throw wrongType(key, "a string", value) }
        return text
    }

    func requiredString(_ key: String, hint: String) throws(TuttiError) -> String {
        guard let text = try string(key) else { throw error(key, "missing", hint: hint) }
        return text
    }

    func bool(_ key: String) throws(TuttiError) -> Bool? {
        guard let value = present(key) else { return nil }
        guard let flag = value.bool else { throw wrongType(key, "true or false", value) }
        return flag
    }

    func number(_ key: String, in range: ClosedRange<Double>) throws(TuttiError) -> Double? {
        guard let value = present(key) else { return nil }
        // YAML reads 2e-5 as a string where JSON reads a number; the reference's users write it.
        guard let number = value.double ?? value.string.flatMap(Double.init), number.isFinite else {
            throw wrongType(key, "a number", value)
        }
        guard range.contains(number) else { throw error(key, "\(number) is outside \(describe(range))") }
        return number
    }

    func integer(_ key: String, atLeast minimum: Int) throws(TuttiError) -> Int? {
        guard let value = present(key) else { return nil }
        guard let number = value.int else { throw wrongType(key, "a whole number", value) }
        guard number >= minimum else { throw error(key, "\(number) is below \(minimum)") }
        guard number <= Int(Int32.max) else { throw error(key, "\(number) is above \(Int32.max)") }
        return number
    }

    func section(_ key: String) throws(TuttiError) -> ConfigurationSection? {
        guard let value = present(key) else { return nil }
        guard let object = value.object else { throw wrongType(key, "a mapping (key: value)", value) }
        return ConfigurationSection(object, path: path(of: key), places: places)
    }

    /// A mapping, or the text of one in JSON, as the reference takes it from a command line.
    func section(_ key: String, orText: Bool) throws(TuttiError) -> ConfigurationSection? {
        guard orText, let text = object[key]?.string else { return try section(key) }
        let value: JSONValue
        do { value = try JSONValue.parse(text) } catch { throw wrongType(key, "a mapping (key: value)", .string(text)) }
        guard let object = value.object else { throw wrongType(key, "a mapping (key: value)", .string(text)) }
        return ConfigurationSection(object, path: path(of: key), places: places)
    }

    func strings(_ key: String) throws(TuttiError) -> [String]? {
        guard let value = present(key) else { return nil }
        guard let items = value.array else { throw wrongType(key, "a list of strings", value) }
        var result: [String] = []
        for item in items {
            guard let text = item.string else { throw wrongType(key, "a list of strings", value) }
            result.append(text)
        }
        return result
    }

    /// A list of mappings; a single mapping counts as a list of one.
    func sections(_ key: String) throws(TuttiError) -> [ConfigurationSection] {
        guard let value = present(key) else { return [] }
        if let object = value.object {
            return [ConfigurationSection(object, path: path(of: key), places: places)]
        }
        guard let items = value.array else { throw wrongType(key, "a list of mappings", value) }
        var result: [ConfigurationSection] = []
        for (index, item) in items.enumerated() {
            guard let object = item.object else { throw wrongType(key, "a list of mappings", value) }
            result.append(ConfigurationSection(object, path: "\(path(of: key)).\(index)", places: places))
        }
        return result
    }

    /// One of the raw values of an enumeration.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, _ type: Choice.Type
    ) throws(TuttiError) -> Choice? where Choice.RawValue == String {
        guard let text = try string(key) else { return nil }
        if let choice = Choice(rawValue: text) { return choice }
        throw error(
            key, "unknown value \"\(text)\"",
            hint: TuttiError.hint(unknown: text, known: Choice.allCases.map(\.rawValue)))
    }

    func wrongType(_ key: String, _ expected: String, _ value: JSONValue) -> TuttiError {
        error(key, "expected \(expected), found \(value.serialized())")
    }

    private func present(_ key: String) -> JSONValue? {
        guard let value = object[key], value != .null else { return nil }
        return value
    }

    private func describe(_ range: ClosedRange<Double>) -> String {
        range.upperBound == .infinity ? "[\(range.lowerBound), …)" : "[\(range.lowerBound), \(range.upperBound)]"
    }
}
