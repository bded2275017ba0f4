// Progress: a bar on a terminal, an occasional line on standard error elsewhere.

import Foundation
import TuttiGround

/// Draws progress.
package final class ProgressBar {
    private let columns: Int?
    private let write: (String) -> Void
    private let now: () -> ContinuousClock.Instant
    private var lastDrawn: ContinuousClock.Instant
    private var isShown = false
    private var task = ""
    private var taskBegan: ContinuousClock.Instant
    /// The parts done when the task's clock started.
    private var firstDone = 0

    /// Whether a bar is drawn, rather than lines.
    package var isBar: Bool { columns != nil }

    /// A bar on `terminal`, or lines on standard error without one.
    package convenience init(on terminal: Terminal? = .current) {
        let stream = terminal?.stream ?? .error
        self.init(columns: terminal?.columns) { stream.put($0) }
    }

    /// A bar of at most `columns` columns, or lines for nil.
    ///
    /// - Parameters:
    ///   - write: takes the output.
    ///   - now: the clock.
    package init(
        columns: Int?, write: @escaping (String) -> Void,
        now: @escaping () -> ContinuousClock.Instant = { .now }
    ) {
        self.columns = columns
        self.write = write
        self.now = now
        lastDrawn = now() - .seconds(3600)
        taskBegan = now()
    }

    /// Shows the steps of a run; without a terminal, only logged lines are shown.
    package func show(_ progress: StepProgress) {
        task = ""
        guard columns != nil, isDue(every: .milliseconds(100), last: progress.step == progress.totalSteps) else {
            return
        }
        var facts = ""
        if let left = progress.secondsLeft {
            let rate = Double(progress.ownSteps) / max(progress.ownSeconds, 1e-9)
            facts = "\(Self.fixed(rate, 2)) steps/s  \(Self.duration(left)) left"
        }
        draw("", progress.step, progress.totalSteps, facts)
    }

    /// Shows a task; its clock starts with the task, and again for each further round. The bar is removed when the task
    /// is done.
    package func show(_ progress: TaskProgress) {
        if progress.task != task, columns == nil { lastDrawn = now() }  // no line for a task under ten seconds
        if progress.task != task || progress.done == 0 {
            (task, taskBegan, firstDone) = (progress.task, now(), progress.done)
        }
        let isDone = progress.done >= progress.total
        if isDone, columns != nil { return clear() }
        guard !isDone, isDue(every: columns != nil ? .milliseconds(100) : .seconds(10), last: false) else { return }
        let elapsed = Self.seconds(now() - taskBegan)
        var facts = ""
        if progress.done > firstDone {
            let pace = elapsed / Double(progress.done - firstDone)
            facts = Self.duration(pace * Double(progress.total - progress.done)) + " left"
        }
        if columns != nil {
            draw(progress.task, progress.done, progress.total, facts)
        } else {
            let left = facts.isEmpty ? "" : ", \(facts)"
            write("\(progress.task.printable): \(progress.done)/\(progress.total)\(left)\n")
        }
    }

    /// Removes the bar, so that a line can be printed in its place.
    package func clear() {
        if isShown { write(Terminal.erasure) }
        isShown = false
    }

    private func isDue(every interval: Duration, last: Bool) -> Bool {
        let time = now()
        guard last || time - lastDrawn >= interval else { return false }
        lastDrawn = time
        return true
    }

    private func draw(_ title: String, _ done: Int, _ total: Int, _ facts: String) {
        guard let columns else { return }
        let words = [title.printable, "\(done)/\(total)", facts].filter { !$0.isEmpty }.joined(separator: "  ")
        // One column stays free: a full line would wrap.
        let width = min(30, columns - 3 - words.count)
        var text = words
        if width >= 5 {
            let filled = min(width, width * done / max(total, 1))
            text = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled) + " " + words
        }
        write("\r\(text.prefix(max(1, columns - 1)))\u{1B}[K")
        isShown = true
    }

    // MARK: Words

    /// A number with `digits` decimals.
    package static func fixed(_ number: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", number) }

    /// Seconds in words: "1 h 5 min", "2 min 3 s", "9 s".
    package static func duration(_ seconds: Double) -> String {
        let whole = Int(min(max(seconds, 0), 8.6e6))
        if whole >= 3600 { return "\(whole / 3600) h \(whole % 3600 / 60) min" }
        return whole >= 60 ? "\(whole / 60) min \(whole % 60) s" : "\(whole) s"
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }
}
