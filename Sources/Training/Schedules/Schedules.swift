// The schedules of the reference, one entry each.
//
// Legend: t steps done, w warm-up steps, N all steps.
// Reference: transformers.optimization (get_linear_schedule_with_warmup and its neighbours).

import Foundation
import TuttiGround

extension ScheduleEntry {
    /// From 1 to 0 in a straight line.
    static let linear = ScheduleEntry(
        name: "linear", summary: "falls to 0 in a straight line", settings: NoSettings.self
    ) { _, t, w, n in max(0, (n - t) / max(1, n - w)) }

    /// From 1 to 0 along a cosine.
    static let cosine = ScheduleEntry(
        name: "cosine", summary: "falls to 0 along a cosine", settings: CosineSettings.self
    ) { settings, t, w, n in max(0, 0.5 * (1 + cos(.pi * 2 * settings.cycles * (t - w) / max(1, n - w)))) }

    /// Several cosines, each from 1 to 0.
    static let cosineWithRestarts = ScheduleEntry(
        name: "cosine_with_restarts", summary: "falls to 0 along a cosine, several times",
        settings: RestartSettings.self
    ) { settings, t, w, n in
        let progress = (t - w) / max(1, n - w)
        if progress >= 1 { return 0 }
        return max(0, 0.5 * (1 + cos(.pi * (settings.cycles * progress).truncatingRemainder(dividingBy: 1))))
    }

    /// From 1 to a lowest rate along a cosine.
    static let cosineWithMinLR = ScheduleEntry(
        name: "cosine_with_min_lr", summary: "falls to a lowest rate along a cosine", settings: LowestRateSettings.self,
        resolve: { (settings, rate) throws(OptionProblem) in try settings.resolve(learningRate: rate) }
    ) { settings, t, w, n in
        let cosine = 0.5 * (1 + cos(.pi * settings.cycles * 2 * (t - w) / max(1, n - w)))
        let share = settings.share ?? 0
        return max(0, cosine * (1 - share) + share)
    }

    /// As a power of what is left, to a last rate.
    static let polynomial = ScheduleEntry(
        name: "polynomial", summary: "falls as a power of the steps that are left", settings: PolynomialSettings.self,
        resolve: { (settings, rate) throws(OptionProblem) in
            guard settings.last < rate else {
                throw OptionProblem("\(settings.last) is not below learning_rate, \(rate)", at: "lr_end")
            }
            settings.share = settings.last / rate
        }
    ) { settings, t, w, n in
        if t > n { return settings.share }
        let left = 1 - (t - w) / max(1, n - w)
        return (1 - settings.share) * pow(left, settings.power) + settings.share
    }

    /// From a share of the rate up, then down to a lowest rate along a cosine.
    static let cosineWarmupWithMinLR = ScheduleEntry(
        name: "cosine_warmup_with_min_lr",
        summary: "begins above 0, and falls to a lowest rate along a cosine", settings: WarmLowestRateSettings.self,
        warmsUp: false,
        resolve: { (settings, rate) throws(OptionProblem) in try settings.lowest.resolve(learningRate: rate) }
    ) { settings, t, w, n in
        if t < w {
            guard let first = settings.first else { return (t + 1) / max(1, w) }
            return first + (1 - first) * t / max(1, w - 1)
        }
        let progress = (t - w + 1) / max(1, n - w)
        let cosine = 0.5 * (1 + cos(.pi * settings.lowest.cycles * 2 * progress))
        let share = settings.lowest.share ?? 0
        return max(0, cosine * (1 - share) + share)
    }

    /// Up, level, down.
    static let warmupStableDecay = ScheduleEntry(
        name: "warmup_stable_decay", summary: "stays as it is after the warm-up, and falls in the last steps",
        settings: StableSettings.self, warmsUp: false,
        resolve: { (settings, _) throws(OptionProblem) in
            guard settings.decaySteps != nil else {
                throw OptionProblem(
                    "\"warmup_stable_decay\" needs num_decay_steps",
                    hint: "For example lr_scheduler_kwargs: {num_decay_steps: 100}.")
            }
        }
    ) { settings, t, w, n in
        let decay = settings.decaySteps ?? 0
        let stable = settings.stableSteps ?? n - w - decay
        func above(_ share: Double) -> Double { max(0, share * (1 - settings.lowest) + settings.lowest) }
        if t < w { return above(settings.warmupType.rising(t / max(1, w))) }
        if t < w + stable { return 1 }
        guard t < w + stable + decay else { return settings.lowest }
        return above(settings.decayType.falling((t - w - stable) / max(1, decay), cycles: settings.cycles))
    }

    /// 1, without a warm-up.
    static let constant = ScheduleEntry(
        name: "constant", summary: "stays as it is; no warm-up", settings: NoSettings.self, warmsUp: false
    ) { _, _, _, _ in 1 }.ignoringOptions()

