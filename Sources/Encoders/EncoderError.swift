// What can be wrong with an encoder's description before any number is computed.

/// A configuration that no encoder can be built from: which setting, what is wrong, what would be right.
public struct EncoderError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The setting at fault, by the name users know (a key of config.json, or a module of the model).
    public var subject: String
    /// What is wrong with it.
    public var problem: String
    /// What would be right, if that can be said.
    public var hint: String?

    /// An error about `subject`.
    public init(_ subject: String, _ problem: String, hint: String? = nil) {
        self.subject = subject
        self.problem = problem
        self.hint = hint
    }

    /// One line for people.
    public var description: String { "\(subject): \(problem)." + (hint.map { " \($0)" } ?? "") }
}
