// The one error of everything above the kernels: where it happened, what is wrong, what to do about it.
//
// A failure that a user can meet (a file, a configuration, a full disk) is told in one line that names the place, the
// problem and a remedy, and ends the process with a code that scripts can branch on. Callers' bugs are preconditions,
// never a TuttiError.

import Foundation

/// An error in the world outside the program: place, problem, remedy and the exit code that belongs to it.
public struct TuttiError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it is; the raw value is the exit code of the command.
    public enum Kind: Int32, Sendable {
        /// A wrong command line or configuration, or an output directory that holds another run.
        case usage = 64
        /// Data or a model file that cannot be used: ragged, truncated, wrong encoding, unknown architecture.
        case data = 65
        /// A file that is not there.
        case missingFile = 66
        /// Training left the finite numbers.
        case diverged = 70
        /// The same command may succeed later: full disk, lost rank.
        case retryable = 75
        /// Stopped from outside after saving.
        case preempted = 85
    }

    /// What kind of failure it is.
    public var kind: Kind
    /// What the program was doing: "read weights".
    public var operation: String
    /// Where it happened: "file:line:column", a path, or a configuration key.
    public var subject: String
    /// What is wrong there.
    public var problem: String
    /// What the user can do about it, if that is known.
    public var hint: String?

    /// Makes an error from its parts.
    public init(_ kind: Kind, _ operation: String, _ subject: String, _ problem: String, hint: String? = nil) {
        self.kind = kind
        self.operation = operation
        self.subject = subject
        self.problem = problem
        self.hint = hint
    }

    /// The error as one line without control characters: "subject: problem (while: operation). hint".
    public var description: String {
        var line = subject.isEmpty ? problem : "\(subject): \(problem)"
        if !operation.isEmpty { line += " (while: \(operation))" }
        line += "."
        if let hint, !hint.isEmpty { line += " \(hint)" }
        return String(line.map { $0.isNewline ? " " : $0 }).printable
    }
}

extension TuttiError: CustomNSError {
    /// The exit code, for modules that know errors only by Foundation's protocol.
    public var errorCode: Int { Int(kind.rawValue) }
}
