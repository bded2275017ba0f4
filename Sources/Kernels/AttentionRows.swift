// What attention is given: the keys that a token sees, the rows of queries, keys and values, and tables of disentangled
// positions.
//
// Legend: T packed tokens, H query heads, K heads of keys and values, E head width, P rows of a table of positions.

import CTuttiKernels

/// The keys that a token attends to: those of its sequence from `before` tokens before it to `after` tokens after it.
package struct AttentionSpan: Sendable, Equatable {
    /// Tokens before.
    package var before: Int
    /// Tokens after.
    package var after: Int

    private static let unlimited = Int(Int32.max)

    /// All tokens.
    package static let full = AttentionSpan(before: unlimited, after: unlimited)
    /// Itself and all tokens before it.
    package static let causal = AttentionSpan(before: unlimited, after: 0)

    /// The tokens up to `reach` away, on both sides.
    package static func window(reach: Int) -> AttentionSpan { AttentionSpan(before: reach, after: reach) }

    /// Itself and the tokens before it, `keys` together.
    package static func causalWindow(keys: Int) -> AttentionSpan { AttentionSpan(before: keys - 1, after: 0) }

    /// Pairs of a token and a key that it sees, in a sequence of `length` tokens.
    package func pairs(length: Int) -> Int {
        let (before, after) = (min(before, length - 1), min(after, length - 1))
        if length <= 0 { return 0 }
        return length * (before + after + 1) - before * (before + 1) / 2 - after * (after + 1) / 2
    }
}

/// Queries, keys and values, or their gradients; each may be columns of a wider matrix.
package struct AttentionRows: Sendable {
    /// [T, H E]
    package var q: Matrix
    /// [T, K E]
    package var k: Matrix
    /// [T, K E]
    package var v: Matrix
    /// Columns from one head to the next: E, more if q, k and v alternate by head.
    package var step: Int

    /// q, k and v, whose heads follow one another.
    package init(q: Matrix, k: Matrix, v: Matrix, step: Int) {
        (self.q, self.k, self.v, self.step) = (q, k, v, step)
    }

    /// The columns of qkv [T, 3 H E], where query, key and value of a head are neighbours.
    package init(byHead qkv: Matrix, width: Int) {
        precondition(qkv.columns % (3 * width) == 0, "Attention: \(qkv.columns) columns for heads of 3 * \(width)")
        func part(_ first: Int) -> Matrix { qkv.columns(first * width..<qkv.columns - (2 - first) * width) }
        self.init(q: part(0), k: part(1), v: part(2), step: 3 * width)
    }

    /// The columns of qkv [T, (H + 2 K) E]: queries, then keys, then values.
    package init(_ qkv: Matrix, heads: Int, keyHeads: Int, width: Int) {
        let (queries, keys) = (heads * width, keyHeads * width)
        precondition(
            qkv.columns == queries + 2 * keys,
            "Attention: \(qkv.columns) columns for \(heads) + 2 * \(keyHeads) heads of \(width)")
        q = qkv.columns(0..<queries)
        k = qkv.columns(queries..<queries + keys)
        v = qkv.columns(queries + keys..<queries + 2 * keys)
        step = width
    }
}

/// Disentangled positions (DeBERTa): the score of (i, j) also gets scale * (q_i . K_c + k_j . Q_c), where c is the row of
/// the distance i - j.
package struct AttentionRelatives: @unchecked Sendable {
    /// [P, H E] the projected table K of positions that queries read, or nil.
    package var keys: Matrix?
    /// [P, H E] the projected table Q of positions that keys read, or nil.
    package var queries: Matrix?
    /// [2 M - 1] the row of the distance i - j at i - j + M - 1; rows ascend.
    package var rows: UnsafePointer<Int32>
    /// M, at least the longest length.
    package var maximum: Int

    package init(keys: Matrix?, queries: Matrix?, rows: UnsafePointer<Int32>, maximum: Int) {
        (self.keys, self.queries, self.rows, self.maximum) = (keys, queries, rows, maximum)
    }

    /// P.
    var count: Int { keys?.rows ?? queries?.rows ?? 0 }

    /// The C form, with the gradients of both tables if there is a backward.
    func kernel(_ gradient: AttentionRelatives?) -> tutti_relative {
        func rows(_ matrix: Matrix?) -> tutti_optional_rows {
            tutti_optional_rows(at: matrix?.pointer, stride: Int64(matrix?.stride ?? 0))
        }
        return tutti_relative(
            keys: rows(keys), queries: rows(queries), dkeys: rows(gradient?.keys), dqueries: rows(gradient?.queries),
            rows: self.rows, maximum: Int64(maximum))
    }
}
