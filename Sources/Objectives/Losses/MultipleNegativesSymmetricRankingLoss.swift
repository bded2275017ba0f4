// MultipleNegativesSymmetricRankingLoss: MultipleNegativesRankingLoss in which each positive must also find its anchor.

import TuttiGround

/// The mean of two cross entropies: each anchor must find its positive among all candidates, and each positive its
/// anchor among all anchors.
///
///     loss = -1/(2 N)  sum_i  log softmax_j( s sim(a_i, c_j) )_i  +  log softmax_j( s sim(a_j, p_i) )_i
///
/// Hard negatives are candidates of the first only; they have no anchor to find.
///
/// **When to use it**: for pairs in which either side may be the query: translations, questions and questions, titles and
/// abstracts.
///
/// **Inputs**: (anchor, positive) or (anchor, positive, negative_1, ..., negative_n), no labels.
///
/// **Relations**: `MultipleNegativesRankingLoss` with directions [query_to_doc, doc_to_query] and partition_mode
/// per_direction, which is how Tutti and the reference compute it.
///
/// **Reference**: sentence_transformers, losses/MultipleNegativesSymmetricRankingLoss.py.
package enum MultipleNegativesSymmetricRankingLoss {
    /// "MultipleNegativesSymmetricRankingLoss".
    package static let name = "MultipleNegativesSymmetricRankingLoss"

    /// Its options.
    struct Settings: LossSettings {
        var plain = MultipleNegativesRankingLoss.Settings()

        static let options = OptionList<Settings>(
            MultipleNegativesRankingLoss.Settings.plain.map { $0.lifted(to: \.plain) })
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "each anchor must find its positive among all candidates, and each positive its anchor",
        inputs: MultipleNegativesRankingLoss.inputs,
        settings: Settings.self,
        citation: MultipleNegativesRankingLoss.entry.citation,
        make: { settings throws(TuttiError) in
            var form = settings.plain.form
            form.directions = [.queryToDocument, .documentToQuery]
            form.partition = .perDirection
            return try MultipleNegativesRankingLoss(form, ringExchange: false, name: name)
        })
}
