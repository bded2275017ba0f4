// The file of a `FolderLock`: a fixed-width heartbeat in the first line, its owner as JSON in the second.
//
// The heartbeat is written in place, into the file that was opened when the lock was created: if another process has
// replaced that file, the write has no effect.

import Foundation
import TuttiGround

/// The contents of a lock file.
struct LockContent: Equatable {
    let bytes: [UInt8]
    /// Nil if the file has none, for example because it is being written.
    let owner: LockOwner?

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        owner = lines.count > 1 ? LockOwner(json: String(lines[1])) : nil
    }
}

/// The lock file of one process, held or not.
final class LockFile {
    /// What exists at the path.
    enum Look {
        case absent
        /// The file system does not respond.
        case unknown
        case content(LockContent)
    }

    let path: String
    let owner: LockOwner
    private var descriptor: Int32 = -1
    private var beat = 0

    init(path: String, purpose: String) {
        self.path = path
        owner = .thisProcess(purpose: purpose)
    }

    deinit { close() }

    /// What exists at the path now.
    func look() -> Look {
        let reading = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard reading >= 0 else { return errno == ENOENT ? .absent : .unknown }
        defer { Foundation.close(reading) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = bytes.withUnsafeMutableBytes { pread(reading, $0.baseAddress, $0.count, 0) }
        return count >= 0 ? .content(LockContent(Array(bytes[..<count]))) : .unknown
    }

    /// Creates the file; false if it exists.
    ///
    /// - Throws: `.retryable` if files cannot be created in the folder.
    func create() throws(TuttiError) -> Bool {
        let unique = uniqueName()
        let made = open(unique, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard made >= 0 else { throw OutputFile.writeError(path, code: errno) }
        guard put(made), fsync(made) == 0 else {
            let error = OutputFile.writeError(path, code: errno)
            Foundation.close(made)
            unlink(unique)
            throw error
        }
        let (isLinked, code) = LockFile.link(unique, path)
        unlink(unique)
        if isLinked {
            keep(made)
            return true
        }
        Foundation.close(made)
        switch code {
        case EEXIST: return false
        case EPERM, ENOTSUP, ENOSYS, EMLINK: return try createWithoutLink()
        default: throw OutputFile.writeError(path, code: code)
        }
    }

    /// Replaces the file with its own if it still contains `judged`; false if another process was faster.
    ///
    /// Requires `turn`: between the check and the replacement nobody else takes over, so that a living owner is never
    /// replaced.
    func takeOver(from judged: LockContent, turn: LockFile) throws(TuttiError) -> Bool {
        guard try turn.create() else { return false }
        defer { turn.remove() }
        guard case .content(let content) = look(), content == judged else { return false }
        let aside = uniqueName()
        guard rename(path, aside) == 0 else { return false }
        unlink(aside)
        return try create()
    }

    /// Writes the next heartbeat.
    func raiseBeat() {
        guard descriptor >= 0 else { return }
        beat += 1
        // If a heartbeat cannot be written, the next one may be.
        _ = put(descriptor)
        fsync(descriptor)
    }

    /// Removes the file if this process owns it.
    func remove() {
        if case .content(let content) = look(), content.owner == owner { unlink(path) }
        close()
    }

    /// Does not touch the file from now on.
    func close() {
        if descriptor >= 0 { Foundation.close(descriptor) }
        descriptor = -1
    }

    private func keep(_ made: Int32) {
        close()
        descriptor = made
    }

    /// For file systems without hard links: creates the file exclusively, and fills it afterwards.
    private func createWithoutLink() throws(TuttiError) -> Bool {
        let made = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        if made < 0, errno == EEXIST { return false }
        guard made >= 0 else { throw OutputFile.writeError(path, code: errno) }
        guard put(made), fsync(made) == 0 else {
            let error = OutputFile.writeError(path, code: errno)
            Foundation.close(made)
            unlink(path)
            throw error
        }
        keep(made)
        return true
    }

    /// Links `name` to `target`; on NFS the reply may be lost although it succeeded, so the link count decides.
    private static func link(_ name: String, _ target: String) -> (done: Bool, code: Int32) {
        if Foundation.link(name, target) == 0 { return (true, 0) }
        let code = errno
        var status = stat()
        return (lstat(name, &status) == 0 && status.st_nlink == 2, code)
    }

    private func put(_ descriptor: Int32) -> Bool {
        let digits = "\(beat)"
        let first = "beat " + String(repeating: "0", count: max(0, 12 - digits.utf8.count)) + digits
        let text = Array("\(first)\n\(owner.json)\n".utf8)
        return text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) } == text.count
    }

    private func uniqueName() -> String { "\(path).\(owner.host).\(owner.process).\(UInt32.random(in: 0...(.max)))" }
}
