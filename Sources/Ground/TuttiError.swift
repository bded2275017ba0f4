// The error type of everything above the kernels: where it happened, what is wrong, how to fix it.
//
// A failure that a user can meet (a file, a configuration, a full disk) is reported in one line with the place, the
// problem and a fix, and ends the process with a code that scripts can test. Bugs of callers are preconditions, never a
// TuttiError.

import Foundation

/// An error outside the program: place, problem, fix and exit code.
public struct TuttiError: Error, Sendable, Equatable, Codable, CustomStringConvertible {
    /// The kind of failure; the raw value is the exit code of the command.
    public enum Kind: Int32, Sendable, Codable {
        /// A wrong command line or configuration, or an output directory that holds another run.
        case usage = 64
        /// Data or a model file that cannot be used: ragged, truncated, wrong encoding, unknown architecture.
        case data = 65
        /// A missing file.
        case missingFile = 66
        /// Training became non-finite; also the code of internal failures without another.
        case diverged = 70
        /// The same command may succeed later: full disk, lost rank.
        case retryable = 75
        /// Stopped from outside after saving.
        case preempted = 85
    }

    /// The kind of failure.
    public var kind: Kind
    /// What the program was doing: "read weights".
    public var operation: String
    /// Where it happened: "file:line:column", a path, or a configuration key.
    public var subject: String
    /// What is wrong there.
    public var problem: String
    /// How the user can fix it, if known.
    public var hint: String?

    /// The rank at fault, if there are several; not always the rank that reports it.
    public var rank: Int?
    /// The host of that rank, where ranks run on several hosts.
    package var host: String?
    /// Whether every rank of the run throws it, so that it is reported once.
    public var isShared = false

    /// Makes an error from its parts.
    public init(
        _ kind: Kind, _ operation: String, _ subject: String, _ problem: String, hint: String? = nil, rank: Int? = nil
    ) {
        self.kind = kind
        self.operation = operation
        self.subject = subject
        self.problem = problem
        self.hint = hint
        self.rank = rank
    }

    /// Any error as a TuttiError; other types keep their text and exit code.
    public init(_ error: any Error) {
        if let error = error as? TuttiError {
            self = error
        } else {
            let kind = Kind(rawValue: Self.exitCode(of: error)) ?? .diverged
            self.init(kind, "", "", Self.withoutFullStop("\(error)"))
        }
    }

    /// The exit code of any error: its own, that of Foundation's `CustomNSError`, or 70.
    public static func exitCode(of error: any Error) -> Int32 {
        switch error {
        case let error as TuttiError: return error.kind.rawValue
        case let coded as any CustomNSError: return Int32(clamping: coded.errorCode)
        default: return Kind.diverged.rawValue
        }
    }

    private static func withoutFullStop(_ text: String) -> String {
        text.hasSuffix(".") ? String(text.dropLast()) : text
    }

    /// The error as one line without control characters: "rank R on HOST: subject: problem (while: operation). hint".
    public var description: String {
        var line = subject.isEmpty ? problem : "\(subject): \(problem)"
        if let rank { line = "rank \(rank)\(host.map { " on \($0)" } ?? ""): \(line)" }
        if !operation.isEmpty { line += " (while: \(operation))" }
        line += "."
        if let hint, !hint.isEmpty { line += " \(hint)" }
        return String(line.map { $0.isNewline ? " " : $0 }).printable
    }
}

extension TuttiError: CustomNSError {
    /// The exit code, for modules that see errors only through Foundation's protocol.
    public var errorCode: Int { Int(kind.rawValue) }
}
