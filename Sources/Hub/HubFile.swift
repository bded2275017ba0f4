// HubFile: downloads one file of a commit into the cache, once however many processes want it.
//
// The hub tells in the answer to HEAD what the file is called in storage, how long it is, and where it is. A download that
// was cut off goes on where it stopped; what has come is checked against its name before anybody can open it.
//
// Reference: huggingface_hub/file_download.py.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiNet

/// What the hub says of a file.
struct HubFileFacts {
    let commit: String
    /// The name of the contents.
    let etag: String
    /// Bytes; nil where the hub does not say.
    let size: Int?
    /// Where the contents are.
    let location: String
}

/// A file that comes from the hub.
struct HubFile {
    let client: HubClient
    let repository: HubRepository
    let commit: String
    let path: String
    let notice: (String) -> Void

    private var cache: HubCache { HubCache(client.settings, repository) }

    private var url: String {
        client.url("\(repository.page)/resolve/\(percentEncoded(commit))/\(percentEncoded(path, safe: "/"))")
    }

    /// Has the file in the commit's folder, from the hub unless it is there.
    func fetch() throws(HubFailure) {
        if cache.holds(path, commit) { return }
        let facts = try facts()
        try cache.locked(
            facts.etag, waiting: { notice("Another process downloads \(repository)/\(path); waiting for it.") },
            { () throws(HubFailure) in
                let blob = cache.blob(facts.etag)
                if !FileManager.default.fileExists(atPath: blob) { try download(facts, to: blob) }
                try local { () throws(TuttiError) in try cache.link(path, commit, to: facts.etag) }
            }, failed: { HubFailure($0) })
    }

    /// What the hub says of the file.
    private func facts() throws(HubFailure) -> HubFileFacts {
        var request = HTTPRequest("HEAD", url)
        request.timeout = client.settings.metadataTimeout
        let response = try client.send(request)
        guard response.isSuccess || response.isRedirect else {
            let failure = client.failure(response, repository, revision: commit, path: path)
            if failure.reason == .entry {
                try local { () throws(TuttiError) in try cache.noteAbsence(of: path, commit) }
            }
            throw failure
        }
        let headers = response.headers
        var etag = headers["X-Linked-Etag"] ?? headers["ETag"] ?? ""
        if etag.hasPrefix("W/") { etag.removeFirst(2) }
        etag = etag.filter { $0 != "\"" }
        guard let found = headers["X-Repo-Commit"], found == commit, HubRepository.isInside(etag), !etag.contains("/")
        else {
            throw HubFailure(
                TuttiError(
                    .data, "ask the hub", request.shownURL, "the answer does not say which file it is",
                    hint: "HF_ENDPOINT must name a server that answers as the hub does, with X-Repo-Commit and ETag."))
        }
        let target = response.isRedirect ? HubClient.target(of: response, from: request.url) : nil
        let length = headers["X-Linked-Size"] ?? (response.isRedirect ? nil : headers["Content-Length"])
        return HubFileFacts(commit: found, etag: etag, size: length.flatMap { Int($0) }, location: target ?? url)
    }

    // MARK: Contents

    /// Downloads the contents to `blob`.
    private func download(_ first: HubFileFacts, to blob: String) throws(HubFailure) {
        var facts = first
        let part = blob + ".incomplete"
        try checkSpace(facts, part)
        let size = facts.size.map { " (\(HubFile.sizeText($0)))" } ?? ""
        notice("Downloading \(repository)/\(path)\(size).")
        var (failures, wasResumed, isRenewed) = (0, false, false)
        while true {
            let incoming = try local { () throws(TuttiError) in try IncomingFile(part, facts) }
            let before = incoming.count
            wasResumed = wasResumed || before > 0
            do throws(HubFailure) {
                try receive(facts, incoming)
                if let size = facts.size, incoming.count < size {
                    throw HubFailure(
                        reason: .unreachable,
                        error: TuttiError(
                            .retryable, "download", path, "ended after \(incoming.count) of \(size) bytes"))
                }
                return try local { () throws(TuttiError) in try incoming.finish(as: blob, path: path) }
            } catch {
                // Bytes of an earlier try may be of another program: once more from the start.
                if error.error.kind == .data, wasResumed {
                    wasResumed = false
                    continue
                }
                failures = incoming.count > before ? 1 : failures + 1
                guard failures < client.policy.tries else { throw error }
                if error.answer?.status == 416 { continue }
                // Signed addresses expire.
                if error.reason == .token, !isRenewed {
                    isRenewed = true
                    facts = try self.facts()
                    continue
                }
                guard error.reason == .unreachable,
                    let pause = client.policy.pause(after: failures, error.answer)
                else { throw error }
                client.policy.sleep(pause)
            }
        }
    }

