// Learning-rate schedules: pure functions from the number of optimizer steps done to a factor of the base rate.
//
// Legend: t steps done, w warm-up steps, N all steps.
// Reference: transformers.optimization (get_linear_schedule_with_warmup and its neighbours).

import Foundation
import TuttiFormats
import TuttiGround

/// A schedule bound to the length of a run.
package struct LearningRateSchedule: Sendable {
    /// The factor of the base rate at `t` finished steps; the step that runs next uses it.
    package let factor: @Sendable (_ t: Int) -> Double

    /// One known schedule: its name, its options with defaults, and its formula after the warm-up.
    struct Entry: Sendable {
        let name: String
        let options: [String: Double]
        /// Whether the lowest rate is given, as min_lr (a rate) or min_lr_rate (a share of learning_rate).
        var endsAtMinimum = false
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
        Entry(name: "cosine_with_min_lr", options: ["num_cycles": 0.5], endsAtMinimum: true) { t, w, n, o in
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

    /// Whether options of the schedule `name` have no effect in the reference, whatever they are called.
    static func ignoresOptions(_ name: String) -> Bool { ["constant", "constant_with_warmup"].contains(name) }

    /// The names that `lr_scheduler_type` takes.
    package static var names: [String] { registry.map(\.name) }

    /// Binds a schedule to a run.
    ///
    /// - Parameter learningRate: the base rate, of which `min_lr` becomes a share.
    /// - Throws: a usage error for an unknown name or option, and for the options that the reference refuses.
    package init(
        name: String, options: [String: Double], learningRate: Double, warmupSteps: Int, totalSteps: Int
    ) throws(TuttiError) {
        guard let entry = Self.registry.first(where: { $0.name == name }) else {
            throw TuttiError(
                .usage, "choose the schedule", "args.lr_scheduler_type", "unknown schedule \"\(name)\"",
                hint: TuttiError.hint(unknown: name, known: Self.names))
        }
        func refused(_ option: String?, _ problem: String, _ hint: String? = nil) -> TuttiError {
            TuttiError(
                .usage, "choose the schedule", "args.lr_scheduler_kwargs" + (option.map { ".\($0)" } ?? ""), problem,
                hint: hint)
        }
        let known = entry.options.keys.sorted() + (entry.endsAtMinimum ? ["min_lr", "min_lr_rate"] : [])
        for option in options.keys.sorted() where !known.contains(option) {
            throw refused(
                option, "the schedule \"\(name)\" has no such option",
                known.isEmpty ? "It has none." : TuttiError.hint(unknown: option, known: known))
        }
        var settings = entry.options.merging(options) { $1 }
        if entry.endsAtMinimum {
            switch (options["min_lr"], options["min_lr_rate"]) {
            case (nil, nil):
                throw refused(
                    nil, "\"\(name)\" needs one of min_lr or min_lr_rate",
                    "For example lr_scheduler_kwargs: {min_lr_rate: 0.1}.")
            case (_?, _?): throw refused("min_lr", "excludes min_lr_rate", "Keep one of the two.")
            case (let rate?, nil):
                guard learningRate > 0 else { throw refused("min_lr", "is a share of learning_rate, which is 0") }
                settings["min_lr_rate"] = rate / learningRate
            case (nil, _?): break
            }
        }
        if let timescale = options["timescale"], timescale <= 0 {
            throw refused("timescale", "\(timescale) is not a positive number")
        }
        let (w, n, formula, warmsUp) = (Double(warmupSteps), Double(totalSteps), entry.factor, entry.warmsUp)
        let values = settings
        factor = { step in
            let t = Double(step)
            if warmsUp, t < w { return t / max(1, w) }
            return formula(t, w, n, values)
        }
    }
}
