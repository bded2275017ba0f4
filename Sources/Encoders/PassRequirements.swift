// What a pass of a SequenceEncoder needs of its batch, its taps and its result.

import TuttiKernels

extension SequenceEncoder {
    /// Stops the program where the caller asks for what cannot be computed.
    func requireFits(_ batch: PackedBatch, _ taps: [Int], _ result: Matrix) {
        var isAscending = !taps.isEmpty
        for place in taps.indices {
            let isAbove = place == 0 || taps[place] > taps[place - 1]
            isAscending = isAscending && isAbove && taps[place] >= 0 && taps[place] <= layerCount
        }
        precondition(!worksOnTokens || taps == lastLayer, "SequenceEncoder: taps \(taps) below modules over tokens")
        precondition(isAscending, "SequenceEncoder: taps \(taps) are not ascending layers 0 ... \(layerCount)")
        precondition(
            batch.longest <= longestSequence,
            "SequenceEncoder: a sequence of \(batch.longest) tokens, but positions end at \(longestSequence)")
        precondition(
            result.rows == taps.count * batch.sequenceCount && result.columns == outputWidth,
            "SequenceEncoder: \(taps.count) taps of \(batch.sequenceCount) sequences of width \(outputWidth)"
                + " into [\(result.rows), \(result.columns)]")
        for id in batch.ids {
            precondition(
                id >= 0 && Int(id) < plan.vocabularySize,
                "SequenceEncoder: token \(id) outside a vocabulary of \(plan.vocabularySize)")
        }
    }
}