    /// Gets the rest of the contents once.
    private func receive(_ facts: HubFileFacts, _ incoming: IncomingFile) throws(HubFailure) {
        if incoming.isWhole { return }
        var request = HTTPRequest("GET", facts.location, headers: client.headers(for: facts.location))
        if incoming.count > 0 { request.headers.append(("Range", "bytes=\(incoming.count)-")) }
        request.timeout = client.settings.downloadTimeout
        let progress = DownloadProgress(path: path, size: facts.size, notice: notice)
        for _ in 0..<10 {
            let response: HTTPResponse
            do throws(TuttiError) {
                response = try client.http.send(request) { head, bytes in
                    guard head.isSuccess else { return true }
                    let goesOn = incoming.add(bytes, head)
                    progress.tell(incoming.count)
                    return goesOn
                }
            } catch {
                throw HubFailure(reason: error.kind == .retryable ? .unreachable : .other, error: error)
            }
            if let failure = incoming.failure { throw HubFailure(failure) }
            if response.isSuccess { return }
            if response.isRedirect, let target = HubClient.target(of: response, from: request.url) {
                request.url = target
                request.headers = client.headers(for: target) + request.headers.filter { $0.name == "Range" }
                continue
            }
            // What has come is not a beginning of this file.
            if response.status == 416 { incoming.restart() }
            throw client.failure(response, repository, revision: commit, path: path)
        }
        throw HubFailure(
            reason: .other,
            error: TuttiError(.retryable, "follow redirects", request.shownURL, "the hub sends in circles"))
    }

    /// Refuses a file that the disk has no room for.
    private func checkSpace(_ facts: HubFileFacts, _ part: String) throws(HubFailure) {
        var status = statvfs()
        let folder = client.settings.cacheFolder
        guard let size = facts.size, statvfs(folder, &status) == 0 else { return }
        let free = Int(status.f_bavail) * Int(status.f_frsize)
        guard size > free else { return }
        throw HubFailure(
            TuttiError(
                .retryable, "download \(path)", folder,
                "needs \(HubFile.sizeText(size)), and \(HubFile.sizeText(free)) are free",
                hint: "HF_HUB_CACHE names another folder."))
    }

    /// Runs work on files.
    private func local<Value>(_ body: () throws(TuttiError) -> Value) throws(HubFailure) -> Value {
        do throws(TuttiError) { return try body() } catch { throw HubFailure(error) }
    }

    /// A number of bytes as people read it.
    static func sizeText(_ bytes: Int) -> String {
        let units: [(Double, String)] = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")]
        guard let (unit, name) = units.first(where: { Double(bytes) >= $0.0 }) else { return "\(bytes) bytes" }
        return String(format: "%.1f %@", Double(bytes) / unit, name)
    }
}

/// Tells how far a long download is, every ten seconds.
private final class DownloadProgress {
    private let path: String
    private let size: Int?
    private let notice: (String) -> Void
    private var last = Date()

    init(path: String, size: Int?, notice: @escaping (String) -> Void) {
        (self.path, self.size, self.notice) = (path, size, notice)
    }

    func tell(_ count: Int) {
        guard last.timeIntervalSinceNow <= -10 else { return }
        last = Date()
        let whole = size.map { " of \(HubFile.sizeText($0))" } ?? ""
        notice("\(path): \(HubFile.sizeText(count))\(whole).")
    }
}
