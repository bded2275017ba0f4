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
}
