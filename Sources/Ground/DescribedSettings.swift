// Settings that are described by a list of options: what help, reference pages and model cards tell of them.

/// The values of some options, each described once by a list.
public protocol DescribedSettings: Sendable {
    /// The values in effect where a configuration is silent.
    init()
    /// Every option, in the order of the documentation.
    static var options: OptionList<Self> { get }
}

/// One option in words.
public struct OptionDescription: Sendable, Equatable {
    /// The option's name in a configuration.
    public let name: String
    /// What values it takes.
    public let words: String
    /// The value in effect when it is not given; nil if it must be given, null if nothing is then in effect.
    public var defaultValue: JSONValue?
    /// One line for help and reference pages.
    public let meaning: String

    /// Whether a configuration must give it.
    public var isRequired: Bool { defaultValue == nil }
}

extension DescribedSettings {
    /// The options in words.
    public static var descriptions: [OptionDescription] {
        let defaults = Self()
        return options.options.map {
            OptionDescription(
                name: $0.name, words: $0.words, defaultValue: $0.isRequired ? nil : $0.write(defaults),
                meaning: $0.meaning)
        }
    }

    /// Name and value of every option, as a configuration writes them.
    public var listed: [(name: String, value: JSONValue)] { Self.options.values(of: self) }

    /// Name and value of the options `names`, in that order.
    public func values(_ names: String...) -> JSONObject { object(names, from: Self.options.values(of: self)) }

    /// Name and value of those of the options `names` whose values are not the defaults, in that order.
    public func changes(_ names: String...) -> JSONObject {
        object(names, from: Self.options.changes(of: self, from: Self()))
    }

    private func object(_ names: [String], from values: [(name: String, value: JSONValue)]) -> JSONObject {
        var object = JSONObject()
        for name in names {
            precondition(Self.options.names.contains(name), "\(Self.self) has no option \(name)")
            if let value = values.first(where: { $0.name == name })?.value { object.set(name, value) }
        }
        return object
    }
}
