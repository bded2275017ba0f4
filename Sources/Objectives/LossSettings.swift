// The options of a loss as a value, and what the registry tells of them.

import TuttiGround

/// The options of a loss, each described once by its list.
public protocol LossSettings: Sendable {
    /// The values in effect where the configuration is silent.
    init()
    /// Every option, in the order of the documentation.
    static var options: OptionList<Self> { get }
}

extension LossSettings {
    /// Name and value of every option: what `Loss.options` returns.
    public var listed: [(name: String, value: JSONValue)] { Self.options.values(of: self) }

    /// What the registry tells of the options.
    static var described: [LossOptionDescription] {
        let defaults = Self()
        return options.options.map {
            LossOptionDescription(
                name: $0.name, words: $0.words, defaultValue: $0.isRequired ? nil : $0.write(defaults),
                meaning: $0.meaning)
        }
    }
}

/// One option of a loss, in words.
public struct LossOptionDescription: Sendable {
    /// The option's name in a configuration.
    public var name: String
    /// What values it takes.
    public var words: String
    /// The value in effect when it is not given; nil if it must be given, null if nothing is then in effect.
    public var defaultValue: JSONValue?
    /// One line for `tutti losses` and the documentation.
    public var meaning: String
}

/// The options that every loss takes.
struct CommonLossSettings: LossSettings {
    var miniBatchSize: Int?
    var miniBatchTokens: Int?
    var miniBatchNumTokens: Int?
    var showProgressBar: Bool?
    var initialParameters: String?

    static let options = OptionList<CommonLossSettings>([
        Option(
            "mini_batch_size", \.miniBatchSize,
            "encode this many texts at a time (GradCache): less memory, the same result", check: .atLeast(1)),
        Option(
            "mini_batch_tokens", \.miniBatchTokens, "encode about this many tokens at a time", check: .atLeast(1)),
        Option(
            "mini_batch_num_tokens", \.miniBatchNumTokens, "the reference's name of mini_batch_tokens",
            check: .atLeast(1)),
        Option("show_progress_bar", \.showProgressBar, "accepted without effect"),
        Option(
            "initial_parameters", \.initialParameters,
            "a safetensors file with start values of the loss's own parameters"),
    ])

    /// The chunks that the options ask for, if any.
    var chunking: Chunking? {
        let chunking = Chunking(rows: miniBatchSize, tokens: miniBatchNumTokens ?? miniBatchTokens)
        return chunking == Chunking() ? nil : chunking
    }
}

extension TuttiError {
    /// An error of a loss, one of its options, or data that do not suit it: exit code 64.
    public static func loss(_ name: String, option: String? = nil, problem: String, hint: String? = nil) -> TuttiError {
        TuttiError(.usage, "set up the loss", option.map { "\(name).\($0)" } ?? name, problem, hint: hint)
    }
}
