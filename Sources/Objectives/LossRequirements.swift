// LossRequirements: what a loss asks of the training step besides the embeddings of the last layer.
//
// Declared, not fetched: a loss knows no encoder and no file. Training loads the guide, copies the twin, owns the arenas
// of parameters and calls the decoder's memory by its name.

import TuttiGround
import TuttiKernels

/// What a loss needs of a step.
public struct LossRequirements: Sendable {
    /// Who reads which text columns; a student that is not named reads all. Embedding roles that the loss compares row
    /// by row read equally many columns.
    public var texts: [Role: TextColumns] = [:]

    /// Whether it looks at layers below the last one: then `Loss.layers` is asked in every step.
    public var needsLayers = false

    /// Whether texts are compared with each other.
    public var needsTextKeys = false

    /// The decoder that reconstructs a text from an embedding.
    public var decoder: DecoderRequest?

    /// Needs nothing.
    public init() {}

    /// Needs what any of `losses` needs.
    init(of losses: [ConfiguredLoss]) {
        for inner in losses.map(\.loss.requirements) {
            texts.merge(inner.texts) { own, _ in own }
            needsLayers = needsLayers || inner.needsLayers
            needsTextKeys = needsTextKeys || inner.needsTextKeys
            decoder = decoder ?? inner.decoder
        }
    }

    /// The text columns that a role reads.
    public func columns(of role: Role) -> TextColumns { texts[role] ?? .all }

    /// Frozen models by their folders or hub ids, in the order of their names.
    public var guides: [String] {
        texts.keys.compactMap { if case .guide(let path) = $0 { path } else { nil } }.sorted()
    }
}

/// The decoder of a denoising loss: it reconstructs the text columns of the role `decoder`.
public struct DecoderRequest: Sendable, Equatable {
    /// The folder or hub id of the model that the decoder starts from; nil = the encoder's own.
    public var model: String?

    /// Whether it computes with the encoder's own weights where both have them.
    public var isTied: Bool

    /// The share of words that the encoder is not shown, where the data have one text column.
    public var deletionRatio: Double

    /// A decoder that starts from `model`.
    public init(model: String?, isTied: Bool, deletionRatio: Double) {
        self.model = model
        self.isTied = isTied
        self.deletionRatio = deletionRatio
    }
}

/// Reconstructs the target texts of a batch from embeddings: implemented above the losses, which know no layers.
public protocol SentenceDecoder: AnyObject {
    /// Tokens of this rank's target texts that are to be predicted.
    var targetTokens: Int { get }

    /// factor * the sum of the cross entropies of all target tokens of this rank.
    ///
    /// - Parameters:
    ///   - embeddings: one a row of the batch, `[b, D]`.
    ///   - dEmbeddings: assigned the derivative, weight included; nil = evaluation only. Gradients of the decoder's
    ///     parameters are added to.
    ///   - weight: factor of all gradients.
    func reconstruct(_ embeddings: Matrix, factor: Double, weight: Double, dEmbeddings: Matrix?) throws -> Double
}

/// The random numbers of one step: a function of seed, step and loss, never of the rank (decision 5).
public struct LossDraw: Sendable, Equatable {
    /// Seed of the run.
    public var seed: UInt64

    /// Optimizer step.
    public var step: UInt64

    /// Micro-batch inside the step.
    public var microStep: UInt32

    /// The use of the batch inside the loss: a wrapper that evaluates a loss several times numbers the times.
    public var branch: UInt32 = 0

    /// The draw of one micro-batch.
    public init(seed: UInt64, step: UInt64, microStep: UInt32 = 0) {
        self.seed = seed
        self.step = step
        self.microStep = microStep
    }

    /// The stream for one purpose of this micro-batch; equal on all ranks. Purposes are numbered from 0 by a loss.
    public func generator(purpose: UInt32) -> CounterRandom {
        // Dropout keys use other counters: the loss's streams lie behind the largest micro-step.
        CounterRandom(
            seed: seed ^ 0x6C6F_7373_0000_0000,
            stream: step &* 0x1_0000_0001 &+ UInt64(microStep) << 40 &+ UInt64(branch) << 48 &+ UInt64(purpose) << 56)
    }

    /// `count` of the numbers `0 ..< total` in ascending order, every choice equally likely.
    public func sample(_ count: Int, of total: Int, purpose: UInt32) -> [Int] {
        var random = generator(purpose: purpose)
        var numbers = Array(0..<total)
        numbers.shuffle(using: &random)
        return numbers.prefix(count).sorted()
    }
}
