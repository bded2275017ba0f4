// A run for people: lines on standard output, the bar on the terminal.
//
// A training line has step, loss, learning rate and remaining time; an evaluation is one line with the main metrics and
// how they changed. All other numbers are in metrics.jsonl and eval/.

import Foundation
import TuttiFormats
import TuttiGround

/// Shows a run on the standard streams.
package final class ProgressDisplay: Report {
    private let bar: ProgressBar
    private let print: (String) -> Void
    private var run = ReportedRun(totalSteps: 0)
    private var lastStep: StepProgress?
    /// The main metrics of the last evaluation.
    private var before: [String: Double] = [:]

    /// A display of the standard streams.
    package convenience init() { self.init(bar: ProgressBar()) { StandardStream.output.put($0) } }

    /// A display with its own bar and stream.
    package init(bar: ProgressBar, print: @escaping (String) -> Void) {
        self.bar = bar
        self.print = print
    }

    package func began(_ run: ReportedRun) {
        self.run = run
        let name = run.name.map { " \($0)" } ?? ""
        line(
            run.resumedFrom > 0
                ? "Resuming\(name) after step \(run.resumedFrom) of \(run.totalSteps)."
                : "Training\(name) for \(run.totalSteps) steps.")
    }

    package func stepped(_ progress: StepProgress) {
        lastStep = progress
        bar.show(progress)
    }

    package func worked(_ progress: TaskProgress) { bar.show(progress) }

    package func logged(_ entry: LogLine) {
        let epoch = ProgressBar.fixed(entry.values["epoch"]?.double ?? 0, 3)
        var parts = ["step \(entry.step)/\(run.totalSteps)", "epoch \(epoch)"]
        for (key, value) in entry.values {
            guard let number = value.double, Self.shows(key, of: entry) else { continue }
            parts.append("\(key) \(Self.short(number, key))" + (entry.kind == .evaluation ? change(key, number) : ""))
        }
        if entry.kind == .training, let lastStep, entry.step < run.totalSteps, let left = lastStep.secondsLeft {
            parts.append("\(ProgressBar.duration(left)) left")
        }
        line(parts.joined(separator: "  "))
    }

    package func saved(_ path: String) { line("Saved \(path)") }

    package func notice(_ text: String) { line(text) }

    /// Evaluations show only the main metrics.
    private static func shows(_ key: String, of line: LogLine) -> Bool {
        let onlyInFiles = ["step", "epoch", "seconds", "tokens", "step_seconds", "share_of_peak", "peak_memory"]
        if onlyInFiles.contains(key) { return false }
        switch line.kind {
        case .training: return true
        case .evaluation: return line.mainMetrics.contains(key)
        case .closing: return key.hasPrefix("train_") || line.mainMetrics.contains(key)
        }
    }

    /// The change of a metric since the last evaluation, in brackets.
    private func change(_ key: String, _ value: Double) -> String {
        defer { before[key] = value }
        guard let last = before[key], value.isFinite, last.isFinite else { return "" }
        return " (\(value < last ? "" : "+")\(ProgressBar.fixed(value - last, 4)))"
    }

    private static func short(_ number: Double, _ key: String) -> String {
        switch key {
        case "learning_rate": String(format: "%.3g", number)
        case "tokens_per_second": ProgressBar.fixed(number, 0)
        case "train_runtime": ProgressBar.fixed(number, 1)
        default: ProgressBar.fixed(number, 4)
        }
    }

    /// Prints a line after removing the bar.
    private func line(_ text: String) {
        bar.clear()
        print(text.printable + "\n")
    }
}
