// One problem of attention with random inputs, run by the kernel, and solved in fp64 from the definition.

import Foundation
import TestSupport
import TuttiKernels

/// Inputs, settings and an output gradient.
struct AttentionProblem {
    var heads = 2
    var keyHeads = 2
    var width = 16
    var lengths: [Int]
    var span = AttentionSpan.full
    /// nil = 1 / sqrt(E)
    var scale: Float?
    var rate: Float = 0
    /// Whether q, k and v alternate by head in a row, as DeBERTa's; else queries come first, then keys, then values.
    var alternates = false
    /// M of the table of relative positions; 0 = there is none.
    private(set) var maximum = 0
    var qkv: [Float] = []
    var bias: [Float] = []
    var table: [Float] = []
    var weights: [Float] = []
    /// Disentangled positions: S of the 2 S rows of the tables; 0 = there are none.
    private(set) var reach = 0
    /// [2 S, H E] each; empty = without that term.
    var positionKeys: [Float] = []
    var positionQueries: [Float] = []
    private var keys: [UInt64] = []

    var tokens: Int { lengths.reduce(0, +) }
    /// Columns of qkv.
    var columns: Int { (heads + 2 * keyHeads) * width }
    var contextColumns: Int { heads * width }
    var name: String {
        "\(heads) / \(keyHeads) heads of \(width), L \(lengths), \(span), positions \(maximum), rate \(rate)"
    }

    init(
        heads: Int = 2, keyHeads: Int? = nil, width: Int = 16, lengths: [Int], span: AttentionSpan = .full,
        scale: Float? = nil, positions: Bool = false, rate: Float = 0, alternates: Bool = false, reach: Int = 0,
        terms: String = "c2p|p2c"
    ) {
        var random = TinyRandom(UInt64(heads * 1000 + width))
        self.heads = heads
        self.keyHeads = keyHeads ?? heads
        self.width = width
        self.lengths = lengths
        self.span = span
        self.scale = scale
        self.rate = rate
        self.alternates = alternates
        maximum = positions ? (lengths.max() ?? 0) + 3 : 0
        qkv = random.floats(tokens * columns)
        bias = alternates ? [] : random.floats(columns, scale: 0.5)
        table = positions ? random.floats(heads * (2 * maximum - 1)) : []
        weights = random.floats(tokens * contextColumns)
        self.reach = reach
        if reach > 0 && terms.contains("c2p") { positionKeys = random.floats(2 * reach * contextColumns) }
        if reach > 0 && terms.contains("p2c") { positionQueries = random.floats(2 * reach * contextColumns) }
        keys = lengths.indices.map { Dropout.siteKey(77, layer: 0, site: UInt32($0)) }
    }

    /// Context and gradients, flat; the gradient of the bias is the column sums of dQKV.
    struct Result<Number: BinaryFloatingPoint & Sendable>: Equatable, Sendable {
        var context, dQKV, dTable: [Number]
        var dPositionKeys, dPositionQueries: [Number]
    }

    /// The row of a distance i - j: near ones have their own, of farther ones three share one, the ends take the rest.
    func row(_ distance: Int) -> Int {
        let (n, near) = (abs(distance), reach / 2)
        let folded = n <= near ? n : near + (n - near + 2) / 3
        return min(max((distance < 0 ? -folded : folded) + reach, 0), 2 * reach - 1)
    }

    // MARK: The kernel

    func attention() -> Attention {
        let offsets = offsets(of: lengths).pinned
        let pinned = bias.isEmpty ? nil : bias.pinned
        var attention = Attention(
            heads: heads, keyHeads: keyHeads, width: width, span: span, scale: scale, offsets: offsets,
            sequences: lengths.count, queryBias: pinned, valueBias: pinned.map { $0 + (heads + keyHeads) * width },
            positions: table.isEmpty ? nil : table.pinned, maximum: maximum,
            dropout: rate == 0
                ? nil : DropoutMask(rate: rate, keys: keys.pinned, offsets: offsets, sequences: lengths.count))
        if reach > 0 {
            let longest = lengths.max() ?? 0
            let rows = (1 - longest..<longest).map { Int32(row($0)) }
            attention.keyBias = pinned.map { $0 + heads * width }
            attention.relatives = AttentionRelatives(
                keys: table(FloatBlock(positionKeys)), queries: table(FloatBlock(positionQueries)), rows: rows.pinned,
                maximum: longest)
        }
        return attention
    }

    /// A table of positions, which is kept until the process ends.
    private func table(_ block: FloatBlock) -> Matrix? {
        block.count == 0 ? nil : Unmanaged.passRetained(block).takeUnretainedValue().matrix(2 * reach, contextColumns)
    }

    func rows(_ qkv: Matrix) -> AttentionRows {
        if !alternates { return AttentionRows(qkv, heads: heads, keyHeads: keyHeads, width: width) }
        return AttentionRows(byHead: qkv, width: width)
    }

