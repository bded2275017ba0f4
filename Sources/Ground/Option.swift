// One setting of a type, described once: name, value by key path, meaning, check.
//
// From a type's list of options come the types and defaults of the settings, reading with the nearest name and the
// place of a mistake, help, the model card's list and the reference pages:
//
//     static let options = OptionList<TripletSettings>([
//         Option("triplet_margin", \.margin, "how much farther the negative must be", check: .atLeast(0)),
//     ])
//
// Null is the reference's None: nil where the value is optional; elsewhere it is as good as silence.

/// Why a value is not one of an option.
public struct OptionProblem: Error, Sendable, Equatable {
    /// Where inside the value, with dots; empty for the value itself.
    public var path: String
    /// What is wrong.
    public var problem: String
    /// What to do about it.
    public var hint: String?

    /// A problem of a value, or of what is at `path` inside it.
    public init(_ problem: String, hint: String? = nil, at path: String = "") {
        self.path = path
        self.problem = problem
        self.hint = hint
    }

    /// The value is of another type than `words` say.
    public static func expected(_ words: String, found value: JSONValue, at path: String = "") -> OptionProblem {
        OptionProblem("expected \(words), found \(value.configurationText)", at: path)
    }
}

/// A type of values that options hold.
public protocol OptionValue: Sendable {
    /// What a configuration writes, in words.
    static var words: String { get }
    /// The value that `json` means.
    init(option json: JSONValue) throws(OptionProblem)
    /// The value as a configuration writes it.
    var optionJSON: JSONValue { get }
}

/// What a value must be beyond its type.
public struct OptionCheck<Value: OptionValue>: Sendable {
    /// The condition in words, for reference pages.
    public let words: String
    /// What is wrong with a value; nil if nothing.
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
    /// What values it takes, in words.
    public let words: String
    /// One line for help and reference pages.
    public let meaning: String
    /// Whether a configuration must give it.
    public let isRequired: Bool
    /// Sets the owner's value to the one that a configuration gives.
    public let read: @Sendable (JSONValue, inout Owner) throws(OptionProblem) -> Void
    /// The owner's value as a configuration writes it.
    public let write: @Sendable (Owner) -> JSONValue

    /// An option with a way of its own to be read and written.
    public init(
        _ name: String, words: String, _ meaning: String, isRequired: Bool = false,
        read: @escaping @Sendable (JSONValue, inout Owner) throws(OptionProblem) -> Void,
        write: @escaping @Sendable (Owner) -> JSONValue
    ) {
        self.name = name
        self.words = words
        self.meaning = meaning
        self.isRequired = isRequired
        self.read = read
        self.write = write
    }

    /// An option that always has a value.
    ///
    /// - Parameter null: what null means; nil where it is as good as silence.
    public init<Value: OptionValue>(
        _ name: String, _ path: WritableKeyPath<Owner, Value> & Sendable, _ meaning: String,
        check: OptionCheck<Value>? = nil, null: Value? = nil, isRequired: Bool = false
    ) {
        self.init(
            name, words: Option.words(Value.self, check), meaning, isRequired: isRequired,
            read: { (json, owner) throws(OptionProblem) in
                if json.isNull {
                    if let null { owner[keyPath: path] = null }
                } else {
                    owner[keyPath: path] = try Option.value(json, check)
                }
            }, write: { $0[keyPath: path].optionJSON })
    }

    /// An option that may have no value: null.
    public init<Value: OptionValue>(
        _ name: String, _ path: WritableKeyPath<Owner, Value?> & Sendable, _ meaning: String,
        check: OptionCheck<Value>? = nil
    ) {
        self.init(
            name, words: Option.words(Value.self, check), meaning,
            read: { (json, owner) throws(OptionProblem) in
                owner[keyPath: path] = json.isNull ? nil : try Option.value(json, check)
            }, write: { $0[keyPath: path]?.optionJSON ?? .null })
    }

    /// The same option of a type that holds an `Owner` at `path`.
    public func lifted<Outer>(to path: WritableKeyPath<Outer, Owner> & Sendable) -> Option<Outer> {
        let (read, write) = (read, write)
        return Option<Outer>(
            name, words: words, meaning, isRequired: isRequired,
            read: { (json, outer) throws(OptionProblem) in try read(json, &outer[keyPath: path]) },
            write: { write($0[keyPath: path]) })
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

/// All options of a type, in the order in which they are read and listed.
public struct OptionList<Owner>: Sendable {
    /// The options.
    public let options: [Option<Owner>]

    /// A list; every name once.
    public init(_ options: [Option<Owner>]) {
        precondition(Set(options.map(\.name)).count == options.count, "OptionList: a name occurs twice")
        self.options = options
    }

    /// The names, in order.
    public var names: [String] { options.map(\.name) }

    /// Sets the values that `object` gives; keys that are no option's are left to the caller.
    ///
    /// - Parameter error: makes an error from a key, a problem and a hint.
    /// - Throws: what `error` makes, for a value that an option does not take and for one that is missing.
    public func read(
        _ object: JSONObject, into owner: inout Owner,
        error: (_ key: String, _ problem: String, _ hint: String?) -> TuttiError
    ) throws(TuttiError) {
        for option in options {
            guard let json = object[option.name] else {
                if option.isRequired {
                    throw error(option.name, "is missing: \(option.meaning)", "It takes \(option.words).")
                }
                continue
            }
            do throws(OptionProblem) {
                try option.read(json, &owner)
            } catch let flaw {
                let key = flaw.path.isEmpty ? option.name : "\(option.name).\(flaw.path)"
                throw error(key, flaw.problem, flaw.hint)
            }
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
}

extension JSONValue {
    /// The value as a configuration writes it, for messages.
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
