// MPNet's relative-position biases: distance -> bucket -> one number a head, added to the attention scores of all blocks.
//
// Distances up to 7 have a bucket each, farther ones share buckets that grow with the logarithm up to 128, apart for
// either direction. In transformers: 8 + floor(8 ln(n / 8) / ln 16) = 2 + floor(log2 n^2), exact in integers.
//
// Legend: H heads, L longest sequence of the batch. Tables over distances are [H, 2 L - 1], distance j - i at j - i + L - 1.

import TuttiKernels

/// The shared table [buckets, H] and its expansion over the distances of a batch.
struct RelativePositions: Sendable {
    /// Buckets of the rule, both directions together.
    static let buckets = 32

    let table: TensorSlot
    let heads: Int

    /// The bucket of a distance (key position - query position).
    static func bucket(_ distance: Int) -> Int {
        let n = abs(distance)
        let first = distance > 0 ? buckets / 2 : 0
        if n < 8 { return first + n }
        let floorLog2 = Int.bitWidth - 1 - (n * n).leadingZeroBitCount
        return first + min(buckets / 2 - 1, 2 + floorLog2)
    }

    /// distances [H, 2 longest - 1] = table[bucket of the distance, head].
    func expand(_ parameters: ParameterStore, longest: Int, into distances: Matrix) {
        let table = parameters.matrix(table)
        for place in 0..<distances.columns {
            let bucket = Self.bucket(place - (longest - 1))
            for head in 0..<heads { distances[head, place] = table[bucket, head] }
        }
    }

    /// dTable += gradients of the distances, folded into their buckets.
    func accumulate(_ dDistances: Matrix, longest: Int, _ parameters: ParameterStore) {
        let dTable = parameters.gradientMatrix(table)
        for place in 0..<dDistances.columns {
            let bucket = Self.bucket(place - (longest - 1))
            for head in 0..<heads { dTable[bucket, head] += dDistances[head, place] }
        }
    }
}
