// LargeFiles: sends contents to the store of large files, by the protocol of Git LFS: one PUT, or parts of a fixed size.
//
// The addresses of contents are signed, so they get no token. What the store has already is not sent.
//
// Reference: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md; huggingface_hub/lfs.py.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiNet

/// Sends large files of one repository.
struct LargeFiles {
    let client: HubClient
    let repository: HubRepository
    let revision: String
    let notice: (String) -> Void

    private static let type = [
        (name: "Accept", value: "application/vnd.git-lfs+json"),
        (name: "Content-Type", value: "application/vnd.git-lfs+json"),
    ]

    /// Has the contents of all `files` in the store; returns how many had to be sent.
    func send(_ files: [UploadFile]) throws(HubFailure) -> Int {
        guard !files.isEmpty else { return 0 }
        let objects = files.map { file -> JSONValue in
            .object(["oid": .string(file.sha256), "size": .integer(Int64(file.size))])
        }
        let batch: JSONObject = [
            "operation": .string("upload"), "transfers": .array([.string("basic"), .string("multipart")]),
            "objects": .array(objects), "hash_algo": .string("sha256"), "ref": .object(["name": .string(revision)]),
        ]
        let request = post(client.url("\(repository.page).git/info/lfs/objects/batch"), batch)
        let answer = try HubClient.parsed(try checked(request), request)
        var sent = 0
        for object in answer["objects"]?.array ?? [] {
            guard let oid = object["oid"]?.string, let file = files.first(where: { $0.sha256 == oid }) else { continue }
            if let error = object["error"] {
                throw refusal(file, error["message"]?.string ?? "the store of large files refuses it")
            }
            guard let actions = object["actions"], let upload = actions["upload"] else { continue }
            notice("Sending \(file.path) (\(HubFile.sizeText(file.size))).")
            try send(file, upload)
            sent += 1
            if let verify = actions["verify"]?["href"]?.string {
                var request = HTTPRequest("POST", here(verify), headers: [("Content-Type", "application/json")])
                let body: JSONObject = ["oid": .string(oid), "size": .integer(Int64(file.size))]
                request.body = .bytes(Array(body.serialized().utf8))
                _ = try checked(request)
            }
        }
        return sent
    }

    /// Sends the contents as `upload` says.
    private func send(_ file: UploadFile, _ upload: JSONValue) throws(HubFailure) {
        guard let address = upload["href"]?.string else {
            throw refusal(file, "the store of large files names no address")
        }
        let header = upload["header"]?.object ?? JSONObject()
        guard let chunk = header["chunk_size"].flatMap({ $0.int ?? $0.string.flatMap { Int($0) } }) else {
            _ = try put(file, here(address), offset: 0, count: file.size)
            return
        }
        let parts = header.compactMap { key, value in Int(key).map { (number: $0, url: value.string ?? "") } }
            .sorted { $0.number < $1.number }
        guard chunk > 0, parts.count == (file.size + chunk - 1) / chunk else {
            throw refusal(file, "the store of large files names \(parts.count) parts of \(chunk) bytes")
        }
        var tags: [JSONValue] = []
        for (place, part) in parts.enumerated() {
            let offset = place * chunk
            let response = try put(file, part.url, offset: offset, count: min(chunk, file.size - offset))
            guard let tag = response.headers["ETag"], !tag.isEmpty else {
                throw refusal(file, "the store of large files gives part \(part.number) no name")
            }
            tags.append(.object(["partNumber": .integer(Int64(part.number)), "etag": .string(tag)]))
        }
        // The address of the end of the parts is the hub's, and signed too.
        var request = post(here(address), ["oid": .string(file.sha256), "parts": .array(tags)])
        request.headers.insert(("User-Agent", "tutti/\(tuttiVersion)"), at: 0)
        try checkPlain(request, file)
    }

    // MARK: Requests

    private func post(_ url: String, _ body: JSONObject) -> HTTPRequest {
        HTTPRequest("POST", url, headers: Self.type, body: .bytes(Array(body.serialized().utf8)))
    }

    /// Sends a request with the token.
    private func checked(_ request: HTTPRequest) throws(HubFailure) -> HTTPResponse {
        var request = request
        request.timeout = max(client.settings.downloadTimeout, 60)
        let response = try client.send(request)
        guard response.isSuccess else { throw client.failure(response, repository, revision: revision) }
        return response
    }

    /// Sends bytes of a file to a signed address.
    private func put(_ file: UploadFile, _ url: String, offset: Int, count: Int) throws(HubFailure) -> HTTPResponse {
        var request = HTTPRequest("PUT", url, headers: [("User-Agent", "tutti/\(tuttiVersion)")])
        request.body = .file(path: file.source, offset: offset, count: count)
        return try checkPlain(request, file)
    }

    /// Sends a request without the token.
    @discardableResult
    private func checkPlain(_ request: HTTPRequest, _ file: UploadFile) throws(HubFailure) -> HTTPResponse {
        var request = request
        request.timeout = 60
        let response: HTTPResponse
        do throws(TuttiError) {
            response = try client.http.send(request, client.policy)
        } catch {
            throw HubFailure(reason: .unreachable, error: error)
        }
        guard response.isSuccess else {
            throw refusal(file, "\(request.shownURL) answered \(response.status)")
        }
        return response
    }

    /// An address of the public hub as one of the mirror in use.
    private func here(_ url: String) -> String {
        let hub = "https://huggingface.co/"
        return url.hasPrefix(hub) ? client.settings.endpoint + "/" + url.dropFirst(hub.count) : url
    }

    private func refusal(_ file: UploadFile, _ problem: String) -> HubFailure {
        HubFailure(TuttiError(.retryable, "push to \(repository)", file.path, problem, hint: "Push again."))
    }
}
