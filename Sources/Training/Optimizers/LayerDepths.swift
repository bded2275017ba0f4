// How far below the top of a model a parameter is, in layers: what layer-wise decay of the learning rate counts.
//
// The top layer, and whatever comes after it, is at 0, each layer below one farther; the embeddings are one below the
// lowest layer. A layout is in the order in which backward finishes, so what has no layer of its own is above if it comes
// before them and below if it comes after.
//
// Reference: Howard & Ruder 2018, arXiv 1801.06146 (discriminative fine-tuning); Clark et al. 2020, ELECTRA.

import TuttiEncoders

/// The depth of every parameter.
struct LayerDepths {
    private var depths: [String: Int] = [:]

    init(_ layout: ParameterLayout) {
        let own = layout.all.filter { $0.owner == .model }
        let numbers = own.map { Self.layer(of: $0.name) }
        let top = numbers.compactMap { $0 }.max() ?? -1
        var hasLayers = false
        for (entry, number) in zip(own, numbers) {
            hasLayers = hasLayers || number != nil
            depths[entry.name] = number.map { top - $0 } ?? (hasLayers ? top + 1 : 0)
        }
    }

    /// decay^depth: what the learning rate of a parameter is multiplied by; 1 for those of losses.
    func factor(of entry: ParameterLayout.Entry, decay: Double) -> Double {
        (0..<(depths[entry.name] ?? 0)).reduce(1) { factor, _ in factor * decay }
    }

    /// The number behind layer, layers, block or blocks in a name; nil for what is in no layer.
    static func layer(of name: String) -> Int? {
        let parts = name.split(separator: ".")
        return zip(parts, parts.dropFirst()).lazy.compactMap { word, number in
            ["layer", "layers", "block", "blocks", "h"].contains(word) ? Int(number) : nil
        }.first
    }
}
