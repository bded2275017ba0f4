// A file that rows were read from, as it was then: its content by a digest, and what tells at a glance that it may have
// changed.
//
// The digest of a large file takes a while, so it is kept beside the caches, by the file's path. It counts as long as the
// file has the size, the time of its last change and the inode that it had; one that was changed just now is not kept,
// because a further change in the same tick of the clock would not show.

import Foundation
import TuttiFormats
import TuttiGround

/// A file of rows at some time.
package struct SourceFile: Sendable, Equatable, Codable {
    /// Its path, as the configuration names it.
    package let path: String
    private let size: Int
    /// Nanoseconds since 1970.
    private let changed: Int
    private let inode: Int
    /// Hexadecimal SHA-256 of its content.
    package private(set) var digest = ""

    /// Seconds since its last change after which a file's digest is kept.
    private static let settled = 2.0

    /// The file at `path` as it is now, with the digest of its content.
    ///
    /// - Parameter folder: where digests are kept.
    /// - Throws: `.missingFile`; `.data` if it cannot be read, or changes meanwhile.
    package init(reading path: String, kept folder: CacheFolder) throws(TuttiError) {
        self = try SourceFile(lookingAt: path)
        let place =
            folder.path + "/sources/" + hexadecimalDigest(ofText: SourceFile.absolute(path)).prefix(32) + ".json"
        if let known = SourceFile.kept(place), known.isSame(as: self) {
            digest = known.digest
            return
        }
        digest = try SourceFile.digest(of: path)
        try checkIsUnchanged()
        let age = Date().timeIntervalSince1970 - Double(changed) / 1e9
        if age > SourceFile.settled { keep(place) }
    }

    private init(lookingAt path: String) throws(TuttiError) {
        self.path = path
        var status = stat()
        guard stat(path, &status) == 0 else { throw DatasetFiles.missing(path) }
        size = Int(status.st_size)
        changed = Int(status.st_mtim.tv_sec) * 1_000_000_000 + Int(status.st_mtim.tv_nsec)
        inode = Int(truncatingIfNeeded: status.st_ino)
    }

    /// The file in a header.
    init?(_ json: JSONValue) {
        guard let path = json["path"]?.string, let size = json["size"]?.int, let changed = json["changed_ns"]?.int,
            let inode = json["inode"]?.int, let digest = json["sha256"]?.string
        else { return nil }
        (self.path, self.size, self.changed, self.inode, self.digest) = (path, size, changed, inode, digest)
    }

    /// The same, as a header has it.
    var json: JSONValue {
        .object([
            "path": .string(path), "size": .integer(Int64(size)), "changed_ns": .integer(Int64(changed)),
            "inode": .integer(Int64(inode)), "sha256": .string(digest),
        ])
    }

    /// Throws `.data` if the file is not what it was.
    package func checkIsUnchanged() throws(TuttiError) {
        guard try !isSame(as: SourceFile(lookingAt: path)) else { return }
        throw TuttiError(
            .data, "read the cached rows", path, "has changed while the run reads it",
            hint: "Nothing was written of the new content. Run the command again when the file is whole.")
    }

    private func isSame(as other: SourceFile) -> Bool {
        size == other.size && changed == other.changed && inode == other.inode
    }

    private static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

    private static func digest(of path: String) throws(TuttiError) -> String {
        let file = try MappedFile(path: path)
        var digest = Digest()
        let stretch = 64 << 20
        for start in stride(from: 0, to: file.bytes.count, by: stretch) {
            digest.update(UnsafeRawBufferPointer(rebasing: file.bytes[start..<min(file.bytes.count, start + stretch)]))
            file.releasePages()
        }
        return withExtendedLifetime(file) { digest.hexadecimal }
    }

    /// The digest that was kept; nil where there is none that can be read.
    private static func kept(_ place: String) -> SourceFile? {
        do throws(TuttiError) { return SourceFile(try JSONValue.parse(file: place)) } catch { return nil }
    }

    /// Keeps the digest; where that is not possible, it is computed again by the next run.
    private func keep(_ place: String) {
        let own = "\(place).\(ProcessInfo.processInfo.processIdentifier).\(UInt32.random(in: 0...(.max)))"
        do {
            try FileManager.default.createDirectory(
                atPath: URL(fileURLWithPath: place).deletingLastPathComponent().path, withIntermediateDirectories: true)
            try AtomicWrite.file(path: own, text: json.serialized() + "\n")
            if rename(own, place) != 0 { unlink(own) }
        } catch {
            unlink(own)
        }
    }
}
