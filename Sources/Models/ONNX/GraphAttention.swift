// Self-attention as operators, and what of it depends on the batch alone: masks, distances, angles.
//
// Masked scores get the smallest finite number, so that a padding token that sees padding alone has a mean of it, not NaN.
//
// Legend: B texts, L tokens of the longest one, H heads, K heads of keys and values, G = H / K, E head width, R rotated
// numbers of a head, S rows of each direction of a table of positions.

import TuttiEncoders
import TuttiFormats
import TuttiGround

extension GraphBuilder {
    /// attention(x) [B, L, D] up to its output projection, whose bias is included.
    ///
    /// Throws: naming what cannot be exported.
    mutating func selfAttention(_ plan: SelfAttentionPlan, _ x: String) throws(TuttiError) -> String {
        var (queries, keys, values) = projections(plan, x)  // [B, L, H E], [B, L, K E] or by heads
        if let norms = plan.rowNorms { (queries, keys) = (norm(norms.query, queries), norm(norms.key, keys)) }
        if case .sideBySide = plan.order {
            queries = reshape(queries, [0, 0, plan.heads, plan.headWidth])
            keys = reshape(keys, [0, 0, plan.keyHeads, plan.headWidth])
            values = reshape(values, [0, 0, plan.keyHeads, plan.headWidth])
        }
        if let norms = plan.norms {
            func normed(_ x: String, _ weight: String) -> String {
                rootMeanSquareNorm(
                    x, weight, width: plan.headWidth, shift: norms.shift, epsilon: norms.epsilon)
            }
            (queries, keys) = (normed(queries, norms.query), normed(keys, norms.key))
        }
        if let rotary = plan.rotary {
            (queries, keys) = (
                rotate(queries, rotary, width: plan.headWidth), rotate(keys, rotary, width: plan.headWidth)
            )
        }
        let scale = plan.scale ?? 1 / Float(plan.headWidth).squareRoot()
        let context =
            plan.keyHeads == plan.heads
            ? try attend(plan, queries, keys, values, scale) : try attendInGroups(plan, queries, keys, values, scale)
        return dense(plan.output, reshape(context, [0, 0, plan.queryColumns]))
    }

    /// Queries, keys and values, with their biases.
    private mutating func projections(_ plan: SelfAttentionPlan, _ x: String) -> (String, String, String) {
        let width = plan.headWidth
        switch plan.order {
        case .sideBySide:
            let parts = dense(plan.projection, x, widths: [plan.queryColumns, plan.keyColumns, plan.keyColumns])
            return (parts[0], parts[1], parts[2])
        case .byHead(let queryBias, let valueBias):
            let heads = reshape(dense(plan.projection, x), [0, 0, plan.heads, 3 * width])
            let parts = split(heads, [width, width, width])  // [B, L, H, E]
            func bias(_ name: String) -> String {
                reshape(parameter(name, [plan.queryColumns]), [plan.heads, width])
            }
            return (add(parts[0], bias(queryBias)), parts[1], add(parts[2], bias(valueBias)))
        }
    }

    /// The context [B, L, H, E] of heads with keys of their own.
    private mutating func attend(
        _ plan: SelfAttentionPlan, _ queries: String, _ keys: String, _ values: String, _ scale: Float
    ) throws(TuttiError) -> String {
        let q = transpose(queries, [0, 2, 1, 3])  // [B, H, L, E]
        let k = transpose(keys, [0, 2, 3, 1])  // [B, H, E, L]
        let v = transpose(values, [0, 2, 1, 3])  // [B, H, L, E]
        var scores = node("MatMul", [q, k])  // [B, H, L, L]
        if case .disentangled(let table) = plan.positions, let own = plan.disentangled {
            scores = addRelatives(scores, plan, own, table, queries: q, keys: k)
        }
        scores = add(multiply(scores, by: scale), try scoreBias(plan))
        let probabilities = node("Softmax", [scores], [("axis", .integer(-1))])
        return transpose(node("MatMul", [probabilities, v]), [0, 2, 1, 3])
    }

