// Pooling in all modes of sentence-transformers, several at once side by side: [T, D] -> [S, modes * D].

import TuttiKernels

/// The pooling module.
struct PoolingHead: Sendable {
    let modes: [PoolingMode]
    let includePrompt: Bool

    /// pooled [S, modes * D] of hidden [T, D].
    func forward(_ hidden: Matrix, _ pass: PassContext, into pooled: Matrix) {
        for place in modes.indices {
            Pooling.forward(
                modes[place], hidden, offsets: pass.tokens.offsets, skip: skip(pass),
                into: pooled.columns(place * hidden.columns..<(place + 1) * hidden.columns))
        }
    }

    /// stream [T, D] += the adjoint of `forward`.
    func backward(_ hidden: Matrix, _ pass: PassContext, dPooled: Matrix, stream: Matrix) {
        for place in modes.indices {
            Pooling.backward(
                modes[place], hidden, offsets: pass.tokens.offsets, skip: skip(pass),
                dOutput: dPooled.columns(place * hidden.columns..<(place + 1) * hidden.columns), into: stream)
        }
    }

    private func skip(_ pass: PassContext) -> UnsafePointer<Int32>? { includePrompt ? nil : pass.promptTokens }
}
