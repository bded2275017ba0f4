// The cells of an LSTM at one moment of several texts: [R] rows, one a text. Products with the weights are the caller's.
//
// Legend: R rows, H cells.

import CTuttiKernels

/// One moment of an LSTM.
package struct RecurrentMoment {
    /// [R, 4H] the products of input and hidden state before; then the gates, then the gradients of the products.
    package let gates: Matrix
    /// [R, H] the cells.
    package let cells: Matrix
    /// [R, H] the hidden state.
    package let hidden: Matrix
    /// [at least R, H] the cells of the moment before; nil at the first.
    package let before: Matrix?
    /// [4H] the bias of the input's product.
    package let bias: UnsafePointer<Float>
    /// [4H] the bias of the hidden state's product.
    package let recurrentBias: UnsafePointer<Float>

    /// A moment of some texts.
    package init(
        gates: Matrix, cells: Matrix, hidden: Matrix, before: Matrix?, bias: UnsafePointer<Float>,
        recurrentBias: UnsafePointer<Float>
    ) {
        precondition(
            gates.columns == 4 * cells.columns && hidden.columns == cells.columns && gates.rows == cells.rows
                && hidden.rows == cells.rows && (before?.rows ?? cells.rows) >= cells.rows,
            "RecurrentMoment: gates [\(gates.rows), \(gates.columns)] of cells [\(cells.rows), \(cells.columns)]")
        (self.gates, self.cells, self.hidden, self.before) = (gates, cells, hidden, before)
        (self.bias, self.recurrentBias) = (bias, recurrentBias)
    }

    /// Gates, cells and hidden state of the products.
    package func forward() {
        withCell { cell in
            Parallel.forRange(cells.rows, grain: RowKernels.grain(4 * cells.columns)) { rows in
                tutti_lstm_forward(cell, rows.kernel, Int64(cells.columns))
            }
        }
    }

    /// The gates become the gradients of the products, of dHidden [R, H] and dCells [R, H], which becomes the gradient of
    /// the cells before.
    package func backward(dHidden: Matrix, dCells: Matrix) {
        precondition(
            dHidden.rows == cells.rows && dCells.rows >= cells.rows, "RecurrentMoment: gradients of other rows")
        withCell { cell in
            Parallel.forRange(cells.rows, grain: RowKernels.grain(4 * cells.columns)) { rows in
                tutti_lstm_backward(cell, dHidden.kernel, dCells.kernel, rows.kernel, Int64(cells.columns))
            }
        }
    }

    private func withCell(_ body: (UnsafePointer<tutti_cell>) -> Void) {
        let cell = tutti_cell(
            gates: gates.kernel, cells: cells.kernel, hidden: hidden.kernel,
            before: before.map { UnsafePointer($0.pointer) }, before_stride: Int64(before?.stride ?? 0), bias: bias,
            recurrent_bias: recurrentBias)
        withUnsafePointer(to: cell, body)
    }
}
