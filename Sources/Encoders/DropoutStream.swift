// The dropout masks of a pass (ARCHITECTURE.md, decision 5).
//
// A mask is a function of (seed, step, micro-step, slot, column, layer, site, element inside the sequence): never of the
// position in the batch, of the thread, or of the rank. Layer 0 is the embedding (and what comes after the last layer), layer l + 1 is transformer block l, and
// modules after the transformer count down from the largest number.

import TuttiKernels

/// The coordinates of a training pass in the random number space.
package struct DropoutStream: Sendable, Equatable {
    /// Seed of the run.
    package var seed: UInt64
    /// Optimizer step.
    package var step: UInt64
    /// Micro-batch inside the step.
    package var microStep: UInt32

    /// The stream of one micro-batch.
    package init(seed: UInt64, step: UInt64, microStep: UInt32 = 0) {
        self.seed = seed
        self.step = step
        self.microStep = microStep
    }
}

/// The dropout sites inside a layer, in the order of transformers' modules.
enum DropoutSite: UInt32 {
    case attentionProbabilities = 0
    case attentionOutput = 1
    case feedForwardOutput = 2
    /// What the output projection of a feed-forward branch reads.
    case feedForwardInner = 3

    /// Sites of a layer.
    static let count = 4
    /// The sites of layer 0: the embedding, and the output of the last layer.
    static let embedding = DropoutSite.attentionProbabilities
    static let lastOutput = DropoutSite.attentionOutput
    /// The noise of token embeddings, at layer 0 too.
    static let embeddingNoise = DropoutSite.feedForwardOutput
    /// The convolution of the embedding, at layer 0 too.
    static let convolution = DropoutSite.feedForwardInner
    /// The site of a table that belongs to no sequence.
    static let table = DropoutSite.attentionProbabilities
}

/// The site keys of one pass: [layers + 1, sites, S], in the arena of the pass.
struct DropoutKeys {
    /// [S] keys of the sequences.
    let sequenceKeys: UnsafeMutablePointer<UInt64>
    private let siteKeys: UnsafeMutablePointer<UInt64>
    /// [layers + 1] keys of tables' rows.
    let tableKeys: UnsafeMutablePointer<UInt64>
    private let sequences: Int
    private let offsets: UnsafePointer<Int32>

    /// Derives every key of a pass over `batch`.
    init(
        _ stream: DropoutStream, batch: PackedBatch, offsets: UnsafePointer<Int32>, layers: Int, arena: inout Arena
    ) {
        sequences = batch.sequenceCount
        self.offsets = offsets
        sequenceKeys = arena.uint64s(sequences)
        siteKeys = arena.uint64s((layers + 1) * DropoutSite.count * sequences)
        for s in 0..<sequences {
            sequenceKeys[s] = Dropout.sequenceKey(
                seed: stream.seed, step: stream.step, microStep: stream.microStep, slot: batch.slots[s],
                column: batch.columns[s])
        }
        tableKeys = arena.uint64s(layers + 1)
        let tables = Dropout.sequenceKey(
            seed: stream.seed, step: stream.step, microStep: stream.microStep, slot: .max, column: .max)
        for layer in 0...layers {
            tableKeys[layer] = Dropout.siteKey(tables, layer: UInt32(layer), site: DropoutSite.table.rawValue)
            for site in 0..<DropoutSite.count {
                Dropout.siteKeys(
                    of: sequenceKeys, count: sequences, layer: UInt32(layer), site: UInt32(site),
                    into: siteKeys + (layer * DropoutSite.count + site) * sequences)
            }
        }
    }

    /// The mask of a table's rows in a layer, or none at rate zero: the same for all sequences of a step.
    func tableMask(layer: Int, rate: Float, offsets: UnsafePointer<Int32>) -> DropoutMask? {
        rate > 0 ? DropoutMask(rate: rate, keys: tableKeys + layer, offsets: offsets, sequences: 1) : nil
    }

    /// The mask of a site, or none at rate zero.
    func mask(layer: Int, _ site: DropoutSite, rate: Float) -> DropoutMask? {
        guard rate > 0 else { return nil }
        let keys = siteKeys + (layer * DropoutSite.count + Int(site.rawValue)) * sequences
        return DropoutMask(rate: rate, keys: keys, offsets: offsets, sequences: sequences)
    }
}