    /// The context [B, L, K, G, E] of heads of which G have the same keys.
    private mutating func attendInGroups(
        _ plan: SelfAttentionPlan, _ queries: String, _ keys: String, _ values: String, _ scale: Float
    ) throws(TuttiError) -> String {
        guard plan.positions == .none else { throw unsupported("score biases of grouped heads") }
        let (groups, width) = (plan.heads / plan.keyHeads, plan.headWidth)
        let q = transpose(reshape(queries, [0, 0, plan.keyHeads, groups, width]), [0, 2, 3, 1, 4])  // [B, K, G, L, E]
        let k = transpose(unsqueeze(keys, [3]), [0, 2, 3, 4, 1])  // [B, K, 1, E, L]
        let v = transpose(unsqueeze(values, [3]), [0, 2, 3, 1, 4])  // [B, K, 1, L, E]
        let bias = unsqueeze(try scoreBias(plan), [1])  // [B, 1, 1, L, L]
        let scores = add(multiply(node("MatMul", [q, k]), by: scale), bias)  // [B, K, G, L, L]
        let probabilities = node("Softmax", [scores], [("axis", .integer(-1))])
        return transpose(node("MatMul", [probabilities, v]), [0, 3, 1, 2, 4])
    }

    // MARK: Of the batch alone

    /// The places of tokens, [L].
    mutating func places() -> String {
        shared("places") { graph in
            let length = graph.gather(graph.node("Shape", [Input.ids]), graph.integer(1))
            return graph.node("Range", [graph.integer(0), length, graph.integer(1)])
        }
    }

    /// The distance of a key from a query, [L, L].
    private mutating func distances() -> String {
        shared("distances") { graph in
            let (places, first) = (graph.places(), graph.places())
            return graph.node("Sub", [graph.unsqueeze(places, [0]), graph.unsqueeze(first, [1])])
        }
    }

    /// What is added to scores: of the distance, and of keys that a query does not see; [B, H or 1, L, L or 1].
    private mutating func scoreBias(_ plan: SelfAttentionPlan) throws(TuttiError) -> String {
        let mask = mask(before: plan.span.before, after: plan.span.after)
        guard let bias = distanceBias(plan.positions) else { return mask }
        return shared("\(bias) and \(mask)") { $0.add(bias, mask) }
    }

    /// 0 where a query sees a key, else the smallest number: [B, 1, 1, L], with a window [B, 1, L, L].
    private mutating func mask(before: Int, after: Int) -> String {
        shared("mask -\(before) +\(after)") { graph in
            var sees = graph.unsqueeze(graph.cast(Input.mask, to: .bool), [1, 2])
            for (operation, bound, tokens) in [("GreaterOrEqual", -before, before), ("LessOrEqual", after, after)]
            where tokens < EncoderPlan.unlimitedLength {
                sees = graph.node("And", [sees, graph.node(operation, [graph.distances(), graph.integer(bound)])])
            }
            return graph.node(
                "Where", [sees, graph.number(0), graph.number(-Float.greatestFiniteMagnitude)])
        }
    }

    /// The biases of distances, [1, H, L, L]; nil = there are none.
    private mutating func distanceBias(_ positions: PositionsPlan) -> String? {
        switch positions {
        case .none, .disentangled: return nil
        case .relative(let table, _, let heads, let buckets):
            return shared("bias \(table)") { graph in
                let reach = buckets.farthest
                let values = graph.values(table)
                let byDistance = graph.floats(
                    table + ".by_distance", [2 * reach + 1, heads],
                    (-reach...reach).flatMap { distance in
                        (0..<heads).map { values[buckets.bucket(distance) * heads + $0] }
                    })
                let rows = graph.gather(byDistance, graph.rows(ofDistancesUpTo: reach))  // [L, L, H]
                return graph.unsqueeze(graph.transpose(rows, [2, 0, 1]), [0])
            }
        case .slopes(let heads):
            return shared("slopes \(heads)") { graph in
                let far = graph.cast(graph.node("Abs", [graph.distances()]), to: .float32)
                return graph.multiply(
                    graph.floats("slopes", [1, heads, 1, 1], LinearBiases.slopes(heads).map { -$0 }), far)
            }
        }
    }

