// Learning-rate schedules: pure functions from the number of optimizer steps done to a factor of the base rate.
//
// Adding one = one entry in Schedules.swift + one line in `ScheduleRegistry`, or `ScheduleRegistry.add` from outside the
// package:
//
//     struct DecaySettings: DescribedSettings {
//         var power = 2.0
//         static let options = OptionList<DecaySettings>([Option("power", \.power, "of the decay", check: .positive)])
//     }
//     ScheduleRegistry.add(ScheduleEntry(name: "power", summary: "falls as a power", settings: DecaySettings.self) {
//         settings, t, w, n in pow(max(0, (n - t) / max(1, n - w)), settings.power)
//     })
//
// Legend: t steps done, w warm-up steps, N all steps.

import TuttiGround

/// A kind of schedule that `lr_scheduler_type` can name.
public struct ScheduleEntry: Sendable {
    /// Its name in a configuration.
    public let name: String
    /// One line: how the rate changes after the warm-up.
    public let summary: String
    /// Its options: the keys of `lr_scheduler_kwargs`.
    public let options: [OptionDescription]
    /// Whether the rate rises from 0 in the warm-up steps.
    let warmsUp: Bool
    /// Whether options have no effect in the reference, whatever they are called.
    private(set) var ignoresOptions = false
    /// Whether it follows the evaluations of a run.
    let followsMetric: Bool
    /// Reads the options of a run with a learning rate.
    let bind: @Sendable (JSONObject, _ learningRate: Double) throws(TuttiError) -> Bound

    /// A schedule with its options: a formula, or what follows the evaluations.
    struct Bound: Sendable {
        var formula: Formula
        var follower: (any RateFollower)?
    }

    /// (t, w, N) -> factor for t >= w.
    typealias Formula = @Sendable (Double, Double, Double) -> Double

    /// Describes a schedule.
    ///
    /// - Parameters:
    ///   - settings: the options that it takes; `NoSettings` if none.
    ///   - warmsUp: whether the rate rises from 0 to the base rate in the warm-up steps.
    ///   - resolve: checks the options together, and completes them, for a base learning rate.
    ///   - factor: the factor of the base rate at t steps done, t >= w: a pure function of the settings, t, the w steps
    ///     of the warm-up and the n steps of the run.
    public init<Settings: DescribedSettings>(
        name: String, summary: String, settings: Settings.Type, warmsUp: Bool = true,
        resolve: @escaping @Sendable (inout Settings, _ learningRate: Double) throws(OptionProblem) -> Void = {
            (_, _) throws(OptionProblem) in
        },
        factor: @escaping @Sendable (_ settings: Settings, _ t: Double, _ w: Double, _ n: Double) -> Double
    ) {
        self.name = name
        self.summary = summary
        self.warmsUp = warmsUp
        followsMetric = false
        options = Settings.descriptions
        bind = { (given, learningRate) throws(TuttiError) in
            var settings = try Self.settings(Settings.self, given, of: name)
            do throws(OptionProblem) {
                try resolve(&settings, learningRate)
            } catch let flaw {
                throw Self.refused(flaw.path, flaw.problem, flaw.hint)
            }
            return Bound(formula: { [settings] t, w, n in factor(settings, t, w, n) })
        }
    }

    /// Describes a schedule that follows the evaluations; `follow` begins at a learning rate.
    init<Settings: DescribedSettings>(
        name: String, summary: String, settings: Settings.Type,
        follow: @escaping @Sendable (_ settings: Settings, _ learningRate: Double) -> any RateFollower
    ) {
        self.name = name
        self.summary = summary
        (warmsUp, followsMetric) = (false, true)
        options = Settings.descriptions
        bind = { (given, learningRate) throws(TuttiError) in
            let follower = follow(try Self.settings(Settings.self, given, of: name), learningRate)
            let isZero = learningRate == 0
            return Bound(formula: { _, _, _ in isZero ? 1 : follower.rate / learningRate }, follower: follower)
        }
    }

    private static func settings<Settings: DescribedSettings>(
        _: Settings.Type, _ given: JSONObject, of name: String
    ) throws(TuttiError) -> Settings {
        let known = Settings.options.names
        for option in given.keys where !known.contains(option) {
            throw refused(
                option, "the schedule \"\(name)\" has no such option",
                known.isEmpty ? "It has none." : TuttiError.hint(unknown: option, known: known))
        }
        var settings = Settings()
        try Settings.options.read(given, into: &settings, error: refused)
        return settings
    }

    private static func refused(_ option: String, _ problem: String, _ hint: String?) -> TuttiError {
        TuttiError(
            .usage, "choose the schedule", "args.lr_scheduler_kwargs" + (option.isEmpty ? "" : ".\(option)"), problem,
            hint: hint)
    }

    /// The same schedule, which passes over options that are given.
    func ignoringOptions() -> ScheduleEntry {
        var entry = self
        entry.ignoresOptions = true
        return entry
    }
}

/// The known schedules.
public enum ScheduleRegistry {
    /// One line a schedule.
    private static let registry = OpenRegistry<ScheduleEntry>(
        "ScheduleRegistry",
        [
            .linear, .cosine, .cosineWithRestarts, .polynomial, .constant, .constantWithWarmup, .inverseSquareRoot,
            .cosineWithMinLR, .cosineWarmupWithMinLR, .warmupStableDecay, .reduceOnPlateau, .greedy,
        ]
    ) { $0.name }
    /// All of them, those of the package first.
    public static var all: [ScheduleEntry] { registry.all }

    /// Adds a schedule from outside the package; one of the same name is replaced.
    public static func add(_ entry: ScheduleEntry) { registry.add(entry) }

    /// The entry of a name.
    ///
    /// - Throws: a usage error with the nearest name.
    public static func entry(named name: String) throws(TuttiError) -> ScheduleEntry {
        let all = all
        if let entry = all.first(where: { $0.name == name }) { return entry }
        throw TuttiError(
            .usage, "choose the schedule", "args.lr_scheduler_type", "unknown schedule \"\(name)\"",
            hint: TuttiError.hint(unknown: name, known: all.map(\.name)))
    }
}

/// A schedule bound to the length of a run.
package struct LearningRateSchedule: Sendable {
    /// The factor of the base rate at `t` finished steps; the step that runs next uses it.
    package let factor: @Sendable (_ t: Int) -> Double
    /// What changes that factor after evaluations; nil where it is a function of `t`.
    package let follower: (any RateFollower)?

    /// Binds a schedule to a run.
    ///
    /// - Parameter learningRate: the base rate, of which `min_lr` becomes a share.
    /// - Throws: a usage error for an unknown name or option, and for the options that the reference refuses.
    package init(
        name: String, options: JSONObject, learningRate: Double, warmupSteps: Int, totalSteps: Int
    ) throws(TuttiError) {
        let entry = try ScheduleRegistry.entry(named: name)
        let bound = try entry.bind(options, learningRate)
        let formula = bound.formula
        follower = bound.follower
        let (w, n, warmsUp) = (Double(warmupSteps), Double(totalSteps), entry.warmsUp)
        factor = { step in
            let t = Double(step)
            return warmsUp && t < w ? t / max(1, w) : formula(t, w, n)
        }
    }
}
