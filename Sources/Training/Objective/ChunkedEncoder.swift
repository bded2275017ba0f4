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
    let encoder: RoutedEncoder
    let chunking: Chunking?
    private var chunks: [Range<Int>] = []
    private var chunk = PackedBatch()
    private var arena = Arena()

    init(_ encoder: RoutedEncoder, chunking: Chunking?) {
        self.encoder = encoder
        self.chunking = chunking
    }

    /// Embeds `batch` where no backward follows: `result` [L * S, D], layer after layer.
    func embed(_ batch: PackedBatch, taps: [Int]? = nil, dropout: DropoutStream?, into result: Matrix) {
        Self.cut(batch, chunking, into: &chunks)
        if chunks.count <= 1 { return encoder.embed(batch, taps: taps, dropout: dropout, into: result) }
        embed(batch, in: chunks, taps: taps, dropout: dropout, into: result)
    }

    /// The same in these pieces, whatever the chunking.
    func embed(
        _ batch: PackedBatch, in pieces: [Range<Int>], taps: [Int]? = nil, dropout: DropoutStream?,
        into result: Matrix
    ) {
        for range in pieces {
            let part = take(range, of: batch, layers: taps?.count ?? 1)
            encoder.embed(chunk, taps: taps, dropout: dropout, into: part)
            forEachLayer(range, of: batch, part) { whole, own in result.rows(whole).copy(from: part.rows(own)) }
        }
    }

    /// Embeds `batch`, as `embed`; the pass back-propagates a gradient of `result`.
    func forward(
        _ batch: PackedBatch, taps: [Int]? = nil, dropout: DropoutStream?, into result: Matrix
    ) -> ChunkedPass {
        Self.cut(batch, chunking, into: &chunks)
        if chunks.count <= 1 {
            return .whole(encoder.forward(batch, taps: taps, dropout: dropout, into: result))
        }
        embed(batch, taps: taps, dropout: dropout, into: result)
        return .chunks(self, batch, taps: taps, dropout: dropout)
    }

    /// Encodes every chunk of `batch` again and back-propagates its share.
    fileprivate func backward(
        _ batch: PackedBatch, taps: [Int]?, dropout: DropoutStream?, _ dEmbeddings: Matrix,
        finished: (Range<Int>) -> Void
    ) {
        if !encoder.isTrained { return }
        Self.cut(batch, chunking, into: &chunks)
        for (number, range) in chunks.enumerated() {
            backward(batch, of: range, taps: taps, dropout: dropout, dEmbeddings) {
                if number == chunks.count - 1 { finished($0) }
            }
        }
    }

    /// Encodes a piece of `batch` again and adds its share of the gradients.
    func backward(
        _ batch: PackedBatch, of range: Range<Int>, taps: [Int]?, dropout: DropoutStream?, _ dEmbeddings: Matrix,
        finished: (Range<Int>) -> Void
    ) {
        let part = take(range, of: batch, layers: taps?.count ?? 1)
        let pass = encoder.forward(chunk, taps: taps, dropout: dropout, into: part)
        forEachLayer(range, of: batch, part) { whole, own in part.rows(own).copy(from: dEmbeddings.rows(whole)) }
        pass.backward(part, finished: finished)
    }

    /// Makes `chunk` hold some sequences of `batch`; room for their embeddings, [L * s, D].
    private func take(_ range: Range<Int>, of batch: PackedBatch, layers: Int) -> Matrix {
        arena.reset()
        chunk.replace(by: range, of: batch)
        return arena.matrix(layers * range.count, encoder.outputWidth)
    }

    /// The rows of a chunk among those of the batch, and its own, layer by layer.
    private func forEachLayer(
        _ range: Range<Int>, of batch: PackedBatch, _ part: Matrix,
        _ body: (_ whole: Range<Int>, _ own: Range<Int>) -> Void
    ) {
        for layer in 0..<part.rows / range.count {
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

/// A forward that a backward follows, in one piece or in chunks.
enum ChunkedPass: ~Copyable {
    /// The activations of the whole batch are kept.
    case whole(RoutedPass)
    /// Nothing is kept: backward encodes the batch again, chunk by chunk.
    case chunks(ChunkedEncoder, PackedBatch, taps: [Int]?, dropout: DropoutStream?)

    /// Adds the gradients of all parameters, given that of the embeddings, [L * S, D]; `finished` gets the slices of
    /// the gradient arena that no chunk will add to any more.
    consuming func backward(_ dEmbeddings: Matrix, finished: (Range<Int>) -> Void) {
        switch consume self {
        case .whole(let pass): pass.backward(dEmbeddings, finished: finished)
        case .chunks(let encoder, let batch, let taps, let dropout):
            encoder.backward(batch, taps: taps, dropout: dropout, dEmbeddings, finished: finished)
        }
    }
}
