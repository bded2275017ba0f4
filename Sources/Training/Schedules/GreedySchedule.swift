// greedy: the rate rises while the metric improves from evaluation to evaluation, and falls where it does not.
//
// Its lowest rate, min_lr, is 0.001 by default, as in the reference: above the usual rates of fine-tuning, where it then
// changes nothing downwards. Give min_lr.
//
// Reference: arXiv 2512.14527; GreedyLR of transformers.optimization.

import TuttiGround

/// Its options.
struct GreedySettings: DescribedSettings {
    var improvement = Improvement(threshold: 1e-6, thresholdMode: .abs)
    var factor = 0.95
    var patience = 10
    var cooldown = 0
    var warmup = 0
    var lowest = 1e-3
    var highest = 1.0
    var epsilon = 1e-8
    var smooth = false
    var window = 50
    var resetStart = 500

    static let options = OptionList<GreedySettings>(
        Improvement.options.options.map { $0.lifted(to: \.improvement) } + own)
    private static let own: [Option<GreedySettings>] = [
        Option("factor", \.factor, "what the rate is multiplied by, or divided by", check: .within(1e-9..<1)),
        Option("patience", \.patience, "evaluations of one kind in a row that are waited for", check: .atLeast(0)),
        Option("cooldown", \.cooldown, "evaluations after a fall that do not count", check: .atLeast(0)),
        Option("warmup", \.warmup, "evaluations after a rise that do not count", check: .atLeast(0)),
        Option("min_lr", \.lowest, "the lowest rate", check: .within(0...1e6)),
        Option("max_lr", \.highest, "the highest rate", check: .within(0...1e6)),
        Option("eps", \.epsilon, "the least change of the rate", check: .within(0...1e6)),
        Option("smooth", \.smooth, "look at the mean of the last evaluations"),
        Option("window_size", \.window, "how many evaluations that mean is of", check: .atLeast(1)),
        Option(
            "reset_start", \.resetStart, "falls at the lowest rate after which everything begins again",
            check: .atLeast(0)),
    ]
}

/// Raises and lowers the rate.
final class GreedyFollower: RateFollower, @unchecked Sendable {
    private let settings: GreedySettings
    private let first: Double
    private(set) var rate: Double
    private var best: Double
    private var (bad, good, cooldown, warmup) = (0, 0, 0, 0)
    private var resetStart: Int
    private var window: [Double] = []
    private var windowSum = 0.0

    init(_ settings: GreedySettings, learningRate: Double) {
        self.settings = settings
        (first, rate) = (learningRate, learningRate)
        best = settings.improvement.worst
        resetStart = settings.resetStart
    }

    func take(_ metric: Double) {
        let metric = settings.smooth ? smoothed(metric) : metric
        if cooldown > 0 {
            cooldown -= 1
            (bad, good) = (0, 0)
        } else if warmup > 0 {
            warmup -= 1
            (bad, good) = (0, 0)
        } else {
            judge(metric)
        }
    }

    private func judge(_ metric: Double) {
        if settings.improvement.isBetter(metric, than: best) {
            best = metric
            (bad, good) = (0, good + 1)
        } else {
            (bad, good) = (bad + 1, 0)
        }
        if good > settings.patience {
            let higher = min(rate / settings.factor, settings.highest)
            if higher - rate > settings.epsilon { rate = higher }
            resetStart = settings.resetStart
            (warmup, good) = (settings.warmup, 0)
        } else if bad > settings.patience {
            lower()
            (cooldown, bad) = (settings.cooldown, 0)
        }
    }

    private func lower() {
        let lower = max(rate * settings.factor, settings.lowest)
        if rate - lower > settings.epsilon { rate = lower }
        guard rate <= settings.lowest else { return }
        resetStart -= 1
        guard resetStart <= 0 else { return }
        (rate, best, resetStart) = (first, settings.improvement.worst, settings.resetStart)
        (bad, good, cooldown, warmup) = (0, 0, 0, 0)
        (window, windowSum) = ([], 0)
    }

    private func smoothed(_ metric: Double) -> Double {
        window.append(metric)
        windowSum += metric
        if window.count > settings.window { windowSum -= window.removeFirst() }
        return windowSum / Double(window.count)
    }

    var state: JSONObject {
        get {
            [
                "rate": .number(rate), "best": .counter(best), "num_bad_epochs": .integer(Int64(bad)),
                "num_good_epochs": .integer(Int64(good)), "cooldown_counter": .integer(Int64(cooldown)),
                "warmup_counter": .integer(Int64(warmup)), "reset_start": .integer(Int64(resetStart)),
                "window": .array(window.map(JSONValue.counter)), "window_sum": .counter(windowSum),
            ]
        }
        set {
            rate = newValue["rate"]?.double ?? rate
            best = newValue["best"]?.counter ?? best
            bad = newValue["num_bad_epochs"]?.int ?? bad
            good = newValue["num_good_epochs"]?.int ?? good
            cooldown = newValue["cooldown_counter"]?.int ?? cooldown
            warmup = newValue["warmup_counter"]?.int ?? warmup
            resetStart = newValue["reset_start"]?.int ?? resetStart
            window = newValue["window"]?.array?.compactMap(\.counter) ?? window
            windowSum = newValue["window_sum"]?.counter ?? windowSum
        }
    }
}

extension ScheduleEntry {
    /// Rises and falls with the metric.
    static let greedy = ScheduleEntry(
        name: "greedy",
        summary: "rises while metric_for_best_model improves and falls where it does not; no warm-up; give min_lr",
        settings: GreedySettings.self
    ) { GreedyFollower($0, learningRate: $1) }
}
