// What the layers of a model add to their attention scores, as a function of the distance between two tokens: nothing,
// a trained table by bucket that all layers share, or what hides the tokens behind.
//
// The buckets are MPNet's (and T5's): distances up to 7 have one each, farther ones share buckets that grow with the
// logarithm up to 128, apart for either direction. In transformers: 8 + floor(8 ln(n / 8) / ln 16) = 2 + floor(log2 n^2),
// exact in integers. A token sees nothing behind it where the bias is one that no softmax survives.
//
// Legend: H heads, L longest sequence of the batch. Tables over distances are [H, 2 L - 1], distance j - i at j - i + L - 1.

import TuttiKernels

/// Biases of the attention scores as a plan describes them.
enum PositionsPlan: Sendable, Equatable {
    /// None.
    case none
    /// The tensor `table` [rows, heads], indexed by the bucket of the distance.
    case relative(table: String, rows: Int, heads: Int)
    /// Tokens see themselves and what stands before them.
    case causal(heads: Int)

    /// Its tensors.
    var tensors: [TensorSpecification] {
        guard case .relative(let table, let rows, let heads) = self else { return [] }
        return [.init(table, [rows, heads])]
    }
}

/// The biases of a pass, forward and backward.
enum Positions: Sendable {
    case none
    case relative(TensorSlot)
    case causal(heads: Int)

    /// Buckets of the rule, both directions together.
    static let buckets = 32

    init(_ plan: PositionsPlan, _ layout: ParameterLayout) {
        switch plan {
        case .none: self = .none
        case .relative(let table, _, _): self = .relative(TensorSlot(layout, table))
        case .causal(let heads): self = .causal(heads: heads)
        }
    }

    /// The biases [H, 2 L - 1] by distance; nil = nothing is added.
    func expand(longest: Int, _ parameters: ParameterStore, arena: inout Arena) -> Matrix? {
        if longest == 0 { return nil }
        switch self {
        case .none: return nil
        case .relative(let slot):
            let table = parameters.matrix(slot)
            let distances = arena.matrix(table.columns, 2 * longest - 1)
            for place in 0..<distances.columns {
                let bucket = Self.bucket(place - (longest - 1))
                for head in 0..<distances.rows { distances[head, place] = table[bucket, head] }
            }
            return distances
        case .causal(let heads):
            let distances = arena.matrix(heads, 2 * longest - 1)
            distances.fill(0)
            distances.columns(longest..<2 * longest - 1).fill(-1e9)
            return distances
        }
    }

    /// Room for the gradient of `expanded`, zeroed; nil where nothing is trained.
    func gradient(of expanded: Matrix?, arena: inout Arena) -> Matrix? {
        guard case .relative = self, let expanded else { return nil }
        let gradient = arena.matrix(expanded.rows, expanded.columns)  // [H, 2 L - 1]
        gradient.fill(0)
        return gradient
    }

    /// Adds the gradients by distance, which all layers have added up, to the table's.
    func accumulate(_ dDistances: Matrix?, longest: Int, _ parameters: ParameterStore) {
        guard case .relative(let slot) = self, let dDistances else { return }
        let dTable = parameters.gradientMatrix(slot)
        for place in 0..<dDistances.columns {
            let bucket = Self.bucket(place - (longest - 1))
            for head in 0..<dDistances.rows { dTable[bucket, head] += dDistances[head, place] }
        }
    }

    /// The bucket of a distance (key position - query position).
    static func bucket(_ distance: Int) -> Int {
        let n = abs(distance)
        let first = distance > 0 ? buckets / 2 : 0
        if n < 8 { return first + n }
        let floorLog2 = Int.bitWidth - 1 - (n * n).leadingZeroBitCount
        return first + min(buckets / 2 - 1, 2 + floorLog2)
    }
}
