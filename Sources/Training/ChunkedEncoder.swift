// Encodes a batch in one piece, or in chunks (GradCache): every loss works in chunks, because a loss sees nothing but
// embeddings.
//
// In chunks, the batch is encoded once without keeping activations; the loss gives the gradient of all embeddings; then
// each chunk is encoded again, keeping activations, and back-propagated. Dropout is a function of the text's place in
// the global batch, so the second pass draws the masks of the first. Gradients are the same as in one piece, to the
// rounding of sums, and the ranks exchange them once a step.
//
// Reference: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup".
//
// Legend: S sequences, L layers looked at, D width of an embedding.

import TuttiEncoders
import TuttiKernels
import TuttiObjectives

/// An encoder that takes a batch in chunks where it is asked to.
final class ChunkedEncoder {
    let encoder: SequenceEncoder
    let chunking: Chunking?
    private var batch = PackedBatch()
    private var chunks: [Range<Int>] = []
    private var dropout: DropoutStream?
    private var chunk = PackedBatch()
    private var arena = Arena()

    init(_ encoder: SequenceEncoder, chunking: Chunking?) {
        self.encoder = encoder
        self.chunking = chunking
    }

    /// Embeds `batch`: `result` [L * S, D], layer after layer. With `keepsActivations`, one `backward` may follow.
    func forward(_ batch: PackedBatch, into result: Matrix, dropout: DropoutStream?, keepsActivations: Bool) {
        self.batch = batch
        self.dropout = dropout
        Self.cut(batch, chunking, into: &chunks)
        if chunks.count <= 1 {
            encoder.forward(batch, into: result, dropout: dropout, keepActivations: keepsActivations)
            return
        }
        for range in chunks {
            arena.reset()
            let part = forward(range, keepsActivations: false)
            forEachLayer(range) { whole, own in result.rows(whole).copy(from: part.rows(own)) }
        }
    }

    /// Adds the gradients of all parameters, given that of the embeddings, [L * S, D]; `finished` gets the slices of
    /// the gradient arena that no chunk will add to any more.
    func backward(_ dEmbeddings: Matrix, finished: (Range<Int>) -> Void) {
        if chunks.count <= 1 { return encoder.backward(dEmbeddings, finished: finished) }
        for (number, range) in chunks.enumerated() {
            arena.reset()
            let part = forward(range, keepsActivations: true)
            forEachLayer(range) { whole, own in part.rows(own).copy(from: dEmbeddings.rows(whole)) }
            encoder.backward(part) { if number == chunks.count - 1 { finished($0) } }
        }
    }

    /// Embeds some sequences of the batch: [L * s, D].
    private func forward(_ range: Range<Int>, keepsActivations: Bool) -> Matrix {
        chunk.replace(by: range, of: batch)
        let part = arena.matrix(encoder.taps.count * range.count, encoder.outputWidth)
        encoder.forward(chunk, into: part, dropout: dropout, keepActivations: keepsActivations)
        return part
    }

    /// The rows of a chunk among those of the batch, and its own, layer by layer.
    private func forEachLayer(_ range: Range<Int>, _ body: (_ whole: Range<Int>, _ own: Range<Int>) -> Void) {
        for layer in encoder.taps.indices {
            let first = layer * batch.sequenceCount
            body(
                first + range.lowerBound..<first + range.upperBound,
                layer * range.count..<(layer + 1) * range.count)
        }
    }

    /// Cuts the sequences into chunks of at most as many texts and tokens as asked for.
    static func cut(_ batch: PackedBatch, _ chunking: Chunking?, into chunks: inout [Range<Int>]) {
        chunks.removeAll(keepingCapacity: true)
        guard let chunking else { return }
        var start = 0
        for s in 0..<batch.sequenceCount {
            let tokens = Int(batch.offsets[s + 1] - batch.offsets[start])
            if s - start == chunking.rows ?? .max || (s > start && tokens > chunking.tokens ?? .max) {
                chunks.append(start..<s)
                start = s
            }
        }
        if start < batch.sequenceCount { chunks.append(start..<batch.sequenceCount) }
    }
}
