// The kind of labels of a table, which a loss needs to know before the first step.

/// A summary of the label column.
package enum LabelSummary: Sendable, Equatable {
    /// No labels.
    case none
    /// Integers, with minimum and maximum.
    case integers(ClosedRange<Int>)
    /// Numbers, with minimum and maximum.
    case floats(ClosedRange<Double>)
    /// Lists of that many numbers.
    case lists(width: Int)
}

extension Table {
    /// A summary of the label column; none for a table without rows.
    package var labelSummary: LabelSummary {
        switch labels {
        case .none: return .none
        case .integers(let values):
            guard let low = values.min(), let high = values.max() else { return .none }
            return .integers(low...high)
        case .floats(let values):
            guard let low = values.min(), let high = values.max() else { return .none }
            return .floats(low...high)
        case .lists(_, let width): return .lists(width: width)
        }
    }
}
