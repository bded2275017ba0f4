// Role: who reads texts for a loss, and which of them.
//
// A loss names the roles that it needs (LossRequirements.swift), Training fills them, and the batch answers by role:
// `batch[.twin]`. Two guides are two roles.

/// Who reads the texts of a batch.
public enum Role: Sendable, Hashable {
    /// The model that is trained.
    case student
    /// A second encoder, started as a copy of the model and trained beside it.
    case twin
    /// A frozen model: its folder or hub id.
    case guide(String)
    /// The decoder of `LossRequirements.decoder`, which reads what it has to reconstruct.
    case decoder

    /// Whether gradients flow to its embeddings.
    public var isTrained: Bool {
        switch self {
        case .student, .twin: return true
        case .guide, .decoder: return false
        }
    }
}

/// Which of the text columns a role reads.
public enum TextColumns: Sendable, Hashable {
    /// All of them, in order.
    case all
    /// The first alone.
    case first
    /// The last alone.
    case last

    /// Their numbers where the data have `count` text columns.
    public func numbers(of count: Int) -> [Int] {
        switch self {
        case .all: return Array(0..<count)
        case .first: return [0]
        case .last: return [count - 1]
        }
    }
}
