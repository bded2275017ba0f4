// One setting of a type, described once: name, value by key path, meaning, check.
//
// The list of options of a type gives the types and defaults of its settings, parsing with nearest names and positions
// of mistakes, help, the model card's list and the reference pages:
//
//     static let options = OptionList<TripletSettings>([
//         Option("triplet_margin", \.margin, "how much farther the negative must be", check: .atLeast(0)),
//     ])
//
// Null is the reference's None: nil if the value is optional; otherwise it means the default.

/// Why an option refuses a value.
public struct OptionProblem: Error, Sendable, Equatable {
    /// The path inside the value, with dots; empty for the value itself.
    public var path: String
    /// What is wrong.
    public var problem: String
    /// How to fix it.
    public var hint: String?

    /// A problem of a value, or of the part at `path` inside it.
    public init(_ problem: String, hint: String? = nil, at path: String = "") {
        self.path = path
        self.problem = problem
        self.hint = hint
    }

    /// The same problem of what is under `key` of a larger value.
    package func inside(_ key: String) -> OptionProblem {
        OptionProblem(problem, hint: hint, at: path.isEmpty ? key : "\(key).\(path)")
    }

    /// The value is not of the type that `words` names.
    public static func expected(_ words: String, found value: JSONValue, at path: String = "") -> OptionProblem {
        OptionProblem("expected \(words), found \(value.configurationText)", at: path)
    }
}

/// A type of option values.
public protocol OptionValue: Sendable {
    /// The accepted values, in words.
    static var words: String { get }
    /// The value of `json`.
    init(option json: JSONValue) throws(OptionProblem)
    /// The value as written in a configuration.
    var optionJSON: JSONValue { get }
}

/// A condition on a value, beyond its type.
public struct OptionCheck<Value: OptionValue>: Sendable {
    /// The condition in words, for reference pages.
    public let words: String
    /// What is wrong with a value; nil if it is valid.
    public let problem: @Sendable (Value) -> String?

    /// A check with its condition in words.
    public init(_ words: String, problem: @escaping @Sendable (Value) -> String?) {
        self.words = words
        self.problem = problem
    }
}

/// One setting of `Owner`.
public struct Option<Owner>: Sendable {
    /// Its key in a configuration.
    public let name: String
    /// The accepted values, in words.
    public let words: String
    /// One line for help and reference pages.
    public let meaning: String
    /// Whether it is required.
    public let isRequired: Bool
    /// Another option that may be given in place of this one, where it is required.
    public let substitute: String?
    /// Sets the owner's value from a configuration.
    public let read: @Sendable (JSONValue, inout Owner) throws(OptionProblem) -> Void
    /// The owner's value as written in a configuration.
    public let write: @Sendable (Owner) -> JSONValue

    /// An option with custom parsing and writing.
    public init(
        _ name: String, words: String, _ meaning: String, isRequired: Bool = false, substitute: String? = nil,
        read: @escaping @Sendable (JSONValue, inout Owner) throws(OptionProblem) -> Void,
        write: @escaping @Sendable (Owner) -> JSONValue
    ) {
        self.name = name
        self.words = words
        self.meaning = meaning
        self.isRequired = isRequired
        self.substitute = substitute
        self.read = read
        self.write = write
    }

    /// An option that always has a value.
    ///
    /// - Parameters:
    ///   - words: the accepted values; by default those of the type and the check.
    ///   - null: the value of null; nil if null means the default.
    public init<Value: OptionValue>(
        _ name: String, _ path: WritableKeyPath<Owner, Value> & Sendable, _ meaning: String, words: String? = nil,
        check: OptionCheck<Value>? = nil, null: Value? = nil, isRequired: Bool = false, substitute: String? = nil
    ) {
        self.init(
            name, words: words ?? Option.words(Value.self, check), meaning, isRequired: isRequired,
            substitute: substitute,
            read: { (json, owner) throws(OptionProblem) in
                if json.isNull {
                    if let null { owner[keyPath: path] = null }
                } else {
                    owner[keyPath: path] = try Option.value(json, check)
                }
            }, write: { $0[keyPath: path].optionJSON })
    }

    /// An option whose value may be absent: null.
    public init<Value: OptionValue>(
        _ name: String, _ path: WritableKeyPath<Owner, Value?> & Sendable, _ meaning: String, words: String? = nil,
        check: OptionCheck<Value>? = nil
    ) {
        self.init(
            name, words: words ?? Option.words(Value.self, check), meaning,
            read: { (json, owner) throws(OptionProblem) in
                owner[keyPath: path] = json.isNull ? nil : try Option.value(json, check)
            }, write: { $0[keyPath: path]?.optionJSON ?? .null })
    }

    /// The same option of a type that holds an `Owner` at `path`.
    public func lifted<Outer>(to path: WritableKeyPath<Outer, Owner> & Sendable) -> Option<Outer> {
        let (read, write) = (read, write)
        return Option<Outer>(
            name, words: words, meaning, isRequired: isRequired, substitute: substitute,
            read: { (json, outer) throws(OptionProblem) in try read(json, &outer[keyPath: path]) },
            write: { write($0[keyPath: path]) })
    }