    /// The row of every distance in a table of -`reach` to `reach`, where farther ones have the last: [L, L].
    private mutating func rows(ofDistancesUpTo reach: Int) -> String {
        shared("rows \(reach)") { graph in
            let near = graph.node("Clip", [graph.distances(), graph.integer(-reach), graph.integer(reach)])
            return graph.add(near, graph.integer(reach))
        }
    }

    // MARK: Rotation

    /// The heads of x [B, L, heads, E], of which the pairs (i, i + R / 2) are turned.
    private mutating func rotate(_ x: String, _ plan: RotaryPlan, width: Int) -> String {
        let half = plan.width / 2
        let (cosines, sines) = (turns(plan, "Cos"), turns(plan, "Sin"))
        let parts = split(x, [half, half] + (width > plan.width ? [width - plan.width] : []))
        let first = node("Sub", [multiply(parts[0], cosines), multiply(parts[1], sines)])
        let second = add(multiply(parts[1], cosines), multiply(parts[0], sines))
        return node("Concat", [first, second] + parts.dropFirst(2), [("axis", .integer(-1))])
    }

    /// Cosines or sines of the angles, [L, 1, R / 2].
    private mutating func turns(_ plan: RotaryPlan, _ operation: String) -> String {
        let name = "\(plan.width) of \(plan.theta) \(plan.scaling) \(plan.factor)"
        return shared("\(operation) \(name)") { graph in
            let angles = graph.shared("angles \(name)") { graph in
                let places = graph.unsqueeze(graph.cast(graph.places(), to: .float32), [1, 2])
                return graph.multiply(
                    places, graph.floats("frequencies \(name)", [plan.width / 2], plan.frequencies))
            }
            return graph.multiply(graph.node(operation, [angles]), by: plan.factor)
        }
    }

    // MARK: Disentangled positions

    /// scores(i, j) + q_i . K_c + k_j . Q_c of the row c of the distance from key to query; keys are [B, H, E, L].
    private mutating func addRelatives(
        _ scores: String, _ plan: SelfAttentionPlan, _ own: SelfAttentionPlan.Disentangled,
        _ table: DisentangledTable, queries: String, keys: String
    ) -> String {
        let rows = shared("table \(table.name)") { graph in
            let stored = graph.parameter(table.name, [2 * table.rows.reach, table.width])
            return table.norm.map { graph.norm($0, stored) } ?? stored
        }
        func projected(_ linear: LinearPlan) -> String {  // [H, E, 2 S]
            transpose(reshape(dense(linear, rows), [-1, plan.heads, plan.headWidth]), [1, 2, 0])
        }
        var sum = scores
        if let linear = own.keys {
            let all = node("MatMul", [queries, projected(linear)])  // [B, H, L, 2 S]
            sum = add(sum, pick(all, relativeRows(table.rows), like: scores))
        }
        if let linear = own.queries {
            let all = node("MatMul", [transpose(keys, [0, 1, 3, 2]), projected(linear)])  // [B, H, L, 2 S]
            let turned = shared("turned \(table.name)") { graph in
                graph.transpose(graph.relativeRows(table.rows), [1, 0])
            }
            sum = add(sum, transpose(pick(all, turned, like: scores), [0, 1, 3, 2]))
        }
        return sum
    }

    /// all[b, h, i, rows[i, j]].
    private mutating func pick(_ all: String, _ rows: String, like scores: String) -> String {
        let everywhere = shared("\(rows) everywhere") { graph in
            graph.node("Expand", [rows, graph.node("Shape", [scores])])
        }
        return node("GatherElements", [all, everywhere], [("axis", .integer(3))])
    }

    /// The row of the distance from key j to query i, at [i, j].
    private mutating func relativeRows(_ rows: DistanceRows) -> String {
        shared("relative rows") { graph in
            let reach = rows.farthest
            let table = graph.integers(
                "relative rows", (-reach...reach).map { rows.row(-$0) }, shape: [2 * reach + 1])
            return graph.gather(table, graph.rows(ofDistancesUpTo: reach))
        }
    }
}

extension DistanceRows {
    /// The distance from which on all have the first or last row.
    fileprivate var farthest: Int {
        var distance = 1
        while row(distance) < 2 * reach - 1 || row(-distance) > 0 { distance += 1 }
        return distance
    }
}
