// Optimizers: flat loops over the parameter arena, in maximal runs of parameters that are updated alike.
//
// Most are elementwise: any part of any parameter may be updated anywhere, so ranks take chunks of the arena. Those that
// look at whole tensors (Adafactor, Muon) say so: each tensor then belongs to one rank of a memory.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels

/// A stretch of the parameter arena that one update rule covers.
struct UpdateRun: Equatable {
    var range: Range<Int>
    /// The learning rate before the schedule's factor.
    var baseRate: Double
    var weightDecay: Double
    /// The loss that owns it; nil for the model's own.
    var loss: Int?
    /// The tensor, where an optimizer needs whole ones: what is one parameter in the reference.
    var tensor: ParameterLayout.Entry?
}

/// A tensor of an optimizer's state, as `optimizer.safetensors` names it: `<prefix>.<parameter>`.
struct StateTensor: Equatable {
    var prefix: String
    /// Its arena, and its floats there.
    var arena: Int
    var elements: Range<Int>
    var shape: [Int]
}

/// Numbers that an optimizer keeps beside its arenas, the same on every rank; stored with them, in fp64.
final class OptimizerNumbers {
    /// Their names in `optimizer.safetensors`.
    let names: [String]
    /// Their values, zero before the first step.
    var values: [Double]

    init(names: [String]) {
        self.names = names
        values = [Double](repeating: 0, count: names.count)
    }
}

/// An update rule. It keeps no numbers between steps: those lie in an `OptimizerState`, which ranks may share.
protocol Optimizer: Sendable {
    /// The state's arenas by the prefixes that their tensors carry in `optimizer.safetensors`.
    var stateNames: [String] { get }
    /// The arenas that begin as copies of the parameters, rather than as zeros.
    var weightCopies: [Int] { get }
    /// The arena that takes turns with the parameters: it holds the weights that are evaluated and saved, and the ones that
    /// are trained while those are in the parameters' place. Nil where both are the same.
    var evaluationWeights: Int? { get }
    /// The names of the numbers that it keeps beside its arenas.
    var numberNames: [String] { get }
    /// Whether it updates whole tensors only.
    var needsWholeTensors: Bool { get }
    /// The tensors of the state of a parameter.
    func stateTensors(of entry: ParameterLayout.Entry) -> [StateTensor]
    /// Called once before the updates of a step, on every rank: the place to change the numbers.
    ///
    /// `step` is 1 for the first.
    func begin(step: Int, factor: Double, _ numbers: OptimizerNumbers)
    /// Puts the weights that are to be evaluated into their arena, where that is not done in each step.
    func makeEvaluationWeights(_ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState)
    /// What a step does with parameters that it passes over, because no loss of theirs had a part in it.
    func passOver(_ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState)
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

extension Optimizer {
    var weightCopies: [Int] { [] }
    var evaluationWeights: Int? { nil }
    var numberNames: [String] { [] }
    var needsWholeTensors: Bool { false }
    func leavesStill(_ run: UpdateRun) -> Bool { false }
    func begin(step: Int, factor: Double, _ numbers: OptimizerNumbers) {}
    func makeEvaluationWeights(_ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState) {}
    func passOver(_ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState) {}

    func stateTensors(of entry: ParameterLayout.Entry) -> [StateTensor] {
        stateNames.indices.map {
            StateTensor(prefix: stateNames[$0], arena: $0, elements: entry.elements, shape: entry.shape)
        }
    }
}

extension UpdateRun {
    /// What an elementwise update goes over: parameters, gradients and arenas of state by their numbers.
    func arrays(
        _ parameters: ParameterStore, _ state: OptimizerState, a: Int? = nil, b: Int? = nil, c: Int? = nil
    ) -> UpdateArrays {
        UpdateArrays(
            parameters: .init(rebasing: parameters.values[range]),
            gradients: .init(rebasing: parameters.gradients[range]),
            a: a.map { state.arenas[$0][range] }, b: b.map { state.arenas[$0][range] },
            c: c.map { state.arenas[$0][range] })
    }
}

/// Cuts the arena into maximal runs with one owner, one rate and one decay.
///
/// - Parameters:
///   - losses: where the parameters of each loss lie.
///   - wholeTensors: whether each tensor is a run of its own, or each part that is a parameter in the reference.
///   - names: what else a parameter is called, such as the reference calls it.
/// - Throws: a usage error for a `learning_rate_mapping` pattern that is no regular expression or matches nothing.
func updateRuns(
    layout: ParameterLayout, losses: [Range<Int>] = [], arguments: TrainingArguments, wholeTensors: Bool = false,
    names otherNames: [String: ParameterNames] = [:]
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
    let depths = LayerDepths(layout)
    for entry in layout.all {
        var rate = arguments.learningRate * depths.factor(of: entry, decay: arguments.layerwiseDecay)
        var names = otherNames[entry.name] ?? ParameterNames([])
        names.whole.append(entry.name)
        for index in patterns.indices {
            do throws(OptionProblem) {
                guard try names.match({ $0.firstMatch(of: patterns[index].regex) != nil }) else { continue }
            } catch let flaw {
                throw TuttiError(
                    .usage, "read learning_rate_mapping", "args.learning_rate_mapping.\(patterns[index].pattern)",
                    flaw.problem, hint: flaw.hint)
            }
            patterns[index].matched = true
            rate = patterns[index].rate
        }
        if entry.isFrozen { continue }
        let decay = entry.decays ? arguments.weightDecay : 0
        let loss = losses.firstIndex { $0.overlaps(entry.range) }
        if wholeTensors {
            let parts = names.parts.indices.map { entry.part($0, of: names.parts.count) }
            for tensor in parts.isEmpty ? [entry] : parts {
                runs.append(
                    UpdateRun(range: tensor.range, baseRate: rate, weightDecay: decay, loss: loss, tensor: tensor))
            }
        } else if let last = runs.indices.last, runs[last].baseRate == rate, runs[last].weightDecay == decay,
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