    /// The same option with another meaning, for an owner that uses it otherwise.
    package func meaning(_ meaning: String) -> Option<Owner> {
        Option(
            name, words: words, meaning, isRequired: isRequired, substitute: substitute, read: read, write: write)
    }

    private static func words<Value: OptionValue>(_: Value.Type, _ check: OptionCheck<Value>?) -> String {
        check.map { "\(Value.words), \($0.words)" } ?? Value.words
    }

    private static func value<Value: OptionValue>(
        _ json: JSONValue, _ check: OptionCheck<Value>?
    ) throws(OptionProblem) -> Value {
        let value = try Value(option: json)
        if let problem = check?.problem(value) { throw OptionProblem(problem) }
        return value
    }
}

/// All options of a type, in the order in which they are parsed and listed.
public struct OptionList<Owner>: Sendable {
    /// The options.
    public let options: [Option<Owner>]

    /// A list of options with unique names.
    public init(_ options: [Option<Owner>]) {
        precondition(Set(options.map(\.name)).count == options.count, "OptionList: duplicate name")
        self.options = options
    }

    /// The same options of a type that holds an `Owner` at `path`.
    public func lifted<Outer>(to path: WritableKeyPath<Outer, Owner> & Sendable) -> [Option<Outer>] {
        options.map { $0.lifted(to: path) }
    }

    /// The names, in order.
    public var names: [String] { options.map(\.name) }

    /// Sets the values in `object`; unknown keys are left to the caller.
    ///
    /// - Parameter isPartial: whether required options may be missing.
    /// - Throws: a problem at the key, for an invalid or missing value.
    package func read(
        _ object: JSONObject, into owner: inout Owner, isPartial: Bool = false
    ) throws(OptionProblem) {
        for option in options {
            let json = object[option.name]
            let substitute = option.substitute.flatMap { object[$0] }
            if option.isRequired, !isPartial, json?.isNull ?? true, substitute?.isNull ?? true {
                throw OptionProblem(
                    "is missing: \(option.meaning)", hint: "It takes \(option.words).", at: option.name)
            }
            guard let json else { continue }
            do throws(OptionProblem) {
                try option.read(json, &owner)
            } catch let flaw {
                throw flaw.inside(option.name)
            }
        }
    }

    /// The same, with errors that `error` makes from a key, a problem and a hint.
    public func read(
        _ object: JSONObject, into owner: inout Owner, isPartial: Bool = false,
        error: (_ key: String, _ problem: String, _ hint: String?) -> TuttiError
    ) throws(TuttiError) {
        do throws(OptionProblem) {
            try read(object, into: &owner, isPartial: isPartial)
        } catch let flaw {
            throw error(flaw.path, flaw.problem, flaw.hint)
        }
    }

    /// Refuses values that no configuration could give, of an owner that a program made.
    package func check(_ owner: Owner) throws(OptionProblem) {
        var copy = owner
        for option in options {
            do throws(OptionProblem) {
                try option.read(option.write(owner), &copy)
            } catch let flaw {
                throw flaw.inside(option.name)
            }
        }
    }

    /// Refuses a key that is no option's, with the nearest one.
    package func checkKeys(of object: JSONObject) throws(OptionProblem) {
        for key in object.keys where !options.contains(where: { $0.name == key }) {
            throw OptionProblem("unknown key", hint: TuttiError.hint(unknown: key, known: names), at: key)
        }
    }

    /// Name and value of every option.
    public func values(of owner: Owner) -> [(name: String, value: JSONValue)] {
        options.map { ($0.name, $0.write(owner)) }
    }

    /// Name and value of the options whose values are not those of `defaults`.
    public func changes(of owner: Owner, from defaults: Owner) -> [(name: String, value: JSONValue)] {
        options.map { ($0.name, $0.write(owner), $0.write(defaults)) }.filter { $0.1 != $0.2 }.map { ($0.0, $0.1) }
    }

    /// The same as a configuration writes it.
    package func object(of owner: Owner, from defaults: Owner) -> JSONValue {
        var object = JSONObject()
        for (name, value) in changes(of: owner, from: defaults) { object[name] = value }
        return .object(object)
    }
}

extension JSONValue {
    /// The value as written in a configuration, for messages.
    public var configurationText: String {
        switch self {
        case .null: "null"
        case .bool(let truth): "\(truth)"
        case .integer(let number): "\(number)"
        case .number(let number): "\(number)"
        case .string(let text): "\"\(text)\""
        case .array(let items): "[\(items.map(\.configurationText).joined(separator: ", "))]"
        case .object(let object):
            "{\(object.map { "\($0.key): \($0.value.configurationText)" }.joined(separator: ", "))}"
        }
    }
}
