// LossOption: the options of a loss as a configuration gives them, and the strict reading of them.

import Foundation

/// The value of one option.
public enum LossOption: Sendable, Equatable, CustomStringConvertible {
    /// true or false
    case bool(Bool)
    /// a whole number
    case int(Int)
    /// a number
    case double(Double)
    /// a name
    case string(String)

    /// The value as a configuration spells it.
    public var description: String {
        switch self {
        case .bool(let value): return value ? "true" : "false"
        case .int(let value): return String(value)
        case .double(let value): return String(value)
        case .string(let value): return value
        }
    }

    var kind: String {
        switch self {
        case .bool: return "true or false"
        case .int: return "a whole number"
        case .double: return "a number"
        case .string: return "a name"
        }
    }

    /// This value as one of the kind of `example`; whole numbers are numbers too.
    func converted(toKindOf example: LossOption) -> LossOption? {
        switch (example, self) {
        case (.bool, .bool), (.int, .int), (.double, .double), (.string, .string): return self
        case (.double, .int(let value)): return .double(Double(value))
        default: return nil
        }
    }
}

/// A loss that is unknown, an option that it does not take, or a batch that does not suit it.
public struct LossError: Error, Sendable, Equatable, CustomStringConvertible, CustomNSError {
    /// The name of the loss.
    public var loss: String

    /// The option, if one is to blame.
    public var option: String?

    /// What is wrong.
    public var problem: String

    /// What to do about it.
    public var hint: String?

    /// Creates an error of a loss.
    public init(loss: String, option: String? = nil, problem: String, hint: String? = nil) {
        self.loss = loss
        self.option = option
        self.problem = problem
        self.hint = hint
    }

    /// One line: "loss.option: problem. hint".
    public var description: String {
        "\(loss)\(option.map { ".\($0)" } ?? ""): \(problem).\(hint.map { " \($0)" } ?? "")"
    }

    /// A configuration error: exit code 64.
    public var errorCode: Int { 64 }
}

/// One option of a loss: its name, its value when the configuration is silent, and what it does.
public struct LossOptionDescription: Sendable {
    /// The option's name in a configuration.
    public var name: String

    /// The value in effect when it is not given; its kind is the kind that is accepted.
    public var standard: LossOption

    /// One line for `--help` and the documentation.
    public var meaning: String

    /// Describes an option.
    public init(_ name: String, _ standard: LossOption, _ meaning: String) {
        self.name = name
        self.standard = standard
        self.meaning = meaning
    }
}

/// The checked options of one loss: every known name has a value of the right kind.
public struct LossOptions: Sendable {
    /// The loss that they belong to.
    public let loss: String

    private let values: [String: LossOption]

    /// Checks given options against the known ones.
    ///
    /// - Parameters:
    ///   - known: every option of the loss.
    ///   - later: options of the reference that exist but are not available here, with the reason.
    init(
        _ given: [String: LossOption], loss: String, known: [LossOptionDescription], later: [String: String]
    ) throws(LossError) {
        var values: [String: LossOption] = [:]
        for option in known { values[option.name] = option.standard }
        for name in given.keys.sorted() {
            guard let value = given[name] else { continue }
            if let reason = later[name] {
                throw LossError(
                    loss: loss, option: name, problem: "is not available yet: \(reason)", hint: "Leave it out.")
            }
            guard let standard = values[name] else {
                let names = known.map(\.name)
                let near = closestName(to: name, among: names).map { "Did you mean \"\($0)\"? " } ?? ""
                throw LossError(
                    loss: loss, option: name, problem: "unknown option",
                    hint: "\(near)Its options are \(names.joined(separator: ", ")).")
            }
            guard let converted = value.converted(toKindOf: standard) else {
                throw LossError(
                    loss: loss, option: name, problem: "expected \(standard.kind), found \(value.kind) \"\(value)\"")
            }
            values[name] = converted
        }
        self.loss = loss
        self.values = values
    }

    /// The value of an option that the loss declares as a number.
    func double(_ name: String) -> Double {
        guard case .double(let value)? = values[name] else { preconditionFailure("\(loss) declares no number \(name)") }
        return value
    }

    /// The value of an option that the loss declares as true or false.
    func bool(_ name: String) -> Bool {
        guard case .bool(let value)? = values[name] else { preconditionFailure("\(loss) declares no switch \(name)") }
        return value
    }

    /// The value of an option that the loss declares as a name.
    func string(_ name: String) -> String {
        guard case .string(let value)? = values[name] else { preconditionFailure("\(loss) declares no name \(name)") }
        return value
    }
}

/// The name with the smallest edit distance, if it is near enough to be what was meant.
func closestName(to name: String, among names: [String]) -> String? {
    let wanted = Array(name.lowercased().utf8)
    let distances = names.map { candidate -> (name: String, distance: Int) in
        let letters = Array(candidate.lowercased().utf8)
        var row = Array(0...letters.count)
        for (i, letter) in wanted.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for j in letters.indices {
                let replaced = diagonal + (letters[j] == letter ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j + 1] + 1, row[j] + 1)
            }
        }
        return (candidate, row[letters.count])
    }
    let nearest = distances.min { $0.distance < $1.distance }
    return nearest.flatMap { $0.distance <= max(2, wanted.count / 3) ? $0.name : nil }
}
