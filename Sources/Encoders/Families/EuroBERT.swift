// EuroBERT: Llama's layers with attention in both directions.
//
// Reference: Boizard et al. 2025, arXiv 2503.05500; transformers/models/eurobert/modeling_eurobert.py.

import TuttiGround
import TuttiKernels

/// The settings of model_type "eurobert".
package struct EuroBERT: EncoderFamily, Equatable {
    package static let modelTypes = ["eurobert"]
    package static let checkpointPrefixes = ["model."]
    package static let encoderClasses = ["eurobert": "EuroBertModel"]
    package static let options = OptionList<EuroBERT>(Llama.options.lifted(to: \.llama))

    /// What it shares with Llama.
    package var llama = Llama()

    package init() {
        llama.isCausal = false
        llama.shape.epsilon = 1e-5
    }

    package var sizes: FamilySizes { llama.sizes }

    package func plan() throws(TuttiError) -> EncoderPlan {
        try checkOptions()
        return try llama.plan()
    }
}
