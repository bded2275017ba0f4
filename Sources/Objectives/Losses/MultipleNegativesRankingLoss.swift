// MultipleNegativesRankingLoss: each anchor must find its own positive among all candidates of the global batch.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `C` text columns, `D` width, `M` = (C - 1) N candidates.

import TuttiEnsemble
import TuttiKernels

/// In-batch negatives (InfoNCE): the cross entropy of each anchor's similarities to all candidates, its own positive
/// being the right one.
///
/// The candidates are all positives of all ranks, then the first negatives of all ranks, and so on, so every anchor is
/// compared with every other row's positive and with every row's negatives:
///
///     loss = -1/N  sum_i  log( exp(s sim(a_i, p_i)) / sum_j exp(s sim(a_i, c_j)) )
///
/// **When to use it**: the standard choice for retrieval and semantic search when there are pairs, or triplets with
/// hard negatives, and no scores. It grows better with the global batch. Texts must not repeat within a batch, or a
/// right answer counts as wrong: use `batch_sampler: no_duplicates`.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (anchor, positive) | none |
/// | (anchor, positive, negative) | none |
/// | (anchor, positive, negative_1, ..., negative_n) | none |
///
/// **Options**
///
/// | option | default | meaning |
/// |---|---|---|
/// | scale | 20.0 | factor on the similarities, the inverse of the temperature |
/// | similarity_fct | cos_sim | cos_sim or dot_score (then scale is usually 1) |
/// | gather_across_devices | true | candidates of all ranks, or of the own rank only |
///
/// **Relations**: the reference computes the same with `gather_across_devices=True`; its default is false. With it,
/// W ranks of b rows equal one process with N rows, value and gradient, uneven and empty ranks included. Without it,
/// the value is still the mean over N rows.
///
/// **Memory**: scores are made in tiles, never `[b, M]` at once.
///
/// **Citation**: Henderson et al. 2017, "Efficient Natural Language Response Suggestion for Smart Reply",
/// arXiv 1705.00652. **Reference**: sentence_transformers, losses/MultipleNegativesRankingLoss.py.
public final class MultipleNegativesRankingLoss: Loss {
    /// "MultipleNegativesRankingLoss".
    public static let name = "MultipleNegativesRankingLoss"

    private let scale: Double
    private let similarity: InnerProductSimilarity
    private let gathersAcrossRanks: Bool
    private var arena = Arena()

    /// Creates the loss.
    ///
    /// - Throws: `LossError` for a scale that is not a positive number, or a similarity that is not an inner product.
    public init(
        scale: Double = 20, similarity: SimilarityFunction = .cosine, gatherAcrossDevices: Bool = true
    ) throws(LossError) {
        guard scale.isFinite, scale > 0 else {
            throw LossError(loss: Self.name, option: "scale", problem: "\(scale) is not a positive number")
        }
        self.scale = scale
        self.similarity = try InnerProductSimilarity(similarity, loss: Self.name)
        self.gathersAcrossRanks = gatherAcrossDevices
    }

    /// True where the candidates are those of the own rank.
    public var dependsOnDealing: Bool { !gathersAcrossRanks }

    /// scale, similarity_fct and gather_across_devices.
    public var options: [(name: String, value: LossOption)] {
        [
            ("scale", .double(scale)), ("similarity_fct", .string(similarity.function.functionName)),
            ("gather_across_devices", .bool(gathersAcrossRanks)),
        ]
    }

    /// This rank's part of the mean over all rows, and the whole gradient of its embeddings. Collective.
    public func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        guard batch.columns >= 2 else {
            throw LossError(
                loss: Self.name, problem: "the data set has one text column",
                hint: "It needs (anchor, positive), and may have any number of negatives.")
        }
        arena.reset()
        let dEmbeddings = gradients?.embeddings
        let (b, negatives) = (batch.rows, batch.columns - 1)  // candidate columns: the positive and the negatives
        let gather = try RankGather(rows: b, ensemble: context.ensemble, arena: &arena)
        if gather.total == 0 { return 0 }
        let comparable = ComparableRows(batch.embeddings, by: similarity, arena: &arena)  // [C b, D]
        let anchors = comparable.rows.rows(0..<b)  // [b, D]

        let perColumn = gathersAcrossRanks ? gather.total : b
        let first = gathersAcrossRanks ? gather.offset : 0
        let positives = arena.int32s(b)
        for row in 0..<b { positives[row] = Int32(first + row) }
        let candidates = arena.matrix(negatives * perColumn, anchors.columns)  // [M, D]
        for column in 0..<negatives {
            let own = comparable.rows.rows((column + 1) * b..<(column + 2) * b)  // [b, D]
            let place = candidates.rows(column * perColumn..<(column + 1) * perColumn)  // [N, D]
            if gathersAcrossRanks {
                _ = try gather.gatherRows(Sharded(own), into: place)
            } else {
                place.copy(from: own)
            }
        }

        let dCandidates = dEmbeddings.map { _ in arena.matrix(candidates.rows, candidates.columns) }  // [M, D]
        let value = Contrastive.softmaxCrossEntropy(
            anchors: anchors, candidates: candidates, positives: positives, scale: Float(scale),
            factor: 1 / Double(gather.total), dAnchors: dEmbeddings?.rows(0..<b), dCandidates: dCandidates,
            scratch: arena.floats(Contrastive.scratchCount(rows: b, candidates: candidates.rows)))

        if let dEmbeddings, let dCandidates {
            for column in 0..<negatives {
                let place = dCandidates.rows(column * perColumn..<(column + 1) * perColumn)  // [N, D]
                let own = dEmbeddings.rows((column + 1) * b..<(column + 2) * b)  // [b, D]
                if gathersAcrossRanks {
                    _ = try gather.gatherRowsAdjoint(Partial(place), into: own)
                } else {
                    own.copy(from: place)
                }
            }
            comparable.adjoint(dEmbeddings)
            if context.weight != 1 { dEmbeddings.scale(by: Float(context.weight)) }
        }
        return value
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "each anchor must find its own positive among all candidates of the global batch (InfoNCE)",
        inputs: [
            LossInput("anchor", "positive"), LossInput("anchor", "positive", "negative"),
            LossInput("anchor", "positive", "negative", repeatsLast: true),
        ],
        options: [
            LossOptionDescription("scale", .double(20), "factor on the similarities, the inverse temperature"),
            LossOptionDescription("similarity_fct", .string("cos_sim"), "cos_sim or dot_score"),
            LossOptionDescription(
                "gather_across_devices", .bool(true), "take the candidates of all ranks, or of the own rank only"),
        ],
        citation: """
            @misc{henderson2017efficient,
                title={Efficient Natural Language Response Suggestion for Smart Reply},
                author={Matthew Henderson and Rami Al-Rfou and Brian Strope and Yun-hsuan Sung and Laszlo Lukacs
                    and Ruiqi Guo and Sanjiv Kumar and Balint Miklos and Ray Kurzweil},
                year={2017},
                eprint={1705.00652},
                archivePrefix={arXiv},
                primaryClass={cs.CL}
            }
            """,
        make: { options throws(LossError) in
            return try MultipleNegativesRankingLoss(
                scale: options.double("scale"), similarity: options.similarity("similarity_fct"),
                gatherAcrossDevices: options.bool("gather_across_devices"))
        })
}
