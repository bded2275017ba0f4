// Files that grow by whole pieces: each is written by one call, so that a kill leaves at most one incomplete piece.

import Foundation
import TuttiGround

/// Appends to files of reports.
enum AppendedFile {
    /// Appends the text to the file, which is created if it is missing.
    ///
    /// Throws: `.retryable` with the path and the system's reason.
    static func append(_ text: String, to path: String) throws(TuttiError) { try append(Array(text.utf8), to: path) }

    /// Appends the bytes to the file, which is created if it is missing.
    ///
    /// Throws: `.retryable` with the path and the system's reason.
    static func append(_ bytes: [UInt8], to path: String) throws(TuttiError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure(path, "opened") }
        defer { close(descriptor) }
        let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard written == bytes.count else { throw failure(path, "written") }
    }

    private static func failure(_ path: String, _ verb: String) -> TuttiError {
        TuttiError(
            .retryable, "log metrics", path, "cannot be \(verb): \(String(cString: strerror(errno)))",
            hint: "Free space or fix the directory's permissions, then run the same command again: it resumes.")
    }
}
