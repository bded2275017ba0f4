// A loss written outside the package: one class, its options, one line that registers it.
//
// Legend: `b` rows on this rank, `N` rows of all ranks.

import Tutti

/// The Huber loss of a pair's cosine similarity against its score: quadratic near the score, linear far from it.
///
///     loss = 1/N  sum_i  h(cos(u_i, v_i) - y_i),   h(e) = e^2 / 2  for |e| <= delta, else  delta (|e| - delta / 2)
final class HuberSimilarityLoss: Loss {
    static let name = "HuberSimilarityLoss"

    struct Settings: LossSettings {
        var delta = 0.25

        static let options = OptionList<Settings>([
            Option("delta", \.delta, "the error from which on the loss is linear", check: .positive)
        ])
    }

    private let delta: Double
    private let tape = Tape()

    init(delta: Double = 0.25) { self.delta = delta }

    var options: [(name: String, value: JSONValue)] { Settings(delta: delta).listed }

    func check(_ setting: LossSetting) throws(TuttiError) { try setting.check(against: Self.entry) }

    func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        let delta = Float(delta)
        return try tape.evaluate(batch, gradients, context) { tape in
            let similarities = tape.pairCosines(tape.column(0), tape.column(1))  // [b, 1]
            let errors = tape.subtract(similarities, try tape.labels(of: Self.name))  // [b, 1]
            let costs = tape.map(errors) { error in
                abs(error) <= delta
                    ? (error * error / 2, error)
                    : (delta * (abs(error) - delta / 2), error > 0 ? delta : -delta)
            }
            return tape.sum(costs, times: 1 / tape.globalRows)
        }
    }

    static let entry = LossEntry(
        name: name, summary: "the similarity of a pair must be near its score; outliers count less",
        inputs: [LossInput("sentence_A", "sentence_B", label: .score)], settings: Settings.self,
        make: { HuberSimilarityLoss(delta: $0.delta) })
}
