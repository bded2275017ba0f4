// UploadFiles: the files of a push, with what the hub wants to know of each.

import Foundation
import TuttiFormats
import TuttiGround

/// A file that is pushed.
struct UploadFile {
    /// Its path in the repository.
    let path: String
    /// Where it is.
    let source: String
    let size: Int
    /// Its first bytes, by which the hub tells text from data.
    let sample: [UInt8]
    let sha256: String
    /// Git's name of it.
    let blob: String
    /// Whether its contents go to the store of large files; the hub decides.
    var isLarge = false

    /// Reads the file at `source`.
    ///
    /// Throws: `.missingFile`, `.data` where it cannot be read.
    init(_ path: String, at source: String) throws(TuttiError) {
        (self.path, self.source) = (path, source)
        var status = stat()
        // An empty file cannot be mapped.
        if stat(source, &status) == 0, status.st_size == 0 {
            (size, sample) = (0, [])
            sha256 = Digest().hexadecimal
            blob = SHA1(blobOf: 0).hexadecimal
            return
        }
        let file = try MappedFile(path: source)
        size = file.bytes.count
        sample = Array(file.bytes.prefix(512))
        sha256 = Digest.of(file.bytes).hexadecimal
        var git = SHA1(blobOf: size)
        // Large files are known by their SHA-256 alone.
        if size <= 64 << 20 { git.update(file.bytes) }
        blob = size <= 64 << 20 ? git.hexadecimal : ""
    }

    /// Whether the repository has it already, under the name `oid`.
    func isThere(_ oid: String?) -> Bool { oid.map { $0 == (isLarge ? sha256 : blob) } ?? false }

    /// The files of a folder by their paths below it, in order; what version control and caches keep is left out.
    static func paths(in folder: String) throws(TuttiError) -> [String] {
        guard let all = FileManager.default.subpaths(atPath: folder) else {
            throw TuttiError(.missingFile, "push a folder", folder, "there is no such folder")
        }
        return all.filter { path in
            let parts = path.split(separator: "/")
            var status = stat()
            return !parts.contains(".git") && !path.hasPrefix(".cache/huggingface")
                && !parts.contains { $0.hasSuffix(".tmp") }
                && stat(folder + "/" + path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        }.sorted()
    }
}
