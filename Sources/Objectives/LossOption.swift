// LossOption: the options of a loss as a configuration gives them, and what a loss says of those that it takes.

/// The value of one option.
public indirect enum LossOption: Sendable, Equatable, CustomStringConvertible {
    /// nothing in effect
    case null
    /// true or false
    case bool(Bool)
    /// a whole number
    case int(Int)
    /// a number
    case double(Double)
    /// a name
    case string(String)
    /// several values
    case list([LossOption])
    /// a loss with its options
    case loss(LossSpecification)

    /// The value as a configuration spells it.
    public var description: String {
        switch self {
        case .null: return "null"
        case .bool(let value): return value ? "true" : "false"
        case .int(let value): return String(value)
        case .double(let value): return String(value)
        case .string(let value): return value
        case .list(let values): return "[\(values.map(\.description).joined(separator: ", "))]"
        case .loss(let specification): return specification.description
        }
    }
}

/// A loss by name with the options given to it.
public struct LossSpecification: Sendable, Equatable, CustomStringConvertible {
    /// The class name.
    public var name: String

    /// The options that are given.
    public var options: [String: LossOption]

    /// A loss by name.
    public init(name: String, options: [String: LossOption] = [:]) {
        self.name = name
        self.options = options
    }

    /// As a configuration spells it.
    public var description: String {
        let given = options.keys.sorted().map { "\($0): \(options[$0] ?? .null)" }
        return "{\((["name: \(name)"] + given).joined(separator: ", "))}"
    }
}

/// What values an option takes.
public enum LossOptionKind: Sendable, Equatable {
    case bool, int, double, string
    /// One of these names.
    case choice([String])
    case ints, doubles, strings
    /// A loss with its options.
    case loss
    /// Several of them.
    case losses

    /// The kind in words.
    public var words: String {
        switch self {
        case .bool: return "true or false"
        case .int: return "a whole number"
        case .double: return "a number"
        case .string: return "a name"
        case .choice(let names): return "one of \(names.joined(separator: ", "))"
        case .ints: return "a list of whole numbers"
        case .doubles: return "a list of numbers"
        case .strings: return "a list of names"
        case .loss: return "a loss: {name: ..., ...}"
        case .losses: return "a list of losses: [{name: ..., ...}, ...]"
        }
    }

    /// `value` as one of this kind; whole numbers are numbers, and one value is a list of one.
    public func accepts(_ value: LossOption) -> LossOption? {
        switch (self, value) {
        case (.bool, .bool), (.int, .int), (.double, .double), (.string, .string), (.loss, .loss): return value
        case (.double, .int(let number)): return .double(Double(number))
        case (.double, .string(let text)): return Double(text).map { .double($0) }  // YAML reads 2e-5 as a string
        case (.loss, .string(let name)): return .loss(LossSpecification(name: name))
        case (.choice(let names), .string(let name)): return names.contains(name) ? value : nil
        case (.ints, _): return list(value, of: .int)
        case (.doubles, _): return list(value, of: .double)
        case (.strings, _): return list(value, of: .string)
        case (.losses, _): return list(value, of: .loss)
        default: return nil
        }
    }

    private func list(_ value: LossOption, of kind: LossOptionKind) -> LossOption? {
        guard case .list(let values) = value else { return kind.accepts(value).map { .list([$0]) } }
        let accepted = values.compactMap(kind.accepts)
        return accepted.count == values.count ? .list(accepted) : nil
    }
}

/// One option of a loss: its name, what it takes, its value when the configuration is silent, and what it does.
public struct LossOptionDescription: Sendable {
    /// The option's name in a configuration.
    public var name: String

    /// What values it takes.
    public var kind: LossOptionKind

    /// The value in effect when it is not given; nil if it must be given, `.null` if nothing is then in effect.
    public var standard: LossOption?

    /// Whether null is a value of its own, the reference's None, where the option has a default too.
    public var takesNull = false

    /// One line for `tutti losses` and the documentation.
    public var meaning: String

    /// The same option, for which null is a value of its own.
    public func orNull() -> LossOptionDescription {
        var copy = self
        copy.takesNull = true
        return copy
    }

    /// Describes an option whose kind is that of its standard value.
    public init(_ name: String, _ standard: LossOption, _ meaning: String) {
        let kind: LossOptionKind
        switch standard {
        case .bool: kind = .bool
        case .int: kind = .int
        case .double: kind = .double
        case .string: kind = .string
        case .loss: kind = .loss
        case .null, .list: preconditionFailure("LossOptionDescription: the kind of '\(name)' must be said")
        }
        self.init(name, kind, standard, meaning)
    }

    /// Describes an option; `standard` nil means that it must be given, `.null` that it may be left out.
    public init(_ name: String, _ kind: LossOptionKind, _ standard: LossOption?, _ meaning: String) {
        self.name = name
        self.kind = kind
        self.standard = standard
        self.meaning = meaning
    }
}
