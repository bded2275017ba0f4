// Standard output and standard error, written without traps: a closed pipe or a full disk is an error, not a crash.
// Control characters are escaped, since names and texts from files are printed; only the progress bar sends them.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiReports

/// Writes complete texts to the standard streams.
enum Output {
    /// Writes a line to standard output.
    ///
    /// - Throws: exit 75 if it cannot be written (a full disk, a closed pipe).
    static func line(_ text: String) throws(TuttiError) { try write(text + "\n") }

    /// Writes a text to standard output; see `line`.
    static func write(_ text: String) throws(TuttiError) {
        guard StandardStream.output.put(text.printable) else {
            throw TuttiError(
                .retryable, "print", "standard output", "cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    /// Prints a line to standard error, replacing a bar on the terminal.
    static func say(_ text: String) {
        StandardStream.error.put((Terminal.current == nil ? "" : Terminal.erasure) + text.printable + "\n")
    }

    /// Shows progress or a notice; a closed pipe does not end the work.
    static func show(_ text: String, on descriptor: Int32) {
        StandardStream(descriptor: descriptor).put(text.printable)
    }
}