    /// 1 after the warm-up.
    static let constantWithWarmup = ScheduleEntry(
        name: "constant_with_warmup", summary: "stays as it is after the warm-up", settings: NoSettings.self
    ) { _, _, _, _ in 1 }.ignoringOptions()

    /// As one over the square root of the steps.
    static let inverseSquareRoot = ScheduleEntry(
        name: "inverse_sqrt", summary: "falls as one over the square root of the steps",
        settings: InverseSquareRootSettings.self
    ) { settings, t, w, _ in
        let timescale = settings.timescale ?? (w > 0 ? w : 10000)
        return 1 / ((t + timescale - w) / timescale).squareRoot()
    }
}

/// Numbers that leave the formulas finite.
private let bounded = OptionCheck<Double>.within(-1e9...1e9)

private struct CosineSettings: DescribedSettings {
    var cycles = 0.5
    static let options = OptionList<CosineSettings>([
        Option("num_cycles", \.cycles, "waves of the cosine; half a wave ends at 0", check: bounded)
    ])
}

private struct RestartSettings: DescribedSettings {
    var cycles = 1.0
    static let options = OptionList<RestartSettings>([
        Option("num_cycles", \.cycles, "how often it falls", check: bounded)
    ])
}

private struct PolynomialSettings: DescribedSettings {
    var last = 1e-7
    var power = 1.0
    var share = 0.0  // of the learning rate, once resolved
    static let options = OptionList<PolynomialSettings>([
        Option("lr_end", \.last, "the learning rate of the last step", check: .within(0...1e6)),
        Option("power", \.power, "of the steps that are left", check: .within(0...1e3)),
    ])
}

private struct WarmLowestRateSettings: DescribedSettings {
    var lowest = LowestRateSettings()
    var first: Double?
    static let options = OptionList<WarmLowestRateSettings>(
        LowestRateSettings.options.options.map { $0.lifted(to: \.lowest) } + [
            Option("warmup_lr_rate", \.first, "the first rate, as a share of learning_rate", check: bounded)
        ])
}

private struct StableSettings: DescribedSettings {
    /// A way from 0 to 1, or from 1 to 0.
    enum Shape: String, OptionChoice {
        case linear, cosine
        case root = "1-sqrt"

        func rising(_ x: Double) -> Double {
            switch self {
            case .linear: x
            case .cosine: 0.5 * (1 - cos(.pi * x))
            case .root: 1 - (1 - x).squareRoot()
            }
        }

        func falling(_ x: Double, cycles: Double) -> Double {
            switch self {
            case .linear: 1 - x
            case .cosine: 0.5 * (1 + cos(.pi * cycles * 2 * x))
            case .root: 1 - x.squareRoot()
            }
        }
    }

    var decaySteps: Double?
    var stableSteps: Double?
    var warmupType = Shape.linear
    var decayType = Shape.cosine
    var lowest = 0.0
    var cycles = 0.5
    static let options = OptionList<StableSettings>([
        Option("num_decay_steps", \.decaySteps, "the steps in which it falls; required", check: .within(0...1e15)),
        Option(
            "num_stable_steps", \.stableSteps, "the steps before them; what the run leaves, if not given",
            check: .within(0...1e15)),
        Option("warmup_type", \.warmupType, "how it rises"),
        Option("decay_type", \.decayType, "how it falls"),
        Option("min_lr_ratio", \.lowest, "the lowest rate, as a share of learning_rate", check: .within(0...1)),
        Option("num_cycles", \.cycles, "waves of the cosine; half a wave ends at the lowest rate", check: bounded),
    ])
}

private struct InverseSquareRootSettings: DescribedSettings {
    var timescale: Double?
    static let options = OptionList<InverseSquareRootSettings>([
        Option(
            "timescale", \.timescale, "steps after which it has fallen markedly; the warm-up's, or 10000 without one",
            check: .positive)
    ])
}

private struct LowestRateSettings: DescribedSettings {
    var cycles = 0.5
    var rate: Double?
    var share: Double?
    static let options = OptionList<LowestRateSettings>([
        Option("num_cycles", \.cycles, "waves of the cosine; half a wave ends at the lowest rate", check: bounded),
        Option("min_lr", \.rate, "the lowest learning rate", check: bounded),
        Option("min_lr_rate", \.share, "the same as a share of learning_rate", check: bounded),
    ])

    /// Makes the lowest rate a share of `learningRate`.
    mutating func resolve(learningRate: Double) throws(OptionProblem) {
        switch (rate, share) {
        case (nil, nil):
            throw OptionProblem(
                "this schedule needs one of min_lr or min_lr_rate",
                hint: "For example lr_scheduler_kwargs: {min_lr_rate: 0.1}.")
        case (_?, _?): throw OptionProblem("excludes min_lr_rate", hint: "Keep one of the two.", at: "min_lr")
        case (let rate?, nil):
            guard learningRate > 0 else {
                throw OptionProblem("is a share of learning_rate, which is 0", at: "min_lr")
            }
            share = rate / learningRate
        case (nil, _?): break
        }
    }
}
