// The norms of gradients, gathered by the layers of a model.

/// A layer's tensors and the norms of their gradients.
struct LayerNorms: Equatable {
    /// "encoder.layer.3"; the first word of the name for tensors outside of numbered layers.
    let layer: String
    /// One a tensor.
    private(set) var norms: [Double]

    /// The layers of `tensors`, in the order of their first tensors.
    static func of(_ tensors: [(tensor: String, norm: Double)]) -> [LayerNorms] {
        var layers: [LayerNorms] = []
        var places: [String: Int] = [:]
        for (tensor, norm) in tensors {
            let name = layer(of: tensor)
            if let place = places[name] {
                layers[place].norms.append(norm)
            } else {
                places[name] = layers.count
                layers.append(LayerNorms(layer: name, norms: [norm]))
            }
        }
        return layers
    }

    /// The name of a tensor up to its first number.
    private static func layer(of tensor: String) -> String {
        let words = tensor.split(separator: ".")
        let last = words.firstIndex { Int($0) != nil } ?? 0
        return words[...last].joined(separator: ".")
    }

    /// The norm of the whole layer.
    var norm: Double { norms.reduce(0) { $0 + $1 * $1 }.squareRoot() }
}
