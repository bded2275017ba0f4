// Where progress is drawn: the width of the terminal on standard error.
//
// Under a launcher, standard error is a pipe to mpirun. The launcher, whose own standard error may be a terminal, sets
// TUTTI_TERMINAL; it passes on what is written at once.

import Foundation

/// The terminal on standard error.
package enum Terminal {
    /// The variable in which the launcher passes the columns of its terminal.
    package static let columnsVariable = "TUTTI_TERMINAL"

    /// Columns of the terminal on standard error; nil if it is not a terminal.
    package static var columns: Int? {
        guard isatty(STDERR_FILENO) == 1 else {
            return columns(told: ProcessInfo.processInfo.environment[columnsVariable])
        }
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// The columns passed by a launcher; nil if it has no terminal.
    package static func columns(told text: String?) -> Int? {
        guard let columns = text.flatMap({ Int($0) }), columns > 0 else { return nil }
        return columns
    }
}
