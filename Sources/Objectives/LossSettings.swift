// The options of losses as values, and those that every loss takes.

import TuttiGround

/// The options of a loss, each described once by its list.
public protocol LossSettings: DescribedSettings {}

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
