// The modules between a model's token vectors and their pooling, as listed in a model folder: [T, D] -> [T, D'].
//
// Their tensors are `<folder>.<name>`, with the reference's names. Texts are packed, so no module sees padding: a text's
// vectors do not depend on the other texts of its batch.
//
// Reference: sentence_transformers/sentence_transformer/modules/{word_weights,cnn,lstm,weighted_layer_pooling}.py.

import TuttiGround

/// A module that makes token vectors of token vectors.
package enum TokenModulePlan: Sendable, Equatable {
    /// Every vector times a weight of its word.
    case wordWeights(WordWeightsPlan)
    /// Convolutions over neighbouring tokens, side by side.
    case convolution(ConvolutionPlan)
    /// An LSTM in one direction or both.
    case recurrence(RecurrencePlan)
    /// The weighted mean of a token's vectors in several layers.
    case layerMixture(LayerMixturePlan)

    /// The module's folder.
    package var name: String {
        switch self {
        case .wordWeights(let plan): plan.name
        case .convolution(let plan): plan.name
        case .recurrence(let plan): plan.name
        case .layerMixture(let plan): plan.name
        }
    }

    /// Its tensors.
    package var tensors: [TensorSpecification] {
        switch self {
        case .wordWeights(let plan): plan.tensors
        case .convolution(let plan): plan.tensors
        case .recurrence(let plan): plan.tensors
        case .layerMixture(let plan): plan.tensors
        }
    }

    /// D' for a D.
    package func outputWidth(from width: Int) -> Int {
        switch self {
        case .wordWeights, .layerMixture: width
        case .convolution(let plan): plan.outputWidth
        case .recurrence(let plan): plan.outputWidth
        }
    }

    /// Refuses token vectors of another width than the module's.
    func check(width: Int) throws(TuttiError) {
        let (key, own): (String, Int) =
            switch self {
            case .wordWeights: ("", width)
            case .convolution(let plan): ("in_embedding_dimension", plan.inputWidth)
            case .recurrence(let plan): ("embedding_dimension", plan.inputWidth)
            case .layerMixture(let plan): ("embedding_dimension", plan.width)
            }
        guard own == width else {
            throw planError("\(name).\(key)", "is \(own), but the previous module outputs \(width)")
        }
    }
}
