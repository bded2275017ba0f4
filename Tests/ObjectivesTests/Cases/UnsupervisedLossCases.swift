// Cases of the unsupervised losses for the laws of LossLawTests.

import TuttiGround
import TuttiObjectives

extension LossCase {
    private static func tension(
        _ options: JSONObject = [:], columns: Int, labels: Labels = .none, looksAcross: Bool = false
    ) -> LossCase {
        LossCase("ContrastiveTensionLoss", options, columns: columns, labels: labels).with {
            $0.hasTwin = true
            $0.looksAcrossRows = looksAcross
            $0.scale = 0.6
        }
    }

    private static func inBatch(_ options: JSONObject) -> LossCase {
        LossCase("ContrastiveTensionLossInBatchNegatives", options, columns: 1).with { $0.hasTwin = true }
    }

    /// The decoder of the cases stands for a real one: that is held by DecoderTests and GoldenLossTests.
    private static func denoising(_ options: JSONObject = [:], columns: Int) -> LossCase {
        LossCase("DenoisingAutoEncoderLoss", options, columns: columns).with {
            $0.hasDecoder = true
            $0.looksAcrossRows = false
        }
    }

    static let unsupervised: [LossCase] = [
        tension(columns: 2, labels: .binary),
        tension(columns: 2).with { $0.pairedRows = [1, 4, 8] },
        tension(["pos_neg_ratio": .integer(3)], columns: 1, looksAcross: true),
        tension(columns: 1, looksAcross: true).with { $0.seed = 8 },
        inBatch(["scale": .number(6)]),
        inBatch(["scale": .number(0.4), "similarity_fct": .string("dot_score")]),
        inBatch(["scale": .number(1.5), "similarity_fct": .string("euclidean_sim")]).with { $0.columns = 2 },
        denoising(columns: 1),
        denoising(["tie_encoder_decoder": .bool(false), "decoder_name_or_path": .string("decoder")], columns: 2),
    ]
}
