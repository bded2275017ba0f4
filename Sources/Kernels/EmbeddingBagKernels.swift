// Embedding bags over packed tokens: [T] ids to [S, D] means of table rows, and back.
//
// Backward splits columns over threads and walks the tokens in order, so repeated ids add in one fixed order.

import CTuttiKernels

/// The mean of the rows of a table that a sequence's tokens select.
package enum EmbeddingBagKernels {
    /// output [S, D] = the mean of table[id] over each sequence; zero for a sequence without tokens.
    package static func forward(_ tokens: PackedTokens, table: UnsafePointer<Float>, into output: Matrix) {
        precondition(
            output.rows == tokens.sequences, "EmbeddingBag: \(tokens.sequences) sequences into \(output.rows) rows")
        let kernel = tokens.kernel(positionStart: 0)
        withUnsafePointer(to: kernel) { tokens in
            Parallel.forRange(output.rows, grain: 4) { sequences in
                tutti_bag_forward(tokens, table, output.kernel, sequences.kernel, Int64(output.columns))
            }
        }
    }

    /// The adjoint of `forward`: the table's gradient accumulates.
    package static func backward(_ tokens: PackedTokens, dOutput: Matrix, dTable: UnsafeMutablePointer<Float>) {
        precondition(
            dOutput.rows == tokens.sequences, "EmbeddingBag: \(tokens.sequences) sequences from \(dOutput.rows) rows")
        let kernel = tokens.kernel(positionStart: 0)
        withUnsafePointer(to: kernel) { tokens in
            Parallel.forRange((dOutput.columns + 15) / 16, grain: 4) { blocks in
                let columns = blocks.lowerBound * 16..<min(blocks.upperBound * 16, dOutput.columns)
                tutti_bag_backward(tokens, dOutput.kernel, dTable, columns.kernel, Int64(dOutput.columns))
            }
        }
    }
}
