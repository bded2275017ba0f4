// A loss with a parameter of its own, for tests: the mean over rows of |a + offset - p|^2 / 2.

import TuttiGround
import TuttiKernels
import TuttiObjectives

/// Moves anchors by a trained offset onto their positives.
final class OffsetLoss: Loss {
    static let name = "OffsetLoss"
    var options: [(name: String, value: JSONValue)] { [] }

    func parameters(_ setting: LossSetting) -> [LossParameter] {
        [LossParameter("offset", [setting.width], start: .normal(deviation: 0.3))]
    }

    func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        var rows = Double(batch.rows)
        try withUnsafeMutablePointer(to: &rows) {
            try context.ensemble.allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1))
        }
        let offset = context.parameters["offset"]
        let (anchors, positives) = (batch.column(0), batch.column(1))
        gradients?.embeddings.fill(0)
        var sum = 0.0
        for row in 0..<batch.rows {
            for place in 0..<anchors.columns {
                let difference = anchors[row, place] + offset.values[0, place] - positives[row, place]
                sum += 0.5 * Double(difference) * Double(difference) / rows
                let slope = Float(context.weight / rows) * difference
                gradients?.embeddings[row, place] = slope
                gradients?.embeddings[batch.rows + row, place] = -slope
                if gradients != nil { offset.gradient?[0, place] += slope }
            }
        }
        return sum
    }
}
