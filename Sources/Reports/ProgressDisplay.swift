// The progress of a run: a bar on a terminal, plain lines otherwise. Rank zero alone shows it.

import Foundation
import TuttiFormats
import TuttiGround

/// Shows a run on standard output and standard error.
public final class ProgressDisplay: Report {
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var lastDrawn = ContinuousClock.now - .seconds(1)
    private var barIsShown = false

    /// A display of the standard streams.
    public init() {}

    public func began(totalSteps: Int, resumedFrom: Int) {
        if resumedFrom > 0 { line("Resuming after step \(resumedFrom) of \(totalSteps).") }
        if resumedFrom == 0 { line("Training for \(totalSteps) steps.") }
    }

    public func stepped(_ progress: StepProgress) {
        guard isTerminal else { return }
        let (step, total) = (progress.step, progress.totalSteps)
        guard ContinuousClock.now - lastDrawn > .milliseconds(100) || step == total else { return }
        lastDrawn = ContinuousClock.now
        let rate = Double(progress.ownSteps) / max(progress.ownSeconds, 1e-9)
        let filled = 30 * step / max(total, 1)
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
        let left = duration(progress.secondsLeft ?? 0)
        StandardStream.error.put("\r\(bar) \(step)/\(total)  \(fixed(rate, 2)) steps/s  \(left) left\u{1B}[K")
        barIsShown = true
    }

    public func logged(_ entry: JSONObject) {
        let hidden: Set = ["step", "epoch", "seconds", "tokens", "step_seconds"]
        let timings = ["_runtime", "_samples_per_second", "_steps_per_second"]
        func isHidden(_ key: String) -> Bool {
            hidden.contains(key) || key.hasPrefix("eval_") && timings.contains { key.hasSuffix($0) }
        }
        var parts = ["step \(entry["step"]?.int ?? 0)", "epoch \(fixed(entry["epoch"]?.double ?? 0, 3))"]
        for (key, value) in entry where !isHidden(key) {
            guard let number = value.double else { continue }
            let digits = ["tokens_per_second": 0, "train_runtime": 1][key] ?? 4
            let short = key == "learning_rate" ? String(format: "%.3g", number) : fixed(number, digits)
            parts.append("\(key) \(short)")
        }
        line(parts.joined(separator: "  "))
    }

    public func saved(_ path: String) { line("Saved \(path)") }

    public func notice(_ text: String) { line(text) }

    /// Prints a line, the bar out of the way.
    public func line(_ text: String) {
        if barIsShown {
            StandardStream.error.put("\r\u{1B}[K")
            barIsShown = false
        }
        StandardStream.output.put(text.printable + "\n")
    }

    private func fixed(_ number: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", number) }

    private func duration(_ seconds: Double) -> String {
        let whole = Int(min(seconds, 8.6e6))
        if whole >= 3600 { return "\(whole / 3600) h \(whole % 3600 / 60) min" }
        return whole >= 60 ? "\(whole / 60) min \(whole % 60) s" : "\(whole) s"
    }
}
