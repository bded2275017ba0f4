// LossSetting: what a loss is told of model and data before the first step, and whether the data have a shape that it takes.

import TuttiGround

/// What is known of the model and the data before the first step.
public struct LossSetting: Sendable {
    /// Width of an embedding, `D`.
    public var width: Int

    /// Transformer layers of the model.
    public var layers: Int

    /// The names of the text columns, in order.
    public var columns: [String]

    /// The label column.
    public var labels: LossLabels

    /// What is known before the first step.
    public init(width: Int, layers: Int = 0, columns: [String], labels: LossLabels = .none) {
        self.width = width
        self.layers = layers
        self.columns = columns
        self.labels = labels
    }

    /// Refuses data whose text columns or labels have none of the shapes of `entry`.
    public func check(against entry: LossEntry) throws(TuttiError) {
        let fitting = entry.inputs.filter { $0.accepts(columns: columns.count) }
        let names = columns.joined(separator: ", ")
        guard !fitting.isEmpty else {
            throw TuttiError.loss(
                entry.name, problem: "the data have \(columns.count) text columns (\(names))",
                hint: "It takes \(entry.inputs.map(\.words).joined(separator: " or ")).")
        }
        guard fitting.contains(where: { labels.fit($0.label) }) else {
            throw TuttiError.loss(
                entry.name, problem: "the labels are \(labels.words)",
                hint: "For (\(names)) it takes \(fitting.map(\.label.words).joined(separator: " or ")).")
        }
    }
}

/// A label column as the data have it.
public enum LossLabels: Sendable, Equatable {
    /// There is none.
    case none
    /// Whole numbers, the smallest and the largest.
    case integers(ClosedRange<Int>)
    /// Numbers, the smallest and the largest.
    case numbers(ClosedRange<Double>)
    /// Lists of so many numbers.
    case lists(Int)

    /// The labels in words.
    var words: String {
        switch self {
        case .none: return "none"
        case .integers(let range): return "whole numbers of \(range.lowerBound) to \(range.upperBound)"
        case .numbers(let range): return "numbers of \(range.lowerBound) to \(range.upperBound)"
        case .lists(let width): return "lists of \(width) numbers"
        }
    }

    /// Numbers in one label.
    var width: Int {
        switch self {
        case .none: return 0
        case .integers, .numbers: return 1
        case .lists(let width): return width
        }
    }

    /// Whether labels of this kind can be `label`; a list of one number is a number.
    fileprivate func fit(_ label: LossInput.Label) -> Bool {
        switch (label, self) {
        case (.none, _): return true  // ignored, as the reference does
        case (_, .none): return false
        case (.classNumber, .integers): return true
        case (.classNumber, _): return false
        case (.binary, _), (.score, _): return width == 1
        case (.scores, _): return true
        case (.embedding, .lists): return true
        case (.embedding, _): return false
        }
    }
}
