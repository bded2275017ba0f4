// What kind of labels a table has: what a loss needs to know before the first step.

/// A label column in short.
package enum LabelSummary: Sendable, Equatable {
    /// There is none.
    case none
    /// Whole numbers, the smallest and the largest.
    case integers(ClosedRange<Int>)
    /// Numbers, the smallest and the largest.
    case floats(ClosedRange<Double>)
    /// Lists of so many numbers.
    case lists(width: Int)
}

extension Table {
    /// The label column in short; a table without rows has none.
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
