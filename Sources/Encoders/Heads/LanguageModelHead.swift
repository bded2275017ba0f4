// The head of a language model: a transform, the word table as projection to the vocabulary, the cross entropy.
//
// The scores [T, V] are never stored in full: the fused, tiled softmax of the contrastive losses uses the words of the
// table as candidates. Forward and backward are one call, because nothing happens in between.
//
// Legend: T packed tokens, D hidden, V vocabulary. Reference: BertLMPredictionHead in transformers.

import TuttiKernels

/// The plan of a language model head.
struct LanguageModelHeadPlan: Sendable, Equatable {
    /// [D, D]
    let dense: LinearPlan
    let norm: NormPlan
    let activation: Activation
    /// The table [V, D] that projects to the vocabulary: the embedding's.
    let word: String
    /// [V]
    let bias: String
    let vocabularySize: Int

    /// Its own tensors, in the order in which backward finishes them.
    var tensors: [TensorSpecification] { [.init(bias, [vocabularySize])] + norm.tensors + dense.tensors }
}

/// factor * sum of cross entropies of LayerNorm(f(h Wd^T + bd)) E^T + b.
struct LanguageModelHead: Sendable {
    private let dense: Linear  // [D, D]
    private let norm: Norm
    private let word: TensorSlot  // [V, D]
    private let bias: TensorSlot  // [V]
    private let activation: Activation

    init(_ plan: LanguageModelHeadPlan, _ layout: ParameterLayout) {
        dense = Linear(plan.dense, layout)
        norm = Norm(plan.norm, layout)
        word = TensorSlot(layout, plan.word)
        bias = TensorSlot(layout, plan.bias)
        activation = plan.activation
    }

    /// The weighted sum of the cross entropies of `hidden` [T, D] with `labels` [T]; -1 is ignored.
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
        let saved = Norm.Saved(rows: t, arena: &arena)
        let normed = arena.matrix(t, d)  // [T, D]
        norm.forward(activated, parameters, saved: saved, into: normed)

        let dNormed = dHidden.map { _ in arena.matrix(t, d) }  // [T, D]
        dNormed?.fill(0)
        let room = arena.floats(Contrastive.scratchCount(rows: t, candidates: word.rows))
        var value = 0.0
        var first = 0
        while first < t {  // runs of rows that count: all at once, unless a text contains the padding token
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
                dCandidates: dNormed.flatMap { _ in parameters.gradientMatrix(word) }, accumulateCandidates: true,
                dBias: dNormed.flatMap { _ in parameters.gradientPointer(bias) }, scratch: room)
            first = end
        }
        guard let dHidden, let dNormed else { return value }
        if parameters.touched.watches(word) { parameters.touched.markAll() }
        norm.backward(activated, parameters, saved: saved, inPlace: dNormed, scratch: scratch)
        RowKernels.activationBackward(
            activation, preactivation, bias: dense.bias(parameters), dOutput: dNormed, into: dNormed)
        dense.accumulateGradients(dNormed, hidden, parameters)
        dense.inputGradient(dNormed, parameters, into: dHidden)
        return value
    }
}
