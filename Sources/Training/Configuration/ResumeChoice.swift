// Where a run goes on from: `resume_from_checkpoint`.
//
// A run whose output directory holds checkpoints goes on from the newest one in any case, as the same configuration started
// again. `true` insists on it; a path names the checkpoint with which a run in a new directory begins.

import TuttiGround

/// The values of `resume_from_checkpoint`.
public enum ResumeChoice: Sendable, Equatable {
    /// From the newest checkpoint of the output directory, if it has one.
    case ifPresent
    /// The same, and an error if there is none.
    case required
    /// From this checkpoint, where the output directory has none of its own.
    case path(String)
}

extension ResumeChoice: OptionValue {
    /// What a configuration writes, in words.
    public static var words: String { "true, false or the path of a checkpoint" }

    /// Reads the value as a configuration writes it.
    public init(option json: JSONValue) throws(OptionProblem) {
        switch json {
        case .bool(let isRequired): self = isRequired ? .required : .ifPresent
        case .string(let text) where ["true", "false", ""].contains(text.lowercased()):
            self = text.lowercased() == "true" ? .required : .ifPresent
        case .string(let path): self = .path(path)
        default: throw .expected(Self.words, found: json)
        }
    }

    /// The value as a configuration writes it.
    public var optionJSON: JSONValue {
        switch self {
        case .ifPresent: .null
        case .required: .bool(true)
        case .path(let path): .string(path)
        }
    }
}
