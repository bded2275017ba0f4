// MultipleNegativesRankingLoss: each anchor must find its own positive among all candidates of the global batch.
//
// The plain form goes through the fused kernel (Kernels/Contrastive.swift), with candidates that are gathered or
// passed around the ranks (RankRing.swift); every other form is written on the tape (InBatchSoftmax.swift).
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `C` text columns, `D` width, `M` = (C - 1) N candidates.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// In-batch negatives (InfoNCE): the cross entropy of each anchor's similarities to all candidates, with its own
/// positive as the target.
///
/// The candidates are all positives of all ranks, then the first negatives of all ranks, and so on, so every anchor is
/// compared with every other row's positive and with every row's negatives:
///
///     loss = -1/N  sum_i  log( exp(s sim(a_i, p_i)) / sum_j exp(s sim(a_i, c_j)) )
///
/// **When to use it**: the standard choice for retrieval and semantic search with pairs, or triplets with hard
/// negatives, and no scores. It improves with the size of the global batch. Texts must not repeat within a batch, or a
/// correct answer counts as wrong: use `batch_sampler: no_duplicates` or `mask_false_negatives: text`.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (anchor, positive) | none |
/// | (anchor, positive, negative) | none |
/// | (anchor, positive, negative_1, ..., negative_n) | none |
///
/// **Directions**: a row's query may also be compared with all other queries, its document with all queries and with
/// all documents of other rows. With `joint` all of them share one softmax (GTE, Li et al. 2023); with `per_direction`, for query_to_doc and
/// doc_to_query only, the loss is the mean of one cross entropy per direction (symmetric InfoNCE).
///
/// **Several positives**: with `positives: P` each of them competes only with the negatives, never with the other
/// positives, and the loss is their mean (multi-positive InfoNCE):
///
///     loss = -1/(N P)  sum_i  sum_p  log( exp(s sim(a_i, p)) / (exp(s sim(a_i, p)) + sum_negatives exp(...)) )
///
/// **False negatives**: with `mask_false_negatives: text`, the correct answers of a query are the positives of every
/// row of the global batch whose anchor is the same text; a candidate with the same text as one of them is masked, and
/// so is, as a candidate query, one with a common correct answer. A query in several rows, once per positive, is
/// therefore the same multi-positive InfoNCE. Leading and trailing white space is ignored.
///
/// **Relations**: the reference computes the same with `gather_across_devices=True`; its default is false. With it,
/// W ranks of b rows equal one process with N rows, value and gradient, including uneven and empty ranks. Without it,
/// the value is still the mean over N rows. `positives`, `mask_false_negatives` and `ring_exchange` are not in it.
///
/// **Memory**: scores are computed in tiles, never `[b, M]` at once. Gathered candidates are `[M, D]` on every rank; with
/// `ring_exchange` a rank never holds more candidates than those of two ranks, at twice the products.
///
/// **Citation**: Henderson et al. 2017, "Efficient Natural Language Response Suggestion for Smart Reply",
/// arXiv 1705.00652. **Reference**: sentence_transformers, losses/MultipleNegativesRankingLoss.py.
public final class MultipleNegativesRankingLoss: Loss {
    /// "MultipleNegativesRankingLoss".
    public static let name = "MultipleNegativesRankingLoss"

    /// Its options.
    struct Settings: LossSettings {
        var form = InBatchSoftmax()
        var ringExchange = false

        static let options = OptionList<Settings>(
            plain + [
                Option(
                    "directions", \.form.directions,
                    "what is compared: query_to_doc, and any of query_to_query, doc_to_query, doc_to_doc"),
                Option(
                    "partition_mode", \.form.partition,
                    "one softmax over all directions (joint), or the mean of one per direction (per_direction)"),
                Option(
                    "hardness_mode", \.form.hardness, "the negatives that are weighted by similarity"),
                Option("hardness_strength", \.form.hardnessStrength, "strength of the weighting", check: .atLeast(0)),
                Option(
                    "positives", \.form.positives, "how many columns after the anchor are positives",
                    check: .atLeast(1)),
                Option(
                    "mask_false_negatives", \.form.falseNegatives,
                    "text: a candidate with the text of a correct answer is not a negative"),
                Option(
                    "ring_exchange", \.ringExchange,
                    "pass candidates around the ranks: memory of two ranks' candidates"),
            ])

        /// The options shared with the symmetric loss.
        static let plain: [Option<Settings>] = [
            Option(
                "scale", \.form.scale, "factor on the similarities, the inverse temperature", check: .positive),
            Option("similarity_fct", \.form.similarity, "the similarity of two embeddings"),
            Option(
                "gather_across_devices", \.form.gathersAcrossRanks,
                "use the candidates of all ranks, or only of the own rank"),
        ]
    }

    private let form: InBatchSoftmax
    private let plainSimilarity: InnerProductSimilarity?
    private let ringExchange: Bool
    private let isSymmetric: Bool
    private let tape = Tape()
    private var arena = Arena()

    /// Creates the plain form.
    ///
    /// - Throws: `TuttiError` for a scale that is not a positive number.
    public convenience init(
        scale: Double = 20, similarity: SimilarityFunction = .cosine, gatherAcrossDevices: Bool = true,
        ringExchange: Bool = false
    ) throws(TuttiError) {
        try self.init(
            InBatchSoftmax(scale: scale, similarity: similarity, gathersAcrossRanks: gatherAcrossDevices),
            ringExchange: ringExchange, name: Self.name)
    }

