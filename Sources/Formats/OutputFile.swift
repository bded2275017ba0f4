// A file being written; every failure is reported: at open, write, fsync and close.
//
// A full disk may show only at fsync or close (delayed allocation, NFS quotas), so a file counts as written only after
// `finish()`. All such errors are `.retryable`: the data itself is fine. A process under a file size limit must ignore
// SIGXFSZ to get EFBIG instead of being killed.

import Foundation
import TuttiGround

/// A file open for writing; not thread-safe.
package final class OutputFile {
    /// The path as given.
    package let path: String
    private var descriptor: Int32
    private var pending: [UInt8] = []
    private static let pendingLimit = 1 << 16

    /// Creates the file `path`, replacing an existing one. A link is replaced, never followed; devices and pipes are
    /// written to.
    ///
    /// Throws: `.missingFile` if the folder does not exist, `.retryable` for everything else.
    package init(path: String) throws(TuttiError) {
        self.path = path
        descriptor = -1
        var status = stat()
        var flags = O_CREAT | O_EXCL
        if lstat(path, &status) == 0 {
            switch status.st_mode & S_IFMT {
            case S_IFREG, S_IFLNK:
                guard unlink(path) == 0 else { throw OutputFile.writeError(path, code: errno) }
            default: flags = 0
            }
        }
        descriptor = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | flags, 0o666)
        guard descriptor >= 0 else { throw OutputFile.writeError(path, code: errno) }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Writes bytes; small pieces are buffered.
    ///
    /// Throws: `.retryable` with the path and the system's reason.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(TuttiError) {
        if pending.count + bytes.count <= OutputFile.pendingLimit {
            pending.append(contentsOf: bytes)
        } else {
            try flush()
            try writeThrough(bytes)
        }
    }

    /// Writes an array of bytes.
    ///
    /// Throws: `.retryable` with the path and the system's reason.
    package func write(_ bytes: [UInt8]) throws(TuttiError) {
        try bytes.withUnsafeBufferPointer { buffer throws(TuttiError) in try write(UnsafeRawBufferPointer(buffer)) }
    }

    /// Writes a string as UTF-8.
    ///
    /// Throws: `.retryable` with the path and the system's reason.
    package func write(_ text: String) throws(TuttiError) {
        pending.append(contentsOf: text.utf8)
        if pending.count > OutputFile.pendingLimit { try flush() }
    }

    /// Flushes everything written so far to the operating system.
    ///
    /// Throws: `.retryable` with the path and the system's reason.
    package func flush() throws(TuttiError) {
        guard !pending.isEmpty else { return }
        try pending.withUnsafeBufferPointer { bytes throws(TuttiError) in
            try writeThrough(UnsafeRawBufferPointer(bytes))
        }
        pending.removeAll(keepingCapacity: true)
    }

    /// Flushes, makes the bytes durable (fsync) and closes the file; nothing can be written afterwards.
    ///
    /// Throws: `.retryable` with the path and the system's reason.
    package func finish() throws(TuttiError) {
        try flush()
        // Pipes and devices cannot be synced, which does no harm.
        guard fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP else {
            throw OutputFile.writeError(path, code: errno)
        }
        let closing = descriptor
        descriptor = -1
        guard close(closing) == 0 || errno == EINTR else { throw OutputFile.writeError(path, code: errno) }
    }

    private func writeThrough(_ bytes: UnsafeRawBufferPointer) throws(TuttiError) {
        precondition(descriptor >= 0, "OutputFile: \(path) is already finished")
        guard let start = bytes.baseAddress else { return }
        var written = 0
        while written < bytes.count {
            // The system call, not this object's method of the same name.
            let count = Foundation.write(descriptor, start + written, min(bytes.count - written, 1 << 30))
            if count >= 0 {
                written += count
            } else if errno != EINTR {
                throw OutputFile.writeError(path, code: errno)
            }
        }
    }

    /// The error for a failed write, rename, mkdir or fsync of `path`.
    package static func writeError(_ path: String, code: Int32) -> TuttiError {
        func failure(_ kind: TuttiError.Kind, _ hint: String?) -> TuttiError {
            TuttiError(kind, "write file", path, "cannot be written: \(systemMessage(code))", hint: hint)
        }
        switch code {
        case ENOENT, ENOTDIR:
            return failure(.missingFile, "Its parent folder does not exist.")
        case EISDIR:
            return failure(.usage, "Name a file, not a folder.")
        case ENOSPC, EDQUOT:
            return failure(.retryable, "Free some space and run the same command again.")
        case EFBIG:
            return failure(.retryable, "The file size limit (ulimit -f) is too small.")
        case EACCES, EPERM, EROFS:
            return failure(.retryable, "Make the path writable, or choose another one, and run the command again.")
        default:
            return failure(.retryable, "Fix the cause and run the same command again.")
        }
    }
}
