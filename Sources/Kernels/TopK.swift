// The top k of each row of scores, merged block by block.

import CTuttiKernels

/// Per-row top-k with deterministic ties (lower index first).
package enum TopK {
    /// Prepares values and indices [rows, k] for merging: -infinity and -1.
    package static func clear(
        values: UnsafeMutablePointer<Float>, indices: UnsafeMutablePointer<Int32>, rows: Int, k: Int
    ) {
        values.update(repeating: -.infinity, count: rows * k)
        indices.update(repeating: -1, count: rows * k)
    }

    /// Merges a block of scores, whose column c is candidate `first` + c, into each row's best k, kept in descending
    /// order. NaN scores are never chosen; unfilled slots keep index -1.
    package static func merge(
        _ scores: Matrix, first: Int, values: UnsafeMutablePointer<Float>, indices: UnsafeMutablePointer<Int32>, k: Int
    ) {
        precondition(k >= 1, "TopK: k = \(k)")
        Parallel.forRange(scores.rows, grain: RowKernels.grain(scores.columns)) { rows in
            tutti_topk_merge(
                scores.kernel, Int64(scores.columns), Int64(first), values, indices, Int64(k), rows.kernel)
        }
    }
}
