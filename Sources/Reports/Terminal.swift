// Where progress is drawn: on standard error, as wide as its terminal.
//
// Under a launcher, standard error is a pipe to mpirun. The launcher, whose own standard error may be a terminal, sets
// TUTTI_TERMINAL; it passes on what is written at once. If its standard output is a terminal too, "output" follows the
// width: lines and bar then share one screen, and mpirun's two pipes would not keep them in order, so that lines would
// be printed behind a bar. Both take standard output then.

import Foundation

/// A terminal for progress.
package struct Terminal: Equatable, Sendable {
    /// The variable in which the launcher describes its terminal.
    package static let variable = "TUTTI_TERMINAL"

    /// Removes a bar.
    package static let erasure = "\r\u{1B}[K"

    /// Its width.
    package let columns: Int
    /// Whether the bar is drawn on standard output, in order with the lines printed there.
    package let isOnOutput: Bool

    /// The stream on which a bar is drawn.
    package var stream: StandardStream { isOnOutput ? .output : .error }

    /// The terminal on standard error, this process's or the launcher's; nil if it is not a terminal.
    package static var current: Terminal? {
        guard isatty(STDERR_FILENO) == 1 else {
            return Terminal(told: ProcessInfo.processInfo.environment[variable])
        }
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return Terminal(columns: 80) }
        return Terminal(columns: Int(size.ws_col))
    }

    /// A terminal of `columns` columns.
    package init(columns: Int, isOnOutput: Bool = false) {
        self.columns = columns
        self.isOnOutput = isOnOutput
    }

    /// The terminal that a launcher describes; nil if it has none.
    package init?(told text: String?) {
        let words = (text ?? "").split(separator: " ")
        guard let columns = words.first.flatMap({ Int($0) }), columns > 0 else { return nil }
        self.init(columns: columns, isOnOutput: words.dropFirst().first == "output")
    }
}
