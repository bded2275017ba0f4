// WordWeights: every token vector times a trained weight of its word, such as its inverse document frequency. Means over
// tokens then divide by the sum of the weights, as the reference's Pooling does.
//
// Legend: T packed tokens, S sequences, D width, V words.

import TuttiKernels

/// The settings of WordWeights.
package struct WordWeightsPlan: Sendable, Equatable {
    /// The module's folder.
    package let name: String
    /// [V] the words.
    package let vocabulary: [String]
    /// [V] their weights at the start.
    package let weights: [Float]
    /// The weight of words that were given none.
    package let unknownWeight: Double

    /// Weights of the words of a vocabulary.
    package init(name: String, vocabulary: [String], weights: [Float], unknownWeight: Double) {
        precondition(vocabulary.count == weights.count, "WordWeights: \(weights.count) weights of \(vocabulary.count)")
        self.name = name
        self.vocabulary = vocabulary
        self.weights = weights
        self.unknownWeight = unknownWeight
    }

    /// The name of its only tensor.
    package static let table = "emb_layer.weight"

    /// Its tensors.
    package var tensors: [TensorSpecification] { [.init("\(name).\(Self.table)", [vocabulary.count, 1])] }
}

/// The weights, resolved.
struct WordWeights: Sendable {
    private let table: TensorSlot  // [V, 1]

    init(_ plan: WordWeightsPlan, _ layout: ParameterLayout) { table = TensorSlot(layout, plan.tensors[0].name) }

    /// output [T, D] = input, each row times its word's weight; sums [S] = the weights of each sequence.
    func forward(
        _ input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, sums: UnsafeMutablePointer<Float>,
        into output: Matrix
    ) {
        let weights = parameters.pointer(table)
        Parallel.forRange(pass.sequences, grain: 4) { sequences in
            for s in sequences {
                sums[s] = 0
                for t in Int(pass.tokens.offsets[s])..<Int(pass.tokens.offsets[s + 1]) {
                    let weight = weights[Int(pass.tokens.ids[t])]
                    sums[s] += weight
                    let (from, to) = (input.row(t), output.row(t))
                    for column in 0..<input.columns { to[column] = weight * from[column] }
                }
            }
        }
    }

    /// The gradient of the input, in place of that of the output; those of the weights accumulate, of the products and
    /// of the sums [S].
    func backward(
        _ input: Matrix, _ pass: PassContext, _ parameters: ParameterStore, dSums: UnsafePointer<Float>,
        inPlace gradient: Matrix
    ) {
        let (weights, dWeights) = (parameters.pointer(table), parameters.gradientPointer(table))
        for s in 0..<pass.sequences {
            for t in Int(pass.tokens.offsets[s])..<Int(pass.tokens.offsets[s + 1]) {
                let (word, from, to) = (Int(pass.tokens.ids[t]), input.row(t), gradient.row(t))
                var product = 0.0
                for column in 0..<input.columns { product += Double(from[column]) * Double(to[column]) }
                dWeights?[word] += Float(product + Double(dSums[s]))
                let weight = weights[word]
                for column in 0..<input.columns { to[column] *= weight }
            }
        }
    }
}
