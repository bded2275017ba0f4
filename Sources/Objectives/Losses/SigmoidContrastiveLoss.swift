// SigmoidContrastiveLoss: every pair of an anchor and a candidate is a binary classification.
//
// Legend: `t` rows of a tile, `b` rows on this rank, `N` rows of all ranks, `C` text columns, `D` width,
// `M` = (C - 1) N candidates.

import Foundation
import TuttiGround
import TuttiKernels

/// The pairwise sigmoid loss of SigLIP: the binary cross entropy of all pairs of an anchor and a candidate, with a
/// temperature and a bias that are learned.
///
/// The candidates are all positives of all ranks, then all negatives; only a row's own positive is a match:
///
///     loss = 1/N  sum_i  sum_j  softplus( -z_ij (e^logit_scale cos(a_i, c_j) + logit_bias) ),  z_ii = 1, else -1
///
/// **When to use it**: as MultipleNegativesRankingLoss, without its softmax: pairs do not compete, so it does well with
/// small global batches and with rows that have several correct answers. The bias must start low, because nearly
/// all pairs do not match.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (anchor, positive) | none |
/// | (anchor, positive, negative_1, ..., negative_n) | none |
///
/// **Parameters**: logit_scale and logit_bias, one number each, trained with the model.
///
/// **Relations**: not in the reference library; the values are those of the paper's algorithm. Pairs are over all ranks,
/// so W ranks equal one process.
///
/// **Citation**: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training", arXiv 2303.15343.
package final class SigmoidContrastiveLoss: Loss {
    /// "SigmoidContrastiveLoss".
    package static let name = "SigmoidContrastiveLoss"

    /// Its options.
    struct Settings: LossSettings {
        var scale = 10.0
        var bias = -10.0

        static let options = OptionList<Settings>([
            Option("logit_scale", \.scale, "initial factor on cosines", check: .positive),
            Option("logit_bias", \.bias, "initial bias"),
        ])
    }

    private let scale: Double
    private let bias: Double
    private let tape = Tape()

    init(_ settings: Settings) {
        scale = settings.scale
        bias = settings.bias
    }

    /// logit_scale and logit_bias.
    package var options: [(name: String, value: JSONValue)] { Settings(scale: scale, bias: bias).listed }

    /// Refuses data without a positive column.
    package func check(_ setting: LossSetting) throws(TuttiError) {
        try requireColumns(setting.columns.count, loss: Self.name)
    }

    /// The logarithm of the factor, and the bias.
    package func parameters(_ setting: LossSetting) -> [LossParameter] {
        [
            LossParameter("logit_scale", [1], start: .constant(Float(log(scale)))),
            LossParameter("logit_bias", [1], start: .constant(Float(bias))),
        ]
    }

    /// This rank's part of the mean over all rows. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try requireColumns(batch.columns, loss: Self.name)
        return try tape.evaluate(batch, gradients, context) { tape in
            let own = (0..<batch.columns).map { tape.normalized(tape.column($0)) }  // [b, D] each
            let candidates = tape.concatenateRows(try own.dropFirst().map { try tape.gatherRows($0) })  // [M, D]
            let factor = tape.exponential(tape.parameter("logit_scale"))
            let inputs = [own[0], candidates, factor, tape.parameter("logit_bias")]
            let first = tape.ranks.offset
            let sum = tape.tiled(batch.rows, inputs) { tape, inputs, rows in
                let cosines = tape.products(tape.rows(inputs[0], rows), inputs[1])  // [t, M]
                let logits = tape.shifted(tape.scaled(cosines, by: inputs[2]), by: inputs[3])
                let signs = tape.newMatrix(logits.rows, logits.columns)  // -z
                signs.fill(1)
                for row in 0..<signs.rows { signs[row, first + rows.lowerBound + row] = -1 }
                return tape.sum(tape.softplus(tape.multiply(logits, tape.constant(signs))))
            }
            return tape.scaled(sum, by: 1 / tape.globalRows)
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "each pair of an anchor and a candidate is a match or not (SigLIP), with learned scale and bias",
        inputs: MultipleNegativesRankingLoss.inputs,
        settings: Settings.self,
        citation: """
            @misc{zhai2023sigmoid,
                title={Sigmoid Loss for Language Image Pre-Training},
                author={Xiaohua Zhai and Basil Mustafa and Alexander Kolesnikov and Lucas Beyer},
                year={2023},
                eprint={2303.15343},
                archivePrefix={arXiv},
                primaryClass={cs.CV}
            }
            """,
        make: { SigmoidContrastiveLoss($0) })
}
