// Standard output and standard error, written without traps: a closed pipe or a full disk is an error, not a crash.

import Foundation
import TuttiFormats
import TuttiGround

/// Writes whole texts to the standard streams.
enum Output {
    /// Writes a line to standard output.
    ///
    /// - Throws: exit 75 if it cannot be written (a full disk, a reader that is gone).
    static func line(_ text: String) throws(TuttiError) { try write(text + "\n") }

    /// Writes a text to standard output; see `line`.
    static func write(_ text: String) throws(TuttiError) {
        guard put(text, STDOUT_FILENO) else {
            throw TuttiError(
                .retryable, "print", "standard output", "cannot be written: \(String(cString: strerror(errno)))")
        }
    }

    /// Shows progress or a notice: a reader that is gone does not end the work.
    static func show(_ text: String, on descriptor: Int32) { _ = put(text, descriptor) }

    private static func put(_ text: String, _ descriptor: Int32) -> Bool {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            if written <= 0 { return false }
            rest = rest.dropFirst(written)
        }
        return true
    }
}
