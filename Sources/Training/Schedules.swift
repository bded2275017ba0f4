// Learning-rate schedules: pure functions from the number of optimizer steps done to a factor of the base rate.
//
// Legend: t steps done, w warm-up steps, N all steps.
// Reference: transformers.optimization (get_linear_schedule_with_warmup and its neighbours).

import Foundation
import TuttiFormats
import TuttiGround

/// A schedule bound to the length of a run.
public struct LearningRateSchedule: Sendable {
    /// The factor of the base rate at `t` finished steps; the step that runs next uses it.
    public let factor: @Sendable (_ t: Int) -> Double

    /// One known schedule: its name, its options with defaults, and its formula after the warm-up.
    struct Entry: Sendable {
        let name: String
        let options: [String: Double]
        /// (t, w, N, options) -> factor for t >= w.
        let factor: @Sendable (Double, Double, Double, [String: Double]) -> Double
        var warmsUp = true
    }

    /// The registry: one line a schedule.
    static let registry: [Entry] = [
        Entry(name: "linear", options: [:]) { t, w, n, _ in max(0, (n - t) / max(1, n - w)) },
        Entry(name: "cosine", options: ["num_cycles": 0.5]) { t, w, n, o in
            max(0, 0.5 * (1 + cos(.pi * 2 * (o["num_cycles"] ?? 0.5) * (t - w) / max(1, n - w))))
        },
        Entry(name: "cosine_with_restarts", options: ["num_cycles": 1]) { t, w, n, o in
            let progress = (t - w) / max(1, n - w)
            if progress >= 1 { return 0 }
            let cycle = ((o["num_cycles"] ?? 1) * progress).truncatingRemainder(dividingBy: 1)
            return max(0, 0.5 * (1 + cos(.pi * cycle)))
        },
        Entry(name: "cosine_with_min_lr", options: ["num_cycles": 0.5, "min_lr_rate": 0]) { t, w, n, o in
            let rate = o["min_lr_rate"] ?? 0
            let cosine = 0.5 * (1 + cos(.pi * (o["num_cycles"] ?? 0.5) * 2 * (t - w) / max(1, n - w)))
            return max(0, cosine * (1 - rate) + rate)
        },
        Entry(name: "constant", options: [:], factor: { _, _, _, _ in 1 }, warmsUp: false),
        Entry(name: "constant_with_warmup", options: [:]) { _, _, _, _ in 1 },
        Entry(name: "inverse_sqrt", options: ["timescale": 0]) { t, w, _, o in
            let given = o["timescale"] ?? 0
            let timescale = given > 0 ? given : (w > 0 ? w : 10000)
            return 1 / ((t + timescale - w) / timescale).squareRoot()
        },
    ]

    /// The names that `lr_scheduler_type` takes.
    public static var names: [String] { registry.map(\.name) }

    /// Binds a schedule to a run.
    ///
    /// - Throws: a usage error for an unknown name or option.
    public init(name: String, options: [String: Double], warmupSteps: Int, totalSteps: Int) throws(TuttiError) {
        guard let entry = Self.registry.first(where: { $0.name == name }) else {
            throw TuttiError(
                .usage, "choose the schedule", "args.lr_scheduler_type", "unknown schedule \"\(name)\"",
                hint: TuttiError.hint(unknown: name, known: Self.names))
        }
        let known = Array(entry.options.keys)
        for option in options.keys where !known.contains(option) {
            throw TuttiError(
                .usage, "choose the schedule", "args.lr_scheduler_kwargs.\(option)",
                "the schedule \"\(name)\" has no such option",
                hint: TuttiError.hint(unknown: option, known: known.sorted()))
        }
        let settings = entry.options.merging(options) { $1 }
        let (w, n, formula, warmsUp) = (Double(warmupSteps), Double(totalSteps), entry.factor, entry.warmsUp)
        factor = { step in
            let t = Double(step)
            if warmsUp, t < w { return t / max(1, w) }
            return formula(t, w, n, settings)
        }
    }
}
