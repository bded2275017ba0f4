// LossError: a loss that is unknown, an option that it does not take, or data that do not suit it.

import Foundation

/// A loss that is unknown, an option that it does not take, or data that do not suit it.
public struct LossError: Error, Sendable, Equatable, CustomStringConvertible, CustomNSError {
    /// The name of the loss.
    public var loss: String

    /// The option, if one is to blame; with dots where losses nest, such as "loss.scale".
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

/// "Did you mean ...? Known: ..." for a name that is not among `known`.
func suggestion(for name: String, among known: [String], _ what: String) -> String {
    let near = closestName(to: name, among: known).map { "Did you mean \"\($0)\"? " } ?? ""
    return "\(near)\(what): \(known.joined(separator: ", "))."
}
