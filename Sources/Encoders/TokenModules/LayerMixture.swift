// WeightedLayerPooling: a token's vector is the weighted mean of its vectors in the upper layers, with trained weights.
//
// The sum is formed layer by layer as they are computed, so that evaluation keeps one matrix only.
//
// Legend: T packed tokens, D hidden, n layers that count; layer 0 is the embedding.

import TuttiKernels

/// The settings of WeightedLayerPooling.
package struct LayerMixturePlan: Sendable, Equatable {
    /// The module's folder.
    package let name: String
    /// D.
    package let width: Int
    /// The lowest layer that counts.
    package let start: Int
    /// The highest.
    package let layers: Int

    /// The mean of the layers `start` ... `layers`.
    package init(name: String, width: Int, start: Int, layers: Int) {
        precondition((0...layers).contains(start), "WeightedLayerPooling: layers \(start) to \(layers)")
        (self.name, self.width, self.start, self.layers) = (name, width, start, layers)
    }

    /// Its tensors.
    package var tensors: [TensorSpecification] { [.init("\(name).layer_weights", [layers + 1 - start])] }
}

/// The weights, resolved.
struct LayerMixture: Sendable {
    private let plan: LayerMixturePlan
    private let weights: TensorSlot  // [n]

    init(_ plan: LayerMixturePlan, _ layout: ParameterLayout) {
        self.plan = plan
        weights = TensorSlot(layout, plan.tensors[0].name)
    }

    /// The share of `layer` in the mean; nil below the lowest that counts.
    private func share(of layer: Int, _ parameters: ParameterStore) -> Float? {
        layer < plan.start ? nil : Float(Double(parameters.pointer(weights)[layer - plan.start]) / total(parameters))
    }

    private func total(_ parameters: ParameterStore) -> Double {
        (0..<plan.layers + 1 - plan.start).reduce(0) { $0 + Double(parameters.pointer(weights)[$1]) }
    }

    /// mixed [T, D] += the share of `output`, the vectors of `layer`.
    func add(_ output: Matrix, layer: Int, _ parameters: ParameterStore, to mixed: Matrix) {
        guard let share = share(of: layer, parameters) else { return }
        accumulate(output, share, into: mixed)
    }

    /// gradient [T, D] of the vectors of `layer` += the share of dMixed.
    func addGradient(_ dMixed: Matrix, layer: Int, _ parameters: ParameterStore, to gradient: Matrix) {
        guard let share = share(of: layer, parameters) else { return }
        accumulate(dMixed, share, into: gradient)
    }

    /// The gradients of the weights accumulate: of w_l, the products of dMixed with the vectors of layer l less the mean,
    /// over the sum of the weights.
    func backward(_ outputs: [Matrix], mixed: Matrix, _ parameters: ParameterStore, dMixed: Matrix) {
        guard let gradient = parameters.gradientPointer(weights) else { return }
        let total = total(parameters)
        for layer in plan.start...plan.layers {
            var sum = 0.0
            for t in 0..<mixed.rows {
                let (own, mean, d) = (outputs[layer].row(t), mixed.row(t), dMixed.row(t))
                for column in 0..<mixed.columns { sum += Double(d[column]) * Double(own[column] - mean[column]) }
            }
            gradient[layer - plan.start] += Float(sum / total)
        }
    }

    private func accumulate(_ x: Matrix, _ factor: Float, into y: Matrix) {
        Parallel.forRange(x.rows, grain: 16) { rows in
            for t in rows {
                let (from, to) = (x.row(t), y.row(t))
                for column in 0..<x.columns { to[column] += factor * from[column] }
            }
        }
    }
}
