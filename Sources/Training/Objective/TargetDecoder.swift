// The decoder of a denoising loss in a run: its parameters among those of the loss, and the target texts of a batch.
//
// Losses know no layers (Objectives/LossRequirements.swift), decoders no losses (Encoders/TextDecoder.swift); here they
// meet. In chunks, each chunk of texts is reconstructed forward and backward before the next: nothing is computed twice.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// Reconstructs the target texts of one batch after the other.
final class TargetDecoder: SentenceDecoder {
    /// What the decoder starts from.
    let model: DecoderModel
    /// The parameters that are the decoder's own, with their starts where no checkpoint holds them.
    let parameters: [LossParameter]

    private let plan: DecoderPlan
    private let chunking: Chunking?
    private var decoder: TextDecoder?
    private var target = PackedBatch()
    private var chunk = PackedBatch()
    private var chunks: [Range<Int>] = []
    private var dropout: DropoutStream?

    /// A decoder as `request` wants it, of embeddings that `encoder` makes.
    ///
    /// - Parameter prefix: what stands before the names of the loss's parameters.
    /// - Throws: usage errors for an encoder or a decoder that cannot be one; whatever loading the decoder throws.
    init(
        _ request: DecoderRequest, of encoder: SentenceEncoder, prefix: String, chunking: Chunking?
    ) throws(TuttiError) {
        if let path = request.model, !request.isTied {
            model = try DecoderModel(path: path)
        } else {
            model = try DecoderModel(tiedTo: encoder)
        }
        let width = model.hiddenSize
        guard encoder.encoder.outputWidth == width, encoder.encoder.plan.hiddenSize == width else {
            throw TuttiError(
                .usage, "make a decoder", request.model ?? encoder.sourceDescription,
                "has the hidden_size \(width), but the model's is \(encoder.encoder.plan.hiddenSize) and its"
                    + " embeddings have \(encoder.encoder.outputWidth) dimensions",
                hint: "All three must be equal.")
        }
        plan = try model.plan(prefix: prefix + "decoder.", isTied: request.isTied)
        self.chunking = chunking
        let deviation = model.initializerRange
        parameters = try model.plan(prefix: "decoder.", isTied: request.isTied).ownTensors.map { tensor in
            let start: LossParameter.Start
            if tensor.name.hasSuffix(".bias") {
                start = .constant(0)
            } else if tensor.name.hasSuffix("LayerNorm.weight") {
                start = .constant(1)
            } else {
                start = .normal(deviation: deviation)
            }
            return LossParameter(tensor.name, tensor.shape, start: start)
        }
    }

    /// Reads one of its parameters from the checkpoint, if that holds it.
    func read(_ parameter: LossParameter, into values: UnsafeMutableBufferPointer<Float>) throws(TuttiError) -> Bool {
        guard parameter.name.hasPrefix("decoder.") else { return false }
        return try model.read(String(parameter.name.dropFirst("decoder.".count)), shape: parameter.shape, into: values)
    }

    /// Finds its parameters in the arenas of the run.
    func bind(_ store: ParameterStore) {
        decoder = TextDecoder(plan, parameters: store)
    }

    /// Takes the texts of the next batch; `dropout` nil = evaluation.
    func take(_ target: PackedBatch, dropout: DropoutStream?) {
        self.target = target
        self.dropout = dropout
        self.dropout?.seed ^= 0x6465_636F_6465_7200  // masks of its own
        ChunkedEncoder.cut(target, chunking, into: &chunks)
    }

    var targetTokens: Int { bound.predictedTokens(of: target) }

    func reconstruct(_ embeddings: Matrix, factor: Double, weight: Double, dEmbeddings: Matrix?) -> Double {
        if chunks.count <= 1 {
            return bound.reconstruct(
                target, from: embeddings, factor: factor, weight: weight, dTexts: dEmbeddings, dropout: dropout)
        }
        var value = 0.0
        for range in chunks {
            chunk.replace(by: range, of: target)
            value += bound.reconstruct(
                chunk, from: embeddings.rows(range), factor: factor, weight: weight,
                dTexts: dEmbeddings?.rows(range), dropout: dropout)
        }
        return value
    }

    private var bound: TextDecoder {
        guard let decoder else { preconditionFailure("TargetDecoder: used before the arenas have their place") }
        return decoder
    }
}
