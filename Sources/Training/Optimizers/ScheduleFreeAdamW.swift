// Schedule-free AdamW: averages in place of a schedule.
//
// Three points: z, which steps; x, their average, which is evaluated and saved; y between the two, where gradients are
// taken. While a model trains, y is in the parameters' place; for an evaluation x changes places with it, bit for bit.
//
// Reference: Defazio et al. 2024, arXiv 2405.15682; schedulefree.AdamWScheduleFree.

import Foundation
import TuttiEncoders
import TuttiGround
import TuttiKernels

/// `optim: schedule_free_adamw`.
struct ScheduleFreeAdamW: Optimizer {
    /// Its options.
    struct Settings: DescribedSettings {
        var adam = AdamW.Settings()
        var warmupSteps = 0.0
        var power = 0.0
        var ratePower = 2.0

        static let options = OptionList<Settings>(AdamW.options(at: \.adam) + own)
        private static let own: [Option<Settings>] = [
            Option("r", \.power, "the power of the step's number in a step's weight", check: .within(0...100)),
            Option(
                "weight_lr_power", \.ratePower, "the power of the highest learning rate in it",
                check: .within(0...100)),
        ]
    }

    /// What the registry knows of it.
    static let entry = OptimizerEntry(
        names: ["schedule_free_adamw"],
        summary: "AdamW that averages its steps in place of a schedule: with lr_scheduler_type: constant; warmup_steps "
            + "are its own", settings: Settings.self,
        start: {
            AdamW.takeArguments(&$0.adam, $1)
            $0.warmupSteps = $1.warmupSteps
        }
    ) { (settings) throws(OptionProblem) in
        guard settings.adam.beta1 > 0 else { throw OptionProblem("must be above 0", at: "beta1") }
        return ScheduleFreeAdamW(settings: settings)
    }

    let settings: Settings

    var stateNames: [String] { ["exp_avg_sq", "z", EvaluationWeights.stateName] }
    var weightCopies: [Int] { [1] }
    var evaluationWeights: Int? { 2 }
    var numberNames: [String] { ["weight_sum", "lr_max", "averaging_weight", "warmup_factor"] }

    func leavesStill(_ run: UpdateRun) -> Bool { run.weightDecay == 0 && settings.adam.epsilon > 0 }

    /// The weight of the newest z in the average, which is a function of all rates so far. The base rate cancels out.
    func begin(step: Int, factor: Double, _ numbers: OptimizerNumbers) {
        let warmup = Swift.min(1, settings.warmupSteps > 0 ? Double(step) / settings.warmupSteps : 1)
        let most = Swift.max(factor * warmup, numbers.values[1])
        let weight = pow(Double(step), settings.power) * pow(most, settings.ratePower)
        numbers.values[0] += weight
        numbers.values[1] = most
        numbers.values[2] = numbers.values[0] == 0 ? 0 : weight / numbers.values[0]
        numbers.values[3] = warmup
    }

    func update(
        _ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState, step: Int, factor: Double,
        gradientScale: Float
    ) {
        let (adam, newest) = (settings.adam, state.numbers.values[2])
        let rate = run.baseRate * factor * state.numbers.values[3]
        var scalars = UpdateScalars(gradientScale: gradientScale)
        scalars.coupledDecay = run.weightDecay  // at y, a part of the direction
        (scalars.beta2, scalars.epsilon, scalars.momentum) = (adam.beta2, adam.epsilon, newest)
        scalars.rate = rate
        scalars.secondRate = rate * (adam.beta1 * (1 - newest) - 1)
        scalars.correction2 = 1 - OptimizerKernels.power(adam.beta2, step)
        OptimizerKernels.apply(.scheduleFree, run.arrays(parameters, state, a: 0, b: 1), scalars)
    }

    /// x = y + (1 - 1 / beta1) (z - y).
    func makeEvaluationWeights(_ run: UpdateRun, of parameters: ParameterStore, state: OptimizerState) {
        OptimizerKernels.interpolate(
            from: UnsafeBufferPointer(rebasing: parameters.values[run.range]),
            to: UnsafeBufferPointer(state.arenas[1][run.range]), weight: 1 - 1 / settings.adam.beta1,
            into: state.arenas[2][run.range])
    }
}
