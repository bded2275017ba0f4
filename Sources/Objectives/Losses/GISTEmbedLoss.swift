// GISTEmbedLoss: in-batch negatives, from which a frozen guide removes those that look like correct answers.
//
// Legend: `t` rows of a tile, `b` rows on this rank, `N` rows that are compared (of all ranks, or own), `C` text
// columns, `D` width, `G` width of the guide; "own" = of the row itself.

import TuttiGround
import TuttiKernels

/// Guided in-sample selection of negatives: the cross entropy of MultipleNegativesRankingLoss over more candidates,
/// without those that a guide finds more similar than the row's own pair.
///
/// Row i compares its anchor with all positives, all anchors and every column of negatives, and its positive with all
/// positives. With the guide's similarity g of the same two texts, a candidate counts as a negative only if
/// `g <= g(a_i, p_i) - margin`, or `g <= g(a_i, p_i) - |g(a_i, p_i)| margin` with `margin_strategy: relative`:
///
///     loss = -1/N  sum_i  log( exp(cos(a_i, p_i) / T) / (exp(cos(a_i, p_i) / T) + sum_negatives exp(cos / T)) )
///
/// **When to use it**: as MultipleNegativesRankingLoss, if batches contain unlabelled correct answers (false negatives)
/// and a good model of the same language is available. It costs one more forward pass, of the guide.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (anchor, positive) | none |
/// | (anchor, positive, negative_1, ..., negative_n) | none |
///
/// **Relations**: the reference gathers positives and negatives (default: not at all) but never anchors; Tutti gathers
/// anchors too, so that W ranks equal one process. The reference's GISTEmbedLoss takes one negative, its cached
/// form any number; in Tutti both do. Differences within 1e-6 count as ties, which rounding decides in the reference: a
/// copy of the positive stays a negative, and if the pair is one text, it is not a negative of itself. (With a negative
/// margin it is one wherever the limit is above 1, as in the reference.)
///
/// **Citation**: Solatorio 2024, "GISTEmbed: Guided In-sample Selection of Training Negatives for Text Embedding
/// Fine-tuning", arXiv 2402.16829. **Reference**: sentence_transformers, losses/GISTEmbedLoss.py.
package final class GISTEmbedLoss: Loss {
    /// "GISTEmbedLoss".
    package static let name = "GISTEmbedLoss"

    /// The guide's cosines of equal texts differ by rounding; a tie does not exclude a candidate.
    private static let tie = 1e-6

    /// The meaning of the margin.
    enum MarginStrategy: String, OptionChoice { case absolute, relative }

    /// Its options.
    struct Settings: LossSettings {
        var guide = ""
        var temperature = 0.01
        var strategy = MarginStrategy.absolute
        var margin = 0.0
        var contrastsAnchors = true
        var contrastsPositives = true
        var gathersAcrossRanks = true

        static let options = OptionList<Settings>([
            Option("guide", \.guide, "folder or hub id of the frozen guide", isRequired: true),
            Option("temperature", \.temperature, "divides the cosines", check: .positive),
            Option("margin_strategy", \.strategy, "whether the margin is a cosine or a fraction of the pair's"),
            Option("margin", \.margin, "how far below the own pair a negative must be for the guide"),
            Option("contrast_anchors", \.contrastsAnchors, "other anchors are candidates of an anchor"),
            Option("contrast_positives", \.contrastsPositives, "other positives are candidates of a positive"),
            Option(
                "gather_across_devices", \.gathersAcrossRanks,
                "use the candidates of all ranks, or only of the own rank"),
        ])
    }

    private let settings: Settings
    private let guide: String
    private let temperature: Double
    private let isRelative: Bool
    private let margin: Double
    private let contrastsAnchors: Bool
    private let contrastsPositives: Bool
    private let gathersAcrossRanks: Bool
    private let tape = Tape()

    init(_ settings: Settings) {
        self.settings = settings
        guide = settings.guide
        temperature = settings.temperature
        isRelative = settings.strategy == .relative
        margin = settings.margin
        contrastsAnchors = settings.contrastsAnchors
        contrastsPositives = settings.contrastsPositives
        gathersAcrossRanks = settings.gathersAcrossRanks
    }

    /// The guide.
    package var requirements: LossRequirements {
        var needs = LossRequirements()
        needs.texts[.guide(guide)] = .all
        return needs
    }

    /// True if the candidates are those of the own rank.
    package var dependsOnDealing: Bool { !gathersAcrossRanks }

    /// All options, in the order of the documentation.
    package var options: [(name: String, value: JSONValue)] { settings.listed }

    /// Refuses data without a positive column.
    package func check(_ setting: LossSetting) throws(TuttiError) {
        try requireColumns(setting.columns.count, loss: Self.name)
    }

    /// This rank's part of the mean over all rows. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try requireColumns(batch.columns, loss: Self.name)
        return try tape.evaluate(batch, gradients, context) { tape in
            let columns = 0..<batch.columns
            let own = columns.map { tape.normalized(tape.column($0), epsilon: 1e-8) }  // [b, D] each
            // [b, G] each
            let ownGuide = columns.map { tape.normalized(tape.column($0, of: .guide(guide)), epsilon: 1e-8) }
            let all = gathersAcrossRanks ? try own.map { try tape.gatherRows($0) } : own  // [N, D] each
            let allGuide = gathersAcrossRanks ? try ownGuide.map { try tape.gatherRows($0) } : ownGuide  // [N, G] each
            let first = gathersAcrossRanks ? tape.ranks.offset : 0
            let limits = limits(tape.rowProducts(ownGuide[0], ownGuide[1]).matrix)  // [b]

            let temperature = temperature
            // (whose, with whom): anchors with positives first, which include the correct answer.
            var blocks = [(0, 1)]
            if contrastsAnchors { blocks.append((0, 0)) }
            if contrastsPositives { blocks.append((1, 1)) }
            blocks += columns.dropFirst(2).map { (0, $0) }
            let sum = tape.tiled(batch.rows, [own[0], own[1]] + all) { tape, inputs, rows in
                let scores = blocks.map { whose, with in
                    let cosines = tape.products(tape.rows(inputs[whose], rows), inputs[2 + with])  // [t, N]
                    let judged = tape.products(
                        tape.constant(ownGuide[whose].matrix.rows(rows)), tape.constant(allGuide[with].matrix)
                    ).matrix
                    return tape.masked(cosines) { row, index in
                        let isOwn = index == first + rows.lowerBound + row
                        let limit = limits[rows.lowerBound + row]
                        if isOwn && with < 2 { return with != whose || limit > 1 + 2 * Self.tie }
                        return Double(judged[row, index]) <= limit
                    }
                }
                let logits = tape.scaled(tape.concatenateColumns(scores), by: 1 / temperature)
                return tape.sum(tape.crossEntropy(logits) { first + rows.lowerBound + $0 })
            }
            return tape.scaled(sum, by: 1 / tape.globalRows)
        }
    }

    /// The largest similarity to the guide that a negative of each row may have.
    private func limits(_ pairs: Matrix) -> [Double] {
        (0..<pairs.rows).map { row in
            let pair = Double(pairs[row, 0])
            return pair - (isRelative ? abs(pair) * margin : margin) + Self.tie
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "in-batch negatives without those that a frozen guide finds more similar than the pair",
        inputs: MultipleNegativesRankingLoss.inputs,
        settings: Settings.self,
        citation: """
            @misc{solatorio2024gistembed,
                title={GISTEmbed: Guided In-sample Selection of Training Negatives for Text Embedding Fine-tuning},
                author={Aivin V. Solatorio},
                year={2024},
                eprint={2402.16829},
                archivePrefix={arXiv},
                primaryClass={cs.LG}
            }
            """,
        make: { GISTEmbedLoss($0) })
}

/// Refuses fewer than two text columns.
func requireColumns(_ count: Int, loss: String) throws(TuttiError) {
    guard count >= 2 else {
        throw TuttiError.loss(
            loss, problem: "the data set has one text column",
            hint: "It needs (anchor, positive), and may have any number of negatives.")
    }
}
