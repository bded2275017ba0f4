// reduce_lr_on_plateau: the rate falls where the metric has not improved for some evaluations.
//
// Reference: torch.optim.lr_scheduler.ReduceLROnPlateau.

import TuttiGround

/// Its options.
struct PlateauSettings: DescribedSettings {
    var improvement = Improvement()
    var factor = 0.1
    var patience = 10
    var cooldown = 0
    var lowest = 0.0
    var epsilon = 1e-8

    static let options = OptionList<PlateauSettings>(
        Improvement.options.options.map { $0.lifted(to: \.improvement) } + own)
    private static let own: [Option<PlateauSettings>] = [
        Option("factor", \.factor, "what the rate is multiplied by", check: .within(0..<1)),
        Option("patience", \.patience, "evaluations without improvement that are waited for", check: .atLeast(0)),
        Option("cooldown", \.cooldown, "evaluations after a change that do not count", check: .atLeast(0)),
        Option("min_lr", \.lowest, "the lowest rate", check: .within(0...1e6)),
        Option("eps", \.epsilon, "the least change of the rate", check: .within(0...1e6)),
    ]
}

/// Lowers the rate on a plateau of the metric.
final class PlateauFollower: RateFollower, @unchecked Sendable {
    private let settings: PlateauSettings
    private(set) var rate: Double
    private var best: Double
    private var bad = 0
    private var cooldown = 0

    init(_ settings: PlateauSettings, learningRate: Double) {
        self.settings = settings
        rate = learningRate
        best = settings.improvement.worst
    }

    func take(_ metric: Double) {
        if settings.improvement.isBetter(metric, than: best) {
            (best, bad) = (metric, 0)
        } else {
            bad += 1
        }
        if cooldown > 0 {
            cooldown -= 1
            bad = 0
        }
        guard bad > settings.patience else { return }
        let lower = max(rate * settings.factor, settings.lowest)
        if rate - lower > settings.epsilon { rate = lower }
        (cooldown, bad) = (settings.cooldown, 0)
    }

    var state: JSONObject {
        get {
            [
                "rate": .number(rate), "best": .counter(best), "num_bad_epochs": .integer(Int64(bad)),
                "cooldown_counter": .integer(Int64(cooldown)),
            ]
        }
        set {
            rate = newValue["rate"]?.double ?? rate
            best = newValue["best"]?.counter ?? best
            bad = newValue["num_bad_epochs"]?.int ?? bad
            cooldown = newValue["cooldown_counter"]?.int ?? cooldown
        }
    }
}

extension ScheduleEntry {
    /// Falls on plateaus of the metric.
    static let reduceOnPlateau = ScheduleEntry(
        name: "reduce_lr_on_plateau",
        summary: "falls where metric_for_best_model has not improved for some evaluations; no warm-up",
        settings: PlateauSettings.self
    ) { PlateauFollower($0, learningRate: $1) }
}