    func run() -> Result<Float> {
        let attention = attention()
        let (qkv, dQKV) = (FloatBlock(self.qkv), FloatBlock(count: self.qkv.count))
        let (context, dContext) = (FloatBlock(count: tokens * contextColumns), FloatBlock(weights))
        let (logSumExp, scratch) = (FloatBlock(count: tokens * heads), FloatBlock(count: attention.scratchCount))
        let dTable = FloatBlock(count: table.count, of: 0)
        let dKeys = FloatBlock(count: positionKeys.count, of: 0)
        let dQueries = FloatBlock(count: positionQueries.count, of: 0)
        var dRelatives = attention.relatives
        dRelatives?.keys = table(dKeys)
        dRelatives?.queries = table(dQueries)
        let own = rows(qkv.matrix(tokens, columns))
        attention.forward(
            own, context: context.matrix(tokens, contextColumns), logSumExp: logSumExp.pointer,
            scratch: scratch.pointer)
        attention.backward(
            own, context: context.matrix(tokens, contextColumns), logSumExp: logSumExp.pointer,
            dContext: dContext.matrix(tokens, contextColumns), into: rows(dQKV.matrix(tokens, columns)),
            dPositions: table.isEmpty ? nil : dTable.pointer, dRelatives: dRelatives, scratch: scratch.pointer)
        return Result(
            context: context.values, dQKV: dQKV.values, dTable: dTable.values, dPositionKeys: dKeys.values,
            dPositionQueries: dQueries.values)
    }

    // MARK: The definition

    /// Column of head `head` of q (part 0), k (1) or v (2).
    func column(_ part: Int, _ head: Int) -> Int {
        if alternates { return (3 * head + part) * width }
        return (part == 0 ? head : part == 1 ? heads + head : heads + keyHeads + head) * width
    }

    /// Context and gradients in fp64.
    func solve() -> Result<Double> {
        var result = Result<Double>(
            context: .init(repeating: 0, count: tokens * contextColumns),
            dQKV: .init(repeating: 0, count: qkv.count), dTable: .init(repeating: 0, count: table.count),
            dPositionKeys: .init(repeating: 0, count: positionKeys.count),
            dPositionQueries: .init(repeating: 0, count: positionQueries.count))
        var first = 0
        for (s, length) in lengths.enumerated() {
            for head in 0..<heads { solve(sequence: s, first: first, length: length, head: head, &result) }
            first += length
        }
        return result
    }

    private func solve(sequence s: Int, first: Int, length: Int, head: Int, _ result: inout Result<Double>) {
        let (key, width, scale) = (head / (heads / keyHeads), width, Double(scale ?? 1 / Float(width).squareRoot()))
        func operand(_ part: Int, _ head: Int) -> [Double] {
            (0..<length).flatMap { t in
                (0..<width).map { e in
                    let column = column(part, head) + e
                    return Double(qkv[(first + t) * columns + column]) + (bias.isEmpty ? 0 : Double(bias[column]))
                }
            }
        }
        let (q, k, v) = (operand(0, head), operand(1, key), operand(2, key))
        func dot(_ a: [Double], _ i: Int, _ b: [Double], _ j: Int) -> Double {
            var sum = 0.0
            for e in 0..<width { sum += a[i * width + e] * b[j * width + e] }
            return sum
        }
        for i in 0..<length {
            let seen = max(0, i - span.before)...min(length - 1, i + span.after)
            let place = head * (2 * maximum - 1) - i + maximum - 1
            func position(_ j: Int) -> Int { row(i - j) * contextColumns + head * width }
            var p = seen.map { j in
                var score = dot(q, i, k, j)
                for e in 0..<width {
                    if !positionKeys.isEmpty { score += q[i * width + e] * Double(positionKeys[position(j) + e]) }
                    if !positionQueries.isEmpty { score += k[j * width + e] * Double(positionQueries[position(j) + e]) }
                }
                return scale * score + (table.isEmpty ? 0 : Double(table[place + j]))
            }
            let top = p.max() ?? 0
            p = p.map { exp($0 - top) }
            let sum = p.reduce(0, +)
            p = p.map { $0 / sum }
            let kept = seen.map { j in
                let index = UInt32(truncatingIfNeeded: (head * length + i) * length + j)
                let keeps = rate == 0 || Dropout.keeps(siteKey: keys[s], index: index, rate: rate)
                return keeps ? 1 / (1 - Double(rate)) : 0
            }
            let output = (first + i) * contextColumns + head * width
            let dO = (0..<width).map { Double(weights[output + $0]) }
            var (dP, delta) = ([Double](), 0.0)
            for (n, j) in seen.enumerated() {
                for e in 0..<width { result.context[output + e] += p[n] * kept[n] * v[j * width + e] }
                dP.append(kept[n] * dot(dO, 0, v, j))
                delta += p[n] * dP[n]
            }
            let dQ = (first + i) * columns + column(0, head)
            for (n, j) in seen.enumerated() {
                let dS = p[n] * (dP[n] - delta)
                let (dK, dV) = ((first + j) * columns + column(1, key), (first + j) * columns + column(2, key))
                for e in 0..<width {
                    result.dQKV[dQ + e] += scale * dS * k[j * width + e]
                    result.dQKV[dK + e] += scale * dS * q[i * width + e]
                    result.dQKV[dV + e] += p[n] * kept[n] * dO[e]
                }
                if !table.isEmpty { result.dTable[place + j] += dS }
                for e in 0..<width {
                    let c = position(j) + e
                    if !positionKeys.isEmpty {
                        result.dQKV[dQ + e] += scale * dS * Double(positionKeys[c])
                        result.dPositionKeys[c] += scale * dS * q[i * width + e]
                    }
                    if !positionQueries.isEmpty {
                        result.dQKV[dK + e] += scale * dS * Double(positionQueries[c])
                        result.dPositionQueries[c] += scale * dS * k[j * width + e]
                    }
                }
            }
        }
    }
}
