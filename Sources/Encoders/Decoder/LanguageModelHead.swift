// The head of a language model: a transform, the word table as projection to the vocabulary, the cross entropy.
//
// The scores [T, V] never exist whole: the fused, tiled softmax of the contrastive losses takes the words of the table
// for candidates. Forward and backward are one call, because nothing is to be done in between.
//
// Legend: T packed tokens, D hidden, V vocabulary. Reference: BertLMPredictionHead in transformers.

import TuttiKernels

/// factor * sum of cross entropies of LayerNorm(f(h Wd^T + bd)) E^T + b.
struct LanguageModelHead: Sendable {
    let dense: Linear  // [D, D]
    let gamma: TensorSlot
    let beta: TensorSlot
    let word: TensorSlot  // [V, D]
    let bias: TensorSlot  // [V]
    let activation: Activation
    let epsilon: Float

    init(_ configuration: EncoderConfiguration, _ names: DecoderNames, _ layout: ParameterLayout) {
        dense = Linear(layout, names.head + ".transform.dense")
        gamma = TensorSlot(layout, names.head + ".transform.LayerNorm.weight")
        beta = TensorSlot(layout, names.head + ".transform.LayerNorm.bias")
        word = TensorSlot(layout, names.embeddingNames.word)
        bias = TensorSlot(layout, names.head + ".bias")
        activation = configuration.activation
        epsilon = configuration.layerNormEpsilon
    }

    /// The weighted sum of the cross entropies of `hidden` [T, D] with `labels` [T], of which -1 does not count.
    ///
    /// dHidden [T, D] is assigned the gradient, `weight` included, and those of the parameters accumulate; nil =
    /// evaluation only. `scratch` is for `layerNormBackward`.
    func crossEntropy(
        _ hidden: Matrix, labels: UnsafePointer<Int32>, factor: Double, weight: Double, dHidden: Matrix?,
        _ parameters: ParameterStore, scratch: UnsafeMutablePointer<Float>, arena: inout Arena
    ) -> Double {
        let (t, d) = (hidden.rows, hidden.columns)
        let preactivation = arena.matrix(t, d)  // [T, D], bias not yet added
        dense.multiply(hidden, parameters, into: preactivation)
        let activated = arena.matrix(t, d)  // [T, D]
        RowKernels.activation(activation, preactivation, bias: dense.bias(parameters), into: activated)
        let (mean, rstd) = (arena.floats(t), arena.floats(t))
        let normed = arena.matrix(t, d)  // [T, D]
        RowKernels.layerNorm(
            activated, gamma: parameters.pointer(gamma), beta: parameters.pointer(beta), epsilon: epsilon, mean: mean,
            rstd: rstd, into: normed)

        let dNormed = dHidden.map { _ in arena.matrix(t, d) }  // [T, D]
        dNormed?.fill(0)
        let room = arena.floats(Contrastive.scratchCount(rows: t, candidates: word.rows))
        var value = 0.0
        var first = 0
        while first < t {  // runs of rows that count: all at once, unless a text spells the padding token
            if labels[first] < 0 {
                first += 1
                continue
            }
            var end = first + 1
            while end < t, labels[end] >= 0 { end += 1 }
            value += Contrastive.softmaxCrossEntropy(
                anchors: normed.rows(first..<end), candidates: parameters.matrix(word), positives: labels + first,
                scale: 1, factor: factor, weight: weight, bias: parameters.pointer(bias),
                dAnchors: dNormed?.rows(first..<end),
                dCandidates: dNormed.map { _ in parameters.gradientMatrix(word) }, accumulateCandidates: true,
                dBias: dNormed.map { _ in parameters.gradientPointer(bias) }, scratch: room)
            first = end
        }
        guard let dHidden, let dNormed else { return value }
        if parameters.touched.watches(word) { parameters.touched.markAll() }
        RowKernels.layerNormBackward(
            dOutput: dNormed, x: activated, mean: mean, rstd: rstd, gamma: parameters.pointer(gamma), dX: dNormed,
            dGamma: parameters.gradientPointer(gamma), dBeta: parameters.gradientPointer(beta), scratch: scratch)
        RowKernels.activationBackward(
            activation, preactivation, bias: dense.bias(parameters), dOutput: dNormed, into: dNormed)
        dense.accumulateGradients(dNormed, hidden, parameters)
        dense.inputGradient(dNormed, parameters, into: dHidden)
        return value
    }
}
