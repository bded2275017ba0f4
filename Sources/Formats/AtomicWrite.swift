// Files and folders that exist either completely or not at all, even after a crash or on a full disk.
//
// Everything is written to "<name>.tmp" next to the target, made durable with fsync and renamed over the target; the
// parent folder is synced too. A folder cannot be renamed over a non-empty one, so an older one is renamed to
// "<name>.old" first; after a crash between the two renames, the next write, or `recover`, restores it. Links are never
// followed: a link at the target is replaced, and temporary files are always created (OutputFile).

import Foundation
import TuttiGround

/// Writes that leave the previous version untouched unless they succeed.
package enum AtomicWrite {
    /// Writes `bytes` to the file at `path`.
    ///
    /// Throws: `.retryable` naming the file and the reason; the temporary file is removed.
    package static func file(path: String, bytes: UnsafeRawBufferPointer) throws(TuttiError) {
        try file(path: path) { output throws(TuttiError) in try output.write(bytes) }
    }

    /// Writes an array of bytes to the file at `path`.
    ///
    /// Throws: `.retryable` naming the file and the reason; the temporary file is removed.
    package static func file(path: String, bytes: [UInt8]) throws(TuttiError) {
        try file(path: path) { output throws(TuttiError) in try output.write(bytes) }
    }

    /// The same; where the file at `earlier` holds these bytes, the new one is a hard link to it and takes no space, if the
    /// file system has such links.
    package static func file(path: String, bytes: [UInt8], sameAs earlier: String?) throws(TuttiError) {
        guard let earlier, holds(earlier, bytes) else { return try file(path: path, bytes: bytes) }
        unlink(path)
        guard link(earlier, path) == 0 else { return try file(path: path, bytes: bytes) }
        try syncFolder(parent(of: path))
    }

    /// Whether the file at `path` is a regular one of these bytes.
    private static func holds(_ path: String, _ bytes: [UInt8]) -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, Int(status.st_size) == bytes.count else {
            return false
        }
        do throws(TuttiError) {
            let file = try MappedFile(path: path)
            return withExtendedLifetime(file) { file.bytes.elementsEqual(bytes) }
        } catch {
            return false
        }
    }

    /// Writes `text` as UTF-8 to the file at `path`.
    ///
    /// Throws: `.retryable` naming the file and the reason; the temporary file is removed.
    package static func file(path: String, text: String) throws(TuttiError) {
        try file(path: path) { output throws(TuttiError) in try output.write(text) }
    }

    /// Writes the output of `body` to the file at `path`.
    ///
    /// Throws: the error of `body`, or `.retryable` naming the file and the reason; the temporary file is removed.
    package static func file(
        path: String, _ body: (OutputFile) throws(TuttiError) -> Void
    ) throws(TuttiError) {
        let temporary = path + ".tmp"
        do throws(TuttiError) {
            let output = try OutputFile(path: temporary)
            try body(output)
            try output.finish()
            try rename(temporary, to: path)
        } catch {
            unlink(temporary)
            throw renamed(error, from: temporary, to: path)
        }
        try syncFolder(parent(of: path))
    }

    /// Creates the folder `finalPath` with the files that `body` writes to the folder that it gets.
    ///
    /// Throws: the error of `body`, or `.retryable` naming the place and the reason; the temporary folder is removed
    /// and a folder at `finalPath` is unchanged.
    package static func directory(finalPath: String, _ body: (_ temporaryPath: String) throws -> Void) throws {
        let temporary = try beginDirectory(finalPath: finalPath)
        do {
            try body(temporary)
            try endDirectory(finalPath: finalPath)
        } catch {
            // Report the first error; what cannot be removed now is removed by the next write.
            do throws(TuttiError) { try removeTree(temporary) } catch {}
            throw error
        }
    }

    /// Creates the empty folder that `endDirectory` makes to `finalPath`, and returns its path: for files that several
    /// processes write.
    ///
    /// Throws: `.retryable` naming the place and the reason.
    package static func beginDirectory(finalPath: String) throws(TuttiError) -> String {
        let finalPath = withoutTrailingSlash(finalPath)
        let temporary = finalPath + ".tmp"
        try recover(finalPath: finalPath)
        try removeTree(temporary)
        guard mkdir(temporary, 0o777) == 0 else { throw OutputFile.writeError(temporary, code: errno) }
        return temporary
    }

    /// Makes the folder that `beginDirectory` created to `finalPath`.
    ///
    /// Throws: `.retryable` naming the place and the reason; the folder is then still there under its own name.
    package static func endDirectory(finalPath: String) throws(TuttiError) {
        let finalPath = withoutTrailingSlash(finalPath)
        let temporary = finalPath + ".tmp"
        try syncTree(temporary)
        try replaceFolder(finalPath, by: temporary)
        try syncFolder(parent(of: finalPath))
    }

    /// Restores the folder that a crash may have left as "<name>.old", and removes one that is no longer needed.
    ///
    /// Throws: `.retryable` naming the place and the reason.
    package static func recover(finalPath: String) throws(TuttiError) {
        let old = withoutTrailingSlash(finalPath) + ".old"
        guard isFolder(old) else { return }
        if exists(finalPath) { try removeTree(old) } else { try rename(old, to: withoutTrailingSlash(finalPath)) }
    }

    /// Removes a file, or a folder with its contents; a missing path is fine.
    ///
    /// Throws: `.retryable` naming the place and the reason.
    package static func removeTree(_ path: String) throws(TuttiError) {
        guard exists(path) else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            let cause = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
            throw OutputFile.writeError(path, code: Int32(cause?.code ?? Int(EIO)))
        }
    }

    private static func replaceFolder(_ finalPath: String, by temporary: String) throws(TuttiError) {
        guard exists(finalPath) else { return try rename(temporary, to: finalPath) }
        let old = finalPath + ".old"
        try rename(finalPath, to: old)
        do throws(TuttiError) {
            try rename(temporary, to: finalPath)
        } catch {
            try rename(old, to: finalPath)
            throw error
        }
        try removeTree(old)
    }

    private static func rename(_ source: String, to target: String) throws(TuttiError) {
        guard Foundation.rename(source, target) == 0 else { throw OutputFile.writeError(target, code: errno) }
    }

    /// Syncs every file and folder below `path`, folders after their contents.
    private static func syncTree(_ path: String) throws(TuttiError) {
        let members: [String]
        do {
            members = try FileManager.default.subpathsOfDirectory(atPath: path)
        } catch {
            throw TuttiError(.retryable, "write folder", path, "cannot be listed: \(error.localizedDescription)")
        }
        for member in members.sorted(by: >) {
            let place = path + "/" + member
            var status = stat()
            guard lstat(place, &status) == 0 else { throw OutputFile.writeError(place, code: errno) }
            let type = status.st_mode & S_IFMT
            if type == S_IFREG || type == S_IFDIR { try syncFolder(place) }
        }
        try syncFolder(path)
    }

    /// Syncs a folder's entries, or a file's bytes.
    static func syncFolder(_ path: String) throws(TuttiError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw OutputFile.writeError(path, code: errno) }
        defer { close(descriptor) }
        // Some network file systems refuse to sync folders; their renames are already durable.
        guard fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP else {
            throw OutputFile.writeError(path, code: errno)
        }
    }

    private static func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0
    }

    /// True for a folder itself, not for a link to one.
    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func withoutTrailingSlash(_ path: String) -> String {
        var path = path
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path
    }

    /// The same error, about the file that the user knows.
    private static func renamed(_ error: TuttiError, from temporary: String, to path: String) -> TuttiError {
        var error = error
        if error.subject == temporary { error.subject = path }
        return error
    }
}
