// HubCache: the files of the hub on disk, laid out as huggingface_hub does, so that Python opens what Tutti downloaded
// and the other way round.
//
//   models--org--name/refs/main             the commit of a branch
//   models--org--name/blobs/<etag>          contents; <etag>.incomplete while they come
//   models--org--name/snapshots/<commit>/   the files by name: relative links into blobs
//   models--org--name/.no_exist/<commit>/   names that the commit is known not to have
//   .locks/models--org--name/<etag>.lock    held while a blob comes
//
// Reference: huggingface_hub/file_download.py; https://huggingface.co/docs/huggingface_hub/guides/manage-cache.

import Foundation
import TuttiFormats
import TuttiGround

/// The folders of one repository in the cache.
package struct HubCache: Sendable {
    private let root: String
    private let repository: HubRepository

    /// Those of `repository` in the cache of `settings`.
    package init(_ settings: HubSettings, _ repository: HubRepository) {
        root = settings.cacheFolder
        self.repository = repository
    }

    private var folder: String { root + "/" + repository.folder }

    /// The folder of a commit's files.
    package func snapshot(_ commit: String) -> String { folder + "/snapshots/" + commit }

    /// The contents of the etag.
    func blob(_ etag: String) -> String { folder + "/blobs/" + etag }

    /// The commit that a revision was when it was last asked for; nil where nothing is cached.
    package func commit(of revision: String) throws(TuttiError) -> String? {
        let commit: String
        if HubRepository.isCommit(revision) {
            commit = revision
        } else {
            let path = folder + "/refs/" + revision
            guard FileManager.default.fileExists(atPath: path) else { return nil }
            commit = try MappedFile(path: path).text.trimmingCharacters(in: .whitespacesAndNewlines)
        }
        guard HubRepository.isInside(commit) else { return nil }
        return FileManager.default.fileExists(atPath: snapshot(commit)) ? commit : nil
    }

    /// Whether a file of a commit is there.
    package func holds(_ path: String, _ commit: String) -> Bool {
        FileManager.default.fileExists(atPath: snapshot(commit) + "/" + path)
    }

    /// The files of a commit that are there, by name.
    func files(of commit: String) -> [String] {
        let folder = snapshot(commit)
        return (FileManager.default.subpaths(atPath: folder) ?? []).filter { path in
            var isFolder: ObjCBool = false
            return FileManager.default.fileExists(atPath: folder + "/" + path, isDirectory: &isFolder)
                && !isFolder.boolValue
        }.sorted()
    }

    /// Whether a commit is known not to have a file.
    func isKnownAbsent(_ path: String, _ commit: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(folder)/.no_exist/\(commit)/\(path)")
    }

    /// Keeps that a commit does not have a file.
    func noteAbsence(of path: String, _ commit: String) throws(TuttiError) {
        let place = "\(folder)/.no_exist/\(commit)/\(path)"
        try makeFolder(of: place)
        try AtomicWrite.file(path: place, bytes: [])
    }

    /// Keeps which commit a revision is, and makes the commit's folder.
    func note(_ commit: String, of revision: String) throws(TuttiError) {
        try makeFolder(snapshot(commit))
        guard revision != commit else { return }
        let place = folder + "/refs/" + revision
        try makeFolder(of: place)
        do throws(TuttiError) {
            if FileManager.default.fileExists(atPath: place), try MappedFile(path: place).text == commit { return }
        } catch {}  // written anew
        // Several processes may write it: each under a name of its own.
        let own = "\(place).\(getpid()).tmp"
        try AtomicWrite.file(path: own, text: commit)
        guard rename(own, place) == 0 else { throw OutputFile.writeError(place, code: errno) }
    }

    /// Gives the blob `etag` its name in a commit: a relative link, or a copy where links fail.
    func link(_ path: String, _ commit: String, to etag: String) throws(TuttiError) {
        let place = snapshot(commit) + "/" + path
        try makeFolder(of: place)
        let depth = path.split(separator: "/").count + 1
        let target = String(repeating: "../", count: depth) + "blobs/" + etag
        let own = "\(place).\(getpid()).tmp"
        unlink(own)
        if symlink(target, own) != 0 {
            do { try FileManager.default.copyItem(atPath: blob(etag), toPath: own) } catch {
                throw OutputFile.writeError(place, code: errno)
            }
        }
        guard rename(own, place) == 0 else {
            let code = errno
            unlink(own)
            throw OutputFile.writeError(place, code: code)
        }
    }

    /// Runs `body` while no other process that keeps the lock of `etag` does; `waiting` is called once if one has it.
    func locked<Value, Failure: Error>(
        _ etag: String, waiting: () -> Void, _ body: () throws(Failure) -> Value,
        failed: (TuttiError) -> Failure
    ) throws(Failure) -> Value {
        let place = "\(root)/.locks/\(repository.folder)/\(etag).lock"
        let descriptor: Int32
        do throws(TuttiError) {
            try makeFolder(of: place)
            try makeFolder(folder + "/blobs")
            descriptor = open(place, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
            guard descriptor >= 0 else { throw OutputFile.writeError(place, code: errno) }
        } catch {
            throw failed(error)
        }
        defer { close(descriptor) }
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
            waiting()
            // Where a file system has no locks, two processes may download the same file; each checks what it got.
            while flock(descriptor, LOCK_EX) != 0, errno == EINTR {}
        }
        return try body()
    }

    private func makeFolder(of path: String) throws(TuttiError) {
        try makeFolder(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
    }

    private func makeFolder(_ path: String) throws(TuttiError) {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw TuttiError(
                .retryable, "make a folder of the hub's cache", path, (error as NSError).localizedDescription,
                hint: "HF_HUB_CACHE names another folder.")
        }
    }
}