    init(_ form: InBatchSoftmax, ringExchange: Bool, name: String) throws(TuttiError) {
        try form.check(name)
        if ringExchange, form.plainSimilarity == nil || !form.gathersAcrossRanks {
            throw TuttiError.loss(
                name, option: "ring_exchange", problem: "supports only the plain form over all ranks",
                hint: "Leave options other than scale and similarity_fct (cos_sim or dot_score) at their defaults.")
        }
        self.form = form
        plainSimilarity = form.plainSimilarity
        self.ringExchange = ringExchange
        isSymmetric = name == MultipleNegativesSymmetricRankingLoss.name
    }

    /// True if the candidates are those of the own rank.
    public var dependsOnDealing: Bool { !form.gathersAcrossRanks }

    /// Keys of the texts if false negatives are masked.
    public var requirements: LossRequirements {
        var needs = LossRequirements()
        needs.needsTextKeys = form.masksFalseNegatives
        return needs
    }

    /// All options, in the order of the documentation; for the symmetric loss, those that it does not fix.
    public var options: [(name: String, value: JSONValue)] {
        let values = Settings(form: form, ringExchange: ringExchange).listed
        return isSymmetric ? Array(values.prefix(Settings.plain.count)) : values
    }

    /// The logarithm of the number of candidates, for the usual forms.
    public func chance(rows: Double, columns: Int) -> Double? { form.chance(rows: rows, columns: columns) }

    /// Refuses data without a text column for every positive.
    public func check(_ setting: LossSetting) throws(TuttiError) { try require(columns: setting.columns.count) }

    /// This rank's part of the mean over all rows, and the whole gradient of its embeddings. Collective.
    public func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try require(columns: batch.columns)
        guard let plainSimilarity else {
            return try tape.evaluate(batch, gradients, context) { try form.value(of: batch, on: $0) }
        }
        arena.reset()
        let gather = try RankGather(rows: batch.rows, ensemble: context.ensemble, arena: &arena)
        if gather.total == 0 { return 0 }
        let comparable = ComparableRows(batch.embeddings, by: plainSimilarity, arena: &arena)  // [C b, D]
        let value: Double
        if ringExchange {
            value = try RankRing(gather: gather, ensemble: context.ensemble).softmaxCrossEntropy(
                comparable.rows, columns: batch.columns, scale: form.scale, dRows: gradients?.embeddings, arena: &arena)
        } else {
            value = try gathered(comparable.rows, batch.columns, gather, gradients?.embeddings)
        }
        if let dEmbeddings = gradients?.embeddings {
            comparable.adjoint(dEmbeddings)
            if context.weight != 1 { dEmbeddings.scale(by: Float(context.weight)) }
        }
        return value
    }

    /// The plain form, all candidates on every rank.
    private func gathered(_ rows: Matrix, _ columns: Int, _ gather: RankGather, _ dRows: Matrix?) throws -> Double {
        let (b, negatives) = (gather.own, columns - 1)  // candidate columns: the positive and the negatives
        let gathersAcrossRanks = form.gathersAcrossRanks
        let perColumn = gathersAcrossRanks ? gather.total : b
        let first = gathersAcrossRanks ? gather.offset : 0
        let anchors = rows.rows(0..<b)  // [b, D]
        let positives = arena.int32s(b)
        for row in 0..<b { positives[row] = Int32(first + row) }
        let candidates = arena.matrix(negatives * perColumn, anchors.columns)  // [M, D]
        for column in 0..<negatives {
            let own = rows.rows((column + 1) * b..<(column + 2) * b)  // [b, D]
            let place = candidates.rows(column * perColumn..<(column + 1) * perColumn)  // [N, D]
            if gathersAcrossRanks {
                try gather.gatherRows(own, into: place)
            } else {
                place.copy(from: own)
            }
        }

        let dCandidates = dRows.map { _ in arena.matrix(candidates.rows, candidates.columns) }  // [M, D]
        let value = Contrastive.softmaxCrossEntropy(
            anchors: anchors, candidates: candidates, positives: positives, scale: Float(form.scale),
            factor: 1 / Double(gather.total), dAnchors: dRows?.rows(0..<b), dCandidates: dCandidates,
            scratch: arena.floats(Contrastive.scratchCount(rows: b, candidates: candidates.rows)))

        if let dRows, let dCandidates {
            for column in 0..<negatives {
                let place = dCandidates.rows(column * perColumn..<(column + 1) * perColumn)  // [N, D]
                let own = dRows.rows((column + 1) * b..<(column + 2) * b)  // [b, D]
                if gathersAcrossRanks {
                    try gather.gatherRowsAdjoint(place, into: own)
                } else {
                    own.copy(from: place)
                }
            }
        }
        return value
    }

    private func require(columns: Int) throws(TuttiError) {
        guard columns > form.positives else {
            throw TuttiError.loss(
                Self.name,
                problem: columns == 1
                    ? "the data set has one text column"
                    : "the data set has \(columns) text columns, positives: \(form.positives) needs at least one more",
                hint: "It needs (anchor, positive), and may have any number of negatives.")
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "each anchor must find its own positive among all candidates of the global batch (InfoNCE)",
        inputs: inputs,
        settings: Settings.self,
        citation: """
            @misc{oord2019representationlearningcontrastivepredictive,
                  title={Representation Learning with Contrastive Predictive Coding},
                  author={Aaron van den Oord and Yazhe Li and Oriol Vinyals},
                  year={2019},
                  eprint={1807.03748},
                  archivePrefix={arXiv},
                  primaryClass={cs.LG},
                  url={https://arxiv.org/abs/1807.03748},
            }
            """,
        make: { settings throws(TuttiError) in
            try MultipleNegativesRankingLoss(settings.form, ringExchange: settings.ringExchange, name: name)
        })

    /// (anchor, positive) and any number of negatives.
    static let inputs = [
        LossInput("anchor", "positive"), LossInput("anchor", "positive", "negative"),
        LossInput("anchor", "positive", "negative", repeatsLast: true),
    ]
}
