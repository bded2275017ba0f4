// Attention score biases as a function of the distance between two tokens: none, a trained table by bucket that layers
// may share, or a causal mask. Each kind is computed once per pass.
//
// The buckets are MPNet's (and T5's): distances up to 7 have one each, farther ones share buckets that grow with the
// logarithm up to 128, separately for each direction. In transformers: 8 + floor(8 ln(n / 8) / ln 16) = 2 + floor(log2 n^2),
// exact in integers. The causal bias is so negative that its softmax is zero.
//
// Legend: H heads, L longest sequence of the batch. Tables over distances are [H, 2 L - 1], distance j - i at j - i + L - 1.

import TuttiKernels

/// The plan of attention score biases.
enum PositionsPlan: Sendable, Equatable {
    /// None.
    case none
    /// The tensor `table` [rows, heads], indexed by the bucket of the distance.
    case relative(table: String, rows: Int, heads: Int)
    /// Tokens see themselves and the tokens before them.
    case causal

    /// Its tensors.
    var tensors: [TensorSpecification] {
        switch self {
        case .none, .causal: []
        case .relative(let table, let rows, let heads): [.init(table, [rows, heads])]
        }
    }

    /// The tensor that it is made from, whose gradient is summed by distance; nil = it is not trained.
    var table: String? { tensors.first?.name }
}

/// The kinds of biases of a model's layers, forward and backward: one block of rows per kind.
struct Positions: Sendable {
    /// Total buckets, for both directions.
    static let buckets = 32

    /// Each kind once.
    private let plans: [PositionsPlan]
    /// The table of each kind, if it is trained.
    private let tables: [TensorSlot?]
    private let heads: Int

    /// The kinds that the layers of a plan use, each once.
    init(_ layers: [SelfAttentionPlan], _ layout: ParameterLayout) {
        var plans: [PositionsPlan] = []
        for layer in layers where layer.positions != .none && !plans.contains(layer.positions) {
            plans.append(layer.positions)
        }
        self.plans = plans
        tables = plans.map { $0.table.map { TensorSlot(layout, $0) } }
        heads = layers.first?.heads ?? 0
    }

    /// The rows of a kind among all rows; nil = no bias.
    func rows(of plan: PositionsPlan) -> Range<Int>? {
        plans.firstIndex(of: plan).map { $0 * heads..<($0 + 1) * heads }
    }

    /// The biases of every kind by distance, [kinds * H, 2 L - 1]; nil = there are none.
    func expand(longest: Int, _ parameters: ParameterStore, arena: inout Arena) -> Matrix? {
        if longest == 0 || plans.isEmpty { return nil }
        let all = arena.matrix(plans.count * heads, 2 * longest - 1)
        for (place, plan) in plans.enumerated() {
            let distances = all.rows(place * heads..<(place + 1) * heads)
            switch plan {
            case .none: distances.fill(0)
            case .relative:
                guard let slot = tables[place] else { preconditionFailure("Positions: no table of \(plan)") }
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

    /// Zeroed memory for the gradient of `expanded`; nil if nothing is trained.
    func gradient(of expanded: Matrix?, arena: inout Arena) -> Matrix? {
        guard tables.contains(where: { $0 != nil }), let expanded else { return nil }
        let gradient = arena.matrix(expanded.rows, expanded.columns)
        gradient.fill(0)
        return gradient
    }

    /// dTable += gradients by distance [H, 2 L - 1], summed over all layers that use the table.
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
