// Optimizers: flat loops over the parameter arena, in maximal runs of parameters that are updated alike.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiKernels

/// A stretch of the parameter arena that one update rule covers.
struct UpdateRun: Equatable {
    var range: Range<Int>
    /// The learning rate before the schedule's factor.
    var baseRate: Double
    var weightDecay: Double
    /// The loss that owns it; nil for the model's own.
    var loss: Int?
}

/// An update rule. It keeps no numbers between steps: those lie in an `OptimizerState`, which ranks may share.
protocol Optimizer: Sendable {
    /// The state's arenas by the prefixes that their tensors carry in `optimizer.safetensors`.
    var stateNames: [String] { get }
    /// Whether parameters of `run` that have never had a gradient keep their bits, and so does their state.
    func leavesStill(_ run: UpdateRun) -> Bool
    /// One step over `run`. Allocates nothing; several threads may update different runs.
    ///
    /// - Parameters:
    ///   - state: an arena for each of `stateNames`.
    ///   - step: 1 for the first update.
    ///   - factor: the schedule's factor of every run's base rate.
    ///   - gradientScale: multiplies every gradient first: the clipping coefficient.
    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float)
}

/// Cuts the arena into maximal runs with one owner, one rate and one decay.
///
/// - Parameters:
///   - losses: where the parameters of each loss lie.
///   - names: what else a parameter is called, such as the reference calls it.
/// - Throws: a usage error for a `learning_rate_mapping` pattern that is no regular expression or matches nothing.
func updateRuns(
    layout: ParameterLayout, losses: [Range<Int>] = [], arguments: TrainingArguments,
    names otherNames: [String: [String]] = [:]
) throws(TuttiError) -> [UpdateRun] {
    var patterns: [(pattern: String, regex: Regex<AnyRegexOutput>, rate: Double, matched: Bool)] = []
    for (pattern, rate) in arguments.learningRateMapping {
        do {
            patterns.append((pattern, try Regex(pattern), rate, false))
        } catch {
            throw TuttiError(
                .usage, "read learning_rate_mapping", "args.learning_rate_mapping.\(pattern)",
                "not a regular expression: \(error)")
        }
    }
    var runs: [UpdateRun] = []
    for entry in layout.entries {
        var rate = arguments.learningRate
        let names = [entry.name] + (otherNames[entry.name] ?? [])
        for index in patterns.indices
        where names.contains(where: { $0.firstMatch(of: patterns[index].regex) != nil }) {
            patterns[index].matched = true
            rate = patterns[index].rate
        }
        let decay = entry.decays ? arguments.weightDecay : 0
        let loss = losses.firstIndex { $0.overlaps(entry.range) }
        if let last = runs.indices.last, runs[last].baseRate == rate, runs[last].weightDecay == decay,
            runs[last].loss == loss, runs[last].range.upperBound == entry.range.lowerBound  // ranges hold their padding
        {
            runs[last].range = runs[last].range.lowerBound..<entry.range.upperBound
        } else {
            runs.append(UpdateRun(range: entry.range, baseRate: rate, weightDecay: decay, loss: loss))
        }
    }
    for pattern in patterns where !pattern.matched {
        throw TuttiError(
            .usage, "read learning_rate_mapping", "args.learning_rate_mapping.\(pattern.pattern)",
            "matches no parameter",
            hint: "`tutti inspect MODEL --parameters` lists the names; they match bare or as sentence-transformers"
                + " writes them, such as \"model.0.model.\" before the name.")
    }
    return runs
}
