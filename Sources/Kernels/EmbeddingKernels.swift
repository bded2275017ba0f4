// Embedding tables: gather in forward, scatter-add in backward, over packed tokens.
//
// The scatter splits columns over threads and walks the tokens in order, so repeated ids add in one fixed order.

import CTuttiKernels

/// The packed token ids of a batch, for embedding kernels.
package struct PackedTokens: @unchecked Sendable {
    /// [T] token ids.
    package var ids: UnsafePointer<Int32>
    /// [T] token types, or none: row 0 of the type table for every token.
    package var types: UnsafePointer<Int32>?
    /// [T] rows of the position table, or none: counted from its first used row.
    package var positions: UnsafePointer<Int32>?
    /// [S + 1] row offsets of the sequences.
    package var offsets: UnsafePointer<Int32>
    /// S.
    package var sequences: Int
    /// T.
    package var count: Int { Int(offsets[sequences]) }

    /// Tokens of `sequences` sequences.
    package init(
        ids: UnsafePointer<Int32>, types: UnsafePointer<Int32>? = nil, offsets: UnsafePointer<Int32>, sequences: Int
    ) {
        self.ids = ids
        self.types = types
        self.offsets = offsets
        self.sequences = sequences
    }

    /// The C form.
    func kernel(positionStart: Int, paddingID: Int = -1, paddingPosition: Int = -1) -> tutti_tokens {
        tutti_tokens(
            ids: ids, types: types, offsets: offsets, sequences: Int64(sequences), positions: positions,
            position_start: Int64(positionStart), padding_id: Int64(paddingID),
            padding_position: Int64(paddingPosition))
    }
}

/// Embedding tables, read and written by token.
package enum EmbeddingKernels {
    /// output [T, D] = (word[id] + type[type of token]) + position[row of the token], by
    /// default positionStart + its place in its sequence.
    package static func gatherEmbeddings(
        _ tokens: PackedTokens, word: UnsafePointer<Float>, position: UnsafePointer<Float>? = nil,
        positionStart: Int = 0, type: UnsafePointer<Float>? = nil, into output: Matrix
    ) {
        precondition(output.rows == tokens.count, "gatherEmbeddings: \(tokens.count) tokens into \(output.rows) rows")
        var tokens = tokens.kernel(positionStart: positionStart)
        withUnsafePointer(to: &tokens) { tokens in
            Parallel.forRange(output.rows, grain: RowKernels.grain(output.columns)) { rows in
                tutti_embedding_gather(
                    tokens, word, position, type, output.kernel, rows.kernel, Int64(output.columns))
            }
        }
    }

    /// The adjoint of `gatherEmbeddings`: table gradients accumulate. Rows `paddingID` of the word table and
    /// `paddingPosition` of the position table get none (torch's padding_idx); -1 = no such row.
    package static func scatterEmbeddings(
        _ tokens: PackedTokens, dOutput: Matrix, dWord: UnsafeMutablePointer<Float>?,
        dPosition: UnsafeMutablePointer<Float>? = nil, positionStart: Int = 0,
        dType: UnsafeMutablePointer<Float>? = nil, paddingID: Int = -1, paddingPosition: Int = -1
    ) {
        precondition(
            dOutput.rows == tokens.count, "scatterEmbeddings: \(tokens.count) tokens from \(dOutput.rows) rows")
        var tokens = tokens.kernel(
            positionStart: positionStart, paddingID: paddingID, paddingPosition: paddingPosition)
        withUnsafePointer(to: &tokens) { tokens in
            Parallel.forRange((dOutput.columns + 15) / 16, grain: 8) { blocks in
                let columns = blocks.lowerBound * 16..<min(blocks.upperBound * 16, dOutput.columns)
                tutti_embedding_scatter(
                    tokens, dOutput.kernel, dWord, dPosition, dType, columns.kernel, Int64(dOutput.columns))
            }
        }
    }
}
