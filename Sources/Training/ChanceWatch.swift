// Notices a loss that is no better than chance for long: a model that has collapsed, or data to learn nothing from.
//
// A learning rate far too high ends with all embeddings equal and a finite gradient, so that nothing else would say it.

import TuttiObjectives

/// Compares the losses of steps with what a model that tells nothing apart would have.
struct ChanceWatch {
    /// Steps over which the mean is taken.
    static let window = 200
    /// A mean above this share of the chance level is no better.
    private static let share = 0.98

    /// One a loss: the loss, and the text columns that it sees; nil where its data sets have different numbers of them.
    private let losses: [(loss: any Loss, columns: Int?)]
    private var steps = 0
    private var lossSum = 0.0
    private var chanceSum = 0.0
    private var hasSpoken = false

    /// Watches the losses of a run.
    init(_ inputs: TrainingInputs, _ objectives: [Objective]) {
        losses = objectives.enumerated().map { place, objective in
            let counts = Set(inputs.trainDatasets.filter { $0.loss == place }.map(\.table.columnNames.count))
            return (objective.loss, counts.count == 1 ? counts.first : nil)
        }
    }

    /// Books a step; returns a line once, if the last 200 steps were no better than chance.
    ///
    /// - Parameters:
    ///   - loss: the step's global loss.
    ///   - used: which losses had a part in it.
    ///   - rows: the rows of a global batch.
    mutating func note(loss: Double, of used: [Bool], rows: Double, learningRate: Double) -> String? {
        guard !hasSpoken else { return nil }
        guard let chance = level(of: used, rows: rows), chance > 0 else {
            (steps, lossSum, chanceSum) = (0, 0, 0)
            return nil
        }
        steps += 1
        lossSum += loss
        chanceSum += chance
        guard steps == ChanceWatch.window else { return nil }
        let (mean, level) = (lossSum / Double(steps), chanceSum / Double(steps))
        (steps, lossSum, chanceSum) = (0, 0, 0)
        guard mean >= ChanceWatch.share * level else { return nil }
        hasSpoken = true
        return
            "The loss of the last \(ChanceWatch.window) steps, \(rounded(mean)) on average, is no better than chance "
            + "(\(rounded(level)), the logarithm of the number of candidates): the model learns nothing. Usual causes: "
            + "a learning_rate that is too high (now \(learningRate)), or columns that do not belong together."
    }

    /// What the step's loss would be by chance; nil if several losses, or none with such a value, had a part in it.
    private func level(of used: [Bool], rows: Double) -> Double? {
        guard let place = used.firstIndex(of: true), used.lastIndex(of: true) == place else { return nil }
        return losses[place].columns.flatMap { losses[place].loss.chance(rows: rows, columns: $0) }
    }

    private func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
}
