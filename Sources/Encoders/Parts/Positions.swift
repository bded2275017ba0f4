// Attention score biases as a function of the distance between two tokens: none, a trained table by bucket that layers
// may share, or ALiBi's fixed slopes. Each kind is computed once per pass.
//
// Legend: H heads, L longest sequence of the batch. Tables over distances are [H, 2 L - 1], distance j - i at j - i + L - 1.

import TuttiKernels

/// The plan of attention score biases.
package enum PositionsPlan: Sendable, Equatable {
    /// None.
    case none
    /// The tensor `table` [rows, heads], indexed by the bucket of the distance.
    case relative(table: String, rows: Int, heads: Int, buckets: DistanceBuckets = .standard)
    /// A table that every layer projects to keys and queries of its own.
    case disentangled(DisentangledTable)
    /// Minus the distance times a slope of the head's (ALiBi: Press et al. 2021, arXiv 2108.12409).
    case slopes(heads: Int)

    /// Its tensors.
    var tensors: [TensorSpecification] {
        switch self {
        case .none, .slopes: []
        case .relative(let table, let rows, let heads, _): [.init(table, [rows, heads])]
        case .disentangled(let table): table.tensors
        }
    }

    /// The tensor whose gradient is summed by distance; nil = there is none.
    var table: String? {
        if case .relative(let table, _, _, _) = self { table } else { nil }
    }
}

/// The kinds of biases of a model's layers, forward and backward: one block of rows per kind.
struct Positions: Sendable {
    /// Each kind once.
    private let plans: [PositionsPlan]
    /// The table of each kind, if it is trained.
    private let tables: [TensorSlot?]
    private let heads: Int
    /// The table of disentangled positions, of which a model has one at most; it is no bias.
    let disentangled: DisentangledPositions?

    /// The kinds that the layers of a plan use, each once.
    init(_ layers: [SelfAttentionPlan], _ layout: ParameterLayout) {
        var (plans, disentangled) = ([PositionsPlan](), DisentangledPositions?.none)
        for layer in layers where layer.positions != .none && !plans.contains(layer.positions) {
            if case .disentangled(let table) = layer.positions {
                disentangled = DisentangledPositions(table, layout)
            } else {
                plans.append(layer.positions)
            }
        }
        self.disentangled = disentangled
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
            case .none, .disentangled: distances.fill(0)
            case .relative(_, _, _, let buckets):
                guard let slot = tables[place] else { preconditionFailure("Positions: no table of \(plan)") }
                let table = parameters.matrix(slot)
                for place in 0..<distances.columns {
                    let bucket = buckets.bucket(place - (longest - 1))
                    for head in 0..<heads { distances[head, place] = table[bucket, head] }
                }
            case .slopes:
                for (head, slope) in LinearBiases.slopes(heads).enumerated() {
                    for place in 0..<distances.columns {
                        distances[head, place] = -slope * Float(abs(place - (longest - 1)))
                    }
                }
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
    static func accumulate(
        _ dDistances: Matrix, _ buckets: DistanceBuckets, longest: Int, into dTable: Matrix
    ) {
        for place in 0..<dDistances.columns {
            let bucket = buckets.bucket(place - (longest - 1))
            for head in 0..<dDistances.rows { dTable[bucket, head] += dDistances[head, place] }
        }
    }
}
