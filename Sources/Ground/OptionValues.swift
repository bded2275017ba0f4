// The types of option values (numbers, strings, names, lists) and their checks.

extension Bool: OptionValue {
    /// The accepted values, in words.
    public static var words: String { "true or false" }
    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        guard let value = json.bool else { throw .expected(Self.words, found: json) }
        self = value
    }
    /// The value as written in a configuration.
    public var optionJSON: JSONValue { .bool(self) }
}

extension Int: OptionValue {
    /// The accepted values, in words.
    public static var words: String { "a whole number" }
    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        guard let value = json.int else { throw .expected(Self.words, found: json) }
        self = value
    }
    /// The value as written in a configuration.
    public var optionJSON: JSONValue { .integer(Int64(self)) }
}

extension UInt64: OptionValue {
    /// The accepted values, in words.
    public static var words: String { "a whole number" }
    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        guard let value = json.int else { throw .expected(Self.words, found: json) }
        guard value >= 0 else { throw OptionProblem("\(value) is below 0") }
        self = UInt64(value)
    }
    /// The value as written in a configuration.
    public var optionJSON: JSONValue { .integer(Int64(clamping: self)) }
}

extension Double: OptionValue {
    /// The accepted values, in words.
    public static var words: String { "a number" }
    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        // YAML parses 2e-5 as a string, JSON as a number; users of the reference write it.
        guard let value = json.double ?? json.string.flatMap(Double.init), value.isFinite else {
            throw .expected(Self.words, found: json)
        }
        self = value
    }
    /// The value as written in a configuration.
    public var optionJSON: JSONValue { .number(self) }
}

/// A number of a model's files, which Python reads too: a text of a number is not one.
extension Float: OptionValue {
    /// The accepted values, in words.
    public static var words: String { "a number" }
    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        guard let value = json.double.map(Float.init), value.isFinite else { throw .expected(Self.words, found: json) }
        self = value
    }
    /// In the fewest digits that give the same Float.
    public var optionJSON: JSONValue { .number(Double("\(self)") ?? Double(self)) }
}

extension String: OptionValue {
    /// The accepted values, in words.
    public static var words: String { "a string" }
    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        guard let value = json.string else { throw .expected(Self.words, found: json) }
        self = value
    }
    /// The value as written in a configuration.
    public var optionJSON: JSONValue { .string(self) }
}

extension JSONObject: OptionValue {
    /// The accepted values, in words.
    public static var words: String { "a mapping" }
    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        guard let object = json.object else { throw .expected(Self.words, found: json) }
        self = object
    }
    /// The value as written in a configuration.
    public var optionJSON: JSONValue { .object(self) }
}

/// A single value is a list of one.
extension Array: OptionValue where Element: OptionValue {
    /// The accepted values, in words.
    public static var words: String { "a list, each \(Element.words)" }
    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        guard let items = json.array else {
            self = [try Element(option: json)]
            return
        }
        self = []
        for (place, item) in items.enumerated() {
            do {
                append(try Element(option: item))
            } catch {
                throw error.inside("\(place)")
            }
        }
    }
    /// The value as written in a configuration.
    public var optionJSON: JSONValue { .array(map(\.optionJSON)) }
}

/// One of several names. Case, and a Python type before the last dot, are ignored.
public protocol OptionChoice: OptionValue, CaseIterable, RawRepresentable<String> {
    /// Aliases.
    static var synonyms: [String: Self] { get }
}

extension OptionChoice {
    /// No aliases.
    public static var synonyms: [String: Self] { [:] }
    /// The accepted values, in words.
    public static var words: String { "one of \(allCases.map(\.rawValue).joined(separator: ", "))" }
    /// Parses the value of a configuration.
    public init(option json: JSONValue) throws(OptionProblem) {
        guard let text = json.string else { throw .expected(Self.words, found: json) }
        let bare = text.split(separator: ".").last.map(String.init) ?? text
        let folded = bare.lowercased()
        if let choice = Self(rawValue: bare) ?? Self.synonyms[bare]
            ?? Self.allCases.first(where: { $0.rawValue.lowercased() == folded })
        {
            self = choice
            return
        }
        throw OptionProblem(
            "unknown value \"\(text)\"", hint: TuttiError.hint(unknown: bare, known: Self.allCases.map(\.rawValue)))
    }
    /// The value as written in a configuration.
    public var optionJSON: JSONValue { .string(rawValue) }
}

extension OptionCheck where Value == Int {
    /// An integer of at least `least`.
    public static func atLeast(_ least: Int) -> OptionCheck {
        OptionCheck("at least \(least)") { value in
            if value < least { return "\(value) is below \(least)" }
            return value > Int(Int32.max) ? "\(value) is above \(Int32.max)" : nil
        }
    }
}

extension OptionCheck where Value == Int {
    /// An integer in a range.
    public static func within(_ range: ClosedRange<Int>) -> OptionCheck {
        let words = "from \(range.lowerBound) to \(range.upperBound)"
        return OptionCheck(words) { range.contains($0) ? nil : "\($0) is not \(words)" }
    }
}

extension OptionCheck where Value == String {
    /// A text that says something.
    public static var filled: OptionCheck { OptionCheck("not empty") { $0.isEmpty ? "is empty" : nil } }
}

extension OptionCheck where Value: BinaryFloatingPoint {
    /// A number of at least `least`.
    public static func atLeast(_ least: Value) -> OptionCheck {
        OptionCheck("at least \(short(least))") { $0 < least ? "\(short($0)) is below \(short(least))" : nil }
    }

    /// A number above zero.
    public static var positive: OptionCheck {
        OptionCheck("above 0") { $0 > 0 ? nil : "\(short($0)) is not a positive number" }
    }

    /// A number in a range.
    public static func within(_ range: ClosedRange<Value>) -> OptionCheck {
        let words = "from \(short(range.lowerBound)) to \(short(range.upperBound))"
        return OptionCheck(words) { range.contains($0) ? nil : "\(short($0)) is not \(words)" }
    }

    /// A number in a half-open range.
    public static func within(_ range: Range<Value>) -> OptionCheck {
        let words = "from \(short(range.lowerBound)) to below \(short(range.upperBound))"
        return OptionCheck(words) { range.contains($0) ? nil : "\(short($0)) is not \(words)" }
    }

    /// Without ".0".
    private static func short(_ value: Value) -> String {
        Int64(exactly: value).map { "\($0)" } ?? "\(value)"
    }
}
