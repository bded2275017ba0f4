// Which layers of a model see a window of tokens only, by the keys of config.json.

import TuttiGround
import TuttiKernels

/// A layer's kind by its name in layer_types.
enum LayerKind: String, OptionChoice {
    case full = "full_attention"
    case sliding = "sliding_attention"

    static let synonyms: [String: LayerKind] = [:]
}

extension [LayerKind] {
    /// Refuses another number of kinds than of layers.
    func check(layers: Int) throws(TuttiError) {
        guard count != layers else { return }
        throw planError("layer_types", "names \(count) layers, where num_hidden_layers is \(layers)")
    }
}
