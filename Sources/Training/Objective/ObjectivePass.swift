// One pass of a loss over a batch: the texts of all roles are encoded when it is made, then it is evaluated, then, in
// training, consumed by the backward pass.
//
// Legend: b rows on this rank, C text columns, L layers looked at, D width.

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels
import TuttiObjectives

/// A batch whose texts are encoded. An objective has one pass at a time.
struct ObjectivePass: ~Copyable {
    private let objective: Objective
    private let prepared: PreparedBatch
    private let draw: LossDraw
    private let batch: LossBatch
    /// Where the loss puts the gradients of embeddings; nil = evaluation.
    private let gradients: LossGradients?
    /// The shards of a step whose bits do not depend on the ranks.
    private let shards: LogicalShards?
    /// What the encoders keep for the backward pass.
    private let student: ChunkedPass?
    private let twin: ChunkedPass?

    /// Embeds the texts of a batch, keeping activations where `isTraining`; in the pieces of `shards`, if there are any.
    init(
        _ objective: Objective, _ prepared: PreparedBatch, draw: LossDraw, isTraining: Bool,
        shards: LogicalShards? = nil
    ) {
        self.shards = shards
        self.objective = objective
        self.prepared = prepared
        self.draw = draw
        objective.arena.reset()
        let encoder = objective.student.encoder
        let taps = objective.requirements.needsLayers ? objective.loss.layers(of: encoder.layerCount, draw: draw) : nil
        let layers = taps?.count ?? 1
        let rows = layers * prepared.columns * prepared.rows
        let embeddings = objective.arena.matrix(rows, encoder.outputWidth)  // [L*C*b, D]
        let dropout = DropoutStream(seed: draw.seed, step: draw.step, microStep: draw.microStep)
        if let shards {
            student = nil
            objective.student.embed(
                prepared[.student],
                in: shards.pieces(of: prepared.globalRows, columns: prepared.columns).flatMap(\.self),
                taps: taps, dropout: dropout, into: embeddings)
        } else if isTraining {
            student = objective.student.forward(prepared[.student], taps: taps, dropout: dropout, into: embeddings)
        } else {
            student = nil
            objective.student.embed(prepared[.student], taps: taps, dropout: nil, into: embeddings)
        }
        var batch = LossBatch(
            embeddings: embeddings, rows: prepared.rows, columns: prepared.columns, layers: layers)
        batch.textColumns = prepared.textColumns
        if let taps { batch.layerNumbers = taps }
        var twin: ChunkedPass?
        for (role, other) in objective.others {
            let texts = prepared[role]
            let embedded = objective.arena.matrix(texts.sequenceCount, other.encoder.outputWidth)  // [C*b, D]
            if let shards, prepared.rows > 0 {
                let columns = texts.sequenceCount / prepared.rows
                other.embed(
                    texts, in: shards.pieces(of: prepared.globalRows, columns: columns).flatMap(\.self), dropout: nil,
                    into: embedded)
            } else if isTraining, role.isTrained {
                var own = dropout
                own.seed = ~own.seed  // masks of its own
                twin = other.forward(texts, dropout: own, into: embedded)
            } else {
                other.embed(texts, dropout: nil, into: embedded)
            }
            batch.others[role] = embedded
        }
        self.twin = twin
        objective.decoder?.take(prepared[.decoder], dropout: isTraining ? dropout : nil)
        self.batch = batch
        guard isTraining else {
            gradients = nil
            return
        }
        var gradients = LossGradients(embeddings: objective.arena.matrix(rows, encoder.outputWidth))
        for (role, _) in objective.others where role.isTrained {
            if let matrix = batch[role] {
                gradients.others[role] = objective.arena.matrix(matrix.rows, matrix.columns)
            }
        }
        self.gradients = gradients
    }

    /// Whether the embeddings that the student has made are all finite.
    var embeddingsAreFinite: Bool {
        (0..<batch.embeddings.rows).allSatisfy { row in
            (0..<batch.embeddings.columns).allSatisfy { batch.embeddings[row, $0].isFinite }
        }
    }

    /// This rank's part of the loss. Collective.
    ///
    /// - Parameter weight: the factor of its gradients.
    func evaluate(weight: Double, ensemble: any Ensemble) throws -> Double {
        var (batch, context) = (batch, LossContext(ensemble: ensemble))
        context.weight = weight
        context.draw = draw
        context.parameters = objective.parameters.tensorsInArenas
        context.decoder = objective.decoder
        return try prepared.labels.withUnsafeBufferPointer { labels in
            try prepared.textKeys.withUnsafeBufferPointer { keys in
                if prepared.labelWidth > 0 { (batch.labels, batch.labelWidth) = (labels, prepared.labelWidth) }
                if objective.requirements.needsTextKeys { batch.textKeys = keys }
                if let shards, let gradients {
                    return try shards.evaluate(
                        objective.loss, batch, globalRows: prepared.globalRows, gradients: gradients, in: context,
                        memory: &objective.arena)
                }
                return try objective.loss.evaluate(batch, gradients: gradients, in: context)
            }
        }
    }

    /// Adds the gradients of all parameters; `finished` gets the slices of the arena that are whole.
    consuming func backward(finished: (Range<Int>) -> Void) {
        let layout = objective.student.encoder.layout
        if let shards, let gradients {
            return backward(shards, gradients)
        }
        guard let gradients, let student else {
            preconditionFailure("ObjectivePass: backward of a pass that was no training")
        }
        if let twin, let gradient = gradients[.twin] { twin.backward(gradient) { _ in } }
        if !layout.lossRange.isEmpty { finished(layout.lossRange) }
        student.backward(gradients.embeddings, finished: finished)
    }
    /// The gradient of each shard by itself, then their sum.
    private func backward(_ shards: LogicalShards, _ gradients: LossGradients) {
        let taps = batch.layerNumbers.isEmpty ? nil : batch.layerNumbers
        let dropout = DropoutStream(seed: draw.seed, step: draw.step, microStep: draw.microStep)
        let pieces = shards.pieces(of: prepared.globalRows, columns: prepared.columns)
        for (shard, pieces) in pieces.enumerated() {
            for piece in pieces {
                objective.student.backward(
                    prepared[.student], of: piece, taps: taps, dropout: dropout, gradients.embeddings
                ) { _ in }
            }
            shards.take(shard: shard)
        }
    }
}
