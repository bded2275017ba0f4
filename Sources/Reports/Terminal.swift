// Where progress is drawn: the width of the terminal behind standard error.
//
// Under a launcher standard error is a pipe to mpirun. The launcher, whose own standard error may be a terminal, says
// so in TUTTI_TERMINAL; it passes what is written on as it comes.

import Foundation

/// What is known of the terminal.
package enum Terminal {
    /// The variable in which the launcher tells the columns of its terminal.
    package static let columnsVariable = "TUTTI_TERMINAL"

    /// Columns of the terminal behind standard error; nil where there is none.
    package static var columns: Int? {
        guard isatty(STDERR_FILENO) == 1 else {
            return columns(told: ProcessInfo.processInfo.environment[columnsVariable])
        }
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// The columns that a launcher tells; nil where it tells of no terminal.
    package static func columns(told text: String?) -> Int? {
        guard let columns = text.flatMap({ Int($0) }), columns > 0 else { return nil }
        return columns
    }
}
