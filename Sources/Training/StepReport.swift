// What an optimizer step tells the training loop.

/// This rank's part of the result of a step.
struct StepReport {
    /// This rank's share of the loss, the mean over the micro-batches; the ranks' shares add up to the loss.
    var partialLoss = 0.0
    /// The shares of the summands that the loss logs by name.
    var parts: [(name: String, value: Double)] = []
    /// Norm of the gradient of the model's own parameters before clipping, equal on all ranks.
    var gradientNorm = 0.0
    /// The learning rate that the update used.
    var learningRate = 0.0
    /// Tokens that this rank encoded, and rows of the data.
    var tokens = 0
    var rows = 0
    /// Floating-point operations of its passes, forward and backward.
    var flops = 0.0

    /// Adds one of `count` micro-batches.
    mutating func add(_ value: Double, parts summands: [(name: String, value: Double)], count: Int) {
        partialLoss += value / Double(count)
        for (name, value) in summands {
            if let place = parts.firstIndex(where: { $0.name == name }) {
                parts[place].value += value / Double(count)
            } else {
                parts.append((name, value / Double(count)))
            }
        }
    }

    /// The report of a step whose gradient is not finite somewhere, be it only in a loss's own parameters.
    var diverged: StepReport {
        var report = self
        report.gradientNorm = .nan
        return report
    }
}
