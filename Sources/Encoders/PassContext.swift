// What every part of a model reads from one pass: the packed tokens, dropout keys, score biases. Its memory is the
// arena of the pass.

import TuttiKernels

/// One forward (and its backward) over one packed batch.
struct PassContext {
    /// Ids and offsets, copied so that backward does not depend on the caller's batch.
    let tokens: PackedTokens
    /// [S] prompt tokens.
    let promptTokens: UnsafePointer<Int32>
    /// T.
    let tokenCount: Int
    /// S.
    let sequences: Int
    /// Tokens of the longest sequence.
    let longest: Int
    /// Masks of a training pass; none at inference.
    let dropout: DropoutKeys?
    /// [kinds H, 2 longest - 1] biases of the scores of every kind, or none.
    var positions: Matrix?
    /// Their gradient, accumulated by all layers.
    var dPositions: Matrix?
    /// Of every rotation: [at least longest, R] cosines and sines.
    var angles: [[Float]] = []
    /// The table of disentangled positions, or none.
    var disentangled: DisentangledRows?
    /// The convolution of the embedding, or none.
    var convolved: EmbeddingConvolution.Saved?
    /// The memory of cross-attentions.
    var memory: CrossAttention.Memory?
    /// The weights of the words, where they have some.
    var weightSums: WeightSums?

    /// Copies `batch` into the arena and derives the dropout keys.
    init(_ batch: PackedBatch, dropout stream: DropoutStream?, layers: Int, arena: inout Arena) {
        tokenCount = batch.tokenCount
        sequences = batch.sequenceCount
        longest = batch.longest
        let ids = arena.int32s(tokenCount)
        let offsets = arena.int32s(sequences + 1)
        let prompts = arena.int32s(sequences)
        batch.ids.withUnsafeBufferPointer { if let base = $0.baseAddress { ids.update(from: base, count: $0.count) } }
        batch.offsets.withUnsafeBufferPointer {
            if let base = $0.baseAddress { offsets.update(from: base, count: $0.count) }
        }
        batch.promptTokens.withUnsafeBufferPointer {
            if let base = $0.baseAddress { prompts.update(from: base, count: $0.count) }
        }
        tokens = PackedTokens(ids: ids, offsets: offsets, sequences: sequences)
        promptTokens = UnsafePointer(prompts)
        if let stream {
            dropout = DropoutKeys(stream, batch: batch, offsets: offsets, layers: layers, arena: &arena)
        } else {
            dropout = nil
        }
    }

    /// The mask of one site, or none.
    func mask(layer: Int, _ site: DropoutSite, rate: Float) -> DropoutMask? {
        dropout?.mask(layer: layer, site, rate: rate)
    }

    /// What adapters in a layer draw for the tokens, or nothing.
    func draw(layer: Int) -> AdapterDraw? {
        dropout.map { AdapterDraw(keys: $0.sequenceKeys, offsets: tokens.offsets, sequences: sequences, layer: layer) }
    }

    /// What adapters in a layer draw for the rows of a table, or nothing.
    func tableDraw(layer: Int, offsets: UnsafePointer<Int32>) -> AdapterDraw? {
        dropout.map { AdapterDraw(keys: $0.tableKeys + layer, offsets: offsets, sequences: 1, layer: layer) }
    }

    /// The mask of a table's rows in a layer, which belongs to no sequence, or none.
    func tableMask(layer: Int, rate: Float, offsets: UnsafePointer<Int32>) -> DropoutMask? {
        dropout?.tableMask(layer: layer, rate: rate, offsets: offsets)
    }
}
