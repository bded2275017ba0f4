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
                "\"cosine_with_min_lr\" needs one of min_lr or min_lr_rate",
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
