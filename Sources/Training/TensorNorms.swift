// The norm of the summed gradient of every tensor, for reports that show where a model moves.
//
// Taken after a step from what the exchange has summed: each rank squares the chunks that it sums itself. Where several
// ranks have summed the same chunk, it counts once for each, and is divided by their number.

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels

/// Takes the norms of the gradients of a run.
struct TensorNorms {
    let memory: TrainingMemory

    /// The norms of the last step's gradients before clipping, of the model's own tensors in the order of its layout,
    /// which is that of backward reversed. After a step, before the next one clears the gradients. Collective.
    func measure(_ ensemble: any Ensemble) throws -> [(tensor: String, norm: Double)] {
        let parameters = memory.parameters
        let entries = parameters.layout.entries.filter { $0.owner == .model }
        let chunks = ArenaChunks(parameters.layout)
        var isOwn = [Bool](repeating: false, count: chunks.count)
        for chunk in memory.exchange.placement.shard { isOwn[chunk.lowerBound / OptimizerKernels.chunk] = true }
        // Sums of squares, then floats that were squared.
        var sums = [Double](repeating: 0, count: 2 * entries.count)
        for (place, entry) in entries.enumerated() where !entry.range.isEmpty {
            let last = (entry.range.upperBound - 1) / OptimizerKernels.chunk
            for chunk in entry.range.lowerBound / OptimizerKernels.chunk...last where isOwn[chunk] {
                let part = chunks.range(chunk).clamped(to: entry.range)
                sums[entries.count + place] += Double(part.count)
                sums[place] += OptimizerKernels.sumOfSquares { add in
                    parameters.touched.forEachStretch(in: part) {
                        add(UnsafeBufferPointer(rebasing: parameters.gradients[$0]))
                    }
                }
            }
        }
        try sums.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
        return entries.indices.reversed().map { place in
            let copies = sums[entries.count + place] / Double(max(1, entries[place].range.count))
            return (entries[place].name, (sums[place] / max(1, copies)).squareRoot())
        }
    }
}
