// The memory of one process that trains with AdamW, before it is taken: `tutti inspect`, `tutti init`.

import TuttiEncoders
import TuttiGround

/// Bytes that training takes, in batches of texts of one length.
struct TrainingBytes {
    let texts: Int
    let tokens: Int
    /// Values that are trained; gradients take as much, the optimizer's state twice as much.
    let arena: Int
    /// Values that are not.
    let frozen: Int
    /// What is kept between forward and backward, of one text and of all.
    let activationsOfOne, activations: Int

    /// Measures activations by laying out one and two texts: they are linear in the number of texts of one length.
    /// Of several routes, those of the one that costs most.
    init(_ encoder: RoutedEncoder, texts: Int, tokens: Int) {
        let costs = encoder.plans.map(\.plan.denseParameters)
        let route = costs.firstIndex(of: costs.max() ?? 0) ?? 0
        func activations(_ texts: Int) -> Int {
            var batch = PackedBatch()
            for slot in 0..<texts {
                batch.append(repeatElement(0, count: tokens), slot: UInt64(slot), route: route)
            }
            return encoder.compute.run { encoder.activationBytes(of: batch) }
        }
        let (one, two) = (activations(1), activations(2))
        (self.texts, self.tokens) = (texts, tokens)
        activationsOfOne = two - one
        self.activations = one + (two - one) * (texts - 1)
        arena = encoder.layout.count * MemoryLayout<Float>.stride
        frozen = encoder.layout.frozenCount * MemoryLayout<Float>.stride
    }

    /// Values, gradients, state and activations.
    var total: Int { frozen + 4 * arena + activations }

    /// The same by name.
    var json: JSONObject {
        let bytes = [
            ("values", frozen + arena), ("gradients", arena), ("optimizer_state", 2 * arena),
            ("activations", activations),
            ("total", total),
        ]
        var facts: JSONObject = ["batch": .integer(Int64(texts)), "tokens_a_text": .integer(Int64(tokens))]
        for (name, count) in bytes { facts[name + "_bytes"] = .integer(Int64(count)) }
        return facts
    }
}
