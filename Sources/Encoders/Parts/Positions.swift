// What layers add to their attention scores as a function of the distance between two tokens: nothing, a trained table by
// bucket that layers may share, or what hides the tokens behind. Each kind is made once a pass.
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
    case causal

    /// Its tensors.
    var tensors: [TensorSpecification] {
        guard case .relative(let table, let rows, let heads) = self else { return [] }
        return [.init(table, [rows, heads])]
    }
}

/// The kinds of biases that the layers of a model use, forward and backward: one block of rows for each kind.
struct Positions: Sendable {
    /// Buckets of the rule, both directions together.
    static let buckets = 32

    /// How one kind is made.
    private enum Kind: Sendable {
        case relative(TensorSlot)
        case causal
    }

    private let plans: [PositionsPlan]
    private let kinds: [Kind]
    private let heads: Int
    /// Whether any kind has parameters.
    private let isTrained: Bool

    /// What the layers of a plan use, each kind once.
    init(_ layers: [SelfAttentionPlan], _ layout: ParameterLayout) {
        var plans: [PositionsPlan] = []
        for layer in layers where layer.positions != .none && !plans.contains(layer.positions) {
            plans.append(layer.positions)
        }
        self.plans = plans
        kinds = plans.map {
            if case .relative(let table, _, _) = $0 { return .relative(TensorSlot(layout, table)) }
            return .causal
        }
        heads = layers.first?.heads ?? 0
        isTrained = plans.contains { !$0.tensors.isEmpty }
    }

    /// The rows of a kind among those of all; nil = it adds nothing.
    func rows(of plan: PositionsPlan) -> Range<Int>? {
        plans.firstIndex(of: plan).map { $0 * heads..<($0 + 1) * heads }
    }

    /// The biases of every kind by distance, [kinds * H, 2 L - 1]; nil = there are none.
    func expand(longest: Int, _ parameters: ParameterStore, arena: inout Arena) -> Matrix? {
        if longest == 0 || kinds.isEmpty { return nil }
        let all = arena.matrix(kinds.count * heads, 2 * longest - 1)
        for (place, kind) in kinds.enumerated() {
            let distances = all.rows(place * heads..<(place + 1) * heads)
            switch kind {
            case .relative(let slot):
                let table = parameters.matrix(slot)
                for place in 0..<distances.columns {
                    let bucket = Self.bucket(place - (longest - 1))
                    for head in 0..<heads { distances[head, place] = table[bucket, head] }
                }
            case .causal:
                distances.fill(0)
                distances.columns(longest..<2 * longest - 1).fill(-1e9)
            }
        }
        return all
    }

    /// Room for the gradient of `expanded`, zeroed; nil where nothing is trained.
    func gradient(of expanded: Matrix?, arena: inout Arena) -> Matrix? {
        guard isTrained, let expanded else { return nil }
        let gradient = arena.matrix(expanded.rows, expanded.columns)
        gradient.fill(0)
        return gradient
    }

    /// dTable += gradients by distance [H, 2 L - 1], which all layers that use the table have added up.
    static func accumulate(_ dDistances: Matrix, longest: Int, into dTable: Matrix) {
        for place in 0..<dDistances.columns {
            let bucket = bucket(place - (longest - 1))
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
