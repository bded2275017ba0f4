// EnsembleError: what goes wrong between ranks, and how the failure of one rank keeps its exit code on all.

import Foundation

/// A failed collective, or a rank that is gone.
public struct EnsembleError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The collective or the phase that failed, for example "allReduceSum".
    public var operation: String

    /// The rank that failed (not always the rank that reports it).
    public var rank: Int

    /// What went wrong, in one line.
    public var problem: String

    /// The exit code that the command should end with; 75 (retryable) unless the cause says otherwise.
    public var code: Int32

    /// Creates an error of `operation` on `rank`.
    public init(operation: String, rank: Int, problem: String, code: Int32 = ExitCode.retryable) {
        self.operation = operation
        self.rank = rank
        self.problem = problem
        self.code = code
    }

    /// One line: "rank R: problem (while: operation)".
    public var description: String { "rank \(rank): \(problem) (while: \(operation))" }
}

/// An error that only rank zero met inside `onRoot`, thrown on every rank with the same text and exit code.
public struct RootFailure: Error, Sendable, Equatable, Codable, CustomStringConvertible {
    /// The exit code of the error that rank zero met.
    public var code: Int32

    /// The description of the error that rank zero met.
    public var message: String

    /// Creates a failure with the exit code and text of an error.
    public init(code: Int32, message: String) {
        self.code = code
        self.message = message
    }

    /// The message as rank zero's error spelled it.
    public var description: String { message }
}

/// Exit codes that this module decides on, and how any error tells its own.
public enum ExitCode {
    /// Wrong usage or configuration.
    public static let usage: Int32 = 64

    /// Failed, but worth another try: a dead rank, a broken network.
    public static let retryable: Int32 = 75

    /// The exit code of any error.
    ///
    /// `EnsembleError` and `RootFailure` carry theirs; other modules' errors, which this module cannot know, tell
    /// theirs through Foundation's `CustomNSError.errorCode`. Everything else is 70, an internal failure.
    public static func of(_ error: any Error) -> Int32 {
        switch error {
        case let failure as EnsembleError: return failure.code
        case let failure as RootFailure: return failure.code
        case let coded as any CustomNSError: return Int32(clamping: coded.errorCode)
        default: return 70
        }
    }
}

extension EnsembleError: CustomNSError {
    /// The exit code, for code that knows errors only by Foundation's protocol.
    public var errorCode: Int { Int(code) }
}

extension RootFailure: CustomNSError {
    /// The exit code, for code that knows errors only by Foundation's protocol.
    public var errorCode: Int { Int(code) }
}
