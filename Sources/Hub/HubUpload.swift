// HubUpload: a folder becomes a commit of a repository.
//
// In order: the repository is made if it is not there, the model card is checked, the hub says which files it has and which
// are large, large contents go to their store, one commit names all. Whatever is there already is not sent again, so a push
// that broke off is begun anew: also after a lost answer, when nobody knows whether the commit was made.
//
// Reference: huggingface_hub/hf_api.py, huggingface_hub/_commit_api.py.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiNet

/// What a push did.
package struct HubPush: Sendable {
    /// Where the commit can be seen.
    package let url: String
    /// Files of the folder.
    package let files: Int
    /// Those that the repository did not have.
    package let changed: Int
    /// Those whose contents went to the store of large files.
    package let sent: Int
}

/// Pushes folders to one hub.
package struct HubUploader {
    let client: HubClient
    let notice: (String) -> Void

    /// An uploader.
    package init(_ client: HubClient, notice: @escaping (String) -> Void) {
        self.client = client
        self.notice = notice
    }

    /// Pushes the files of `folder` to the repository of `id` and its branch `revision`, both made if they are not there.
    ///
    /// - Parameter isPrivate: of a new repository; nil leaves it to the organization.
    /// - Throws: `.usage` for an id or a branch that cannot be one, or without a token; otherwise what the hub's failure says.
    package func push(
        _ folder: String, to id: String, isPrivate: Bool?, revision: String?, message: String
    ) throws(TuttiError) -> HubPush {
        guard HubRepository.isID(id) else {
            throw TuttiError(.usage, "push a folder", id, "is not an id of the hub", hint: "Write organization/name.")
        }
        if let revision, !HubRepository.isRevision(revision) {
            throw TuttiError(.usage, "push a folder", "--revision", "'\(revision)' cannot be a branch")
        }
        do throws(HubFailure) {
            let repository = try create(id, isPrivate: isPrivate)
            if let revision { try branch(revision, of: repository) }
            return try push(folder, to: repository, revision: revision ?? "main", message: message)
        } catch {
            throw error.error
        }
    }

    /// The repository of `id`, made if it is not there; a name without an organization is the user's own.
    ///
    /// - Parameter isPrivate: nil leaves it to the organization.
    package func create(_ id: String, isPrivate: Bool?) throws(HubFailure) -> HubRepository {
        guard client.settings.token != nil else {
            throw HubFailure(
                reason: .token,
                error: TuttiError(
                    .usage, "push to the hub", id, "there is no token",
                    hint: "Set HF_TOKEN to a token that may write, or log in with 'hf auth login'."))
        }
        guard !client.settings.isOffline else {
            throw HubFailure(
                TuttiError(
                    .usage, "push to the hub", id, "HF_HUB_OFFLINE forbids to ask the hub",
                    hint: "Push later, where there is a network: tutti push FOLDER \(id)."))
        }
        var id = id
        if !id.contains("/") {
            let user = try client.json("GET", "/api/whoami-v2", of: HubRepository(id))["name"]?.string
            if let user { id = "\(user)/\(id)" }
        }
        let parts = id.split(separator: "/").map(String.init)
        var body: JSONObject = [
            "name": .string(parts[parts.count - 1]),
            "organization": parts.count > 1 ? .string(parts[0]) : .null,
        ]
        if let isPrivate { body["visibility"] = .string(isPrivate ? "private" : "public") }
        let repository = HubRepository(id)
        do throws(HubFailure) {
            _ = try client.json("POST", "/api/repos/create", .object(body), of: repository, timeout: 60)
        } catch {
            // It is there.
            guard error.answer?.status == 409 else { throw error }
        }
        return repository
    }

    /// Makes a branch of a repository, if it is not there.
    package func branch(_ name: String, of repository: HubRepository) throws(HubFailure) {
        guard name != "main" else { return }
        do throws(HubFailure) {
            let path = "\(repository.api)/branch/\(percentEncoded(name))"
            var request = HTTPRequest("POST", client.url(path), headers: [("Content-Type", "application/json")])
            request.body = .bytes(Array("{}".utf8))
            let response = try client.send(request)
            guard response.isSuccess else { throw client.failure(response, repository, revision: name) }
        } catch {
            guard error.answer?.status == 409 else { throw error }
        }
    }

    /// Pushes the files of `folder` as one commit.
    ///
    /// - Parameters:
    ///   - prefix: the folder of the repository that they go to, with a final slash; empty for its root.
    ///   - skips: whether a path of the folder stays here.
    package func push(
        _ folder: String, to repository: HubRepository, revision: String = "main", message: String, prefix: String = "",
        skips: (String) -> Bool = { _ in false }
    ) throws(HubFailure) -> HubPush {
        var files: [UploadFile] = []
        do throws(TuttiError) {
            for path in try UploadFile.paths(in: folder) where !skips(path) {
                files.append(try UploadFile(prefix + path, at: folder + "/" + path))
            }
            guard !files.isEmpty else { throw TuttiError(.usage, "push a folder", folder, "holds no files") }
        } catch {
            throw HubFailure(error)
        }
        try checkCard(files, repository)
        var sent = 0
        for number in 1... {
            let changed = try decide(&files, repository, revision)
            guard !changed.isEmpty else {
                return HubPush(
                    url: "\(client.settings.endpoint)\(repository.page)", files: files.count, changed: 0, sent: sent)
            }
            let store = LargeFiles(client: client, repository: repository, revision: revision, notice: notice)
            sent += try store.send(changed.filter(\.isLarge))
            do throws(HubFailure) {
                let url = try commit(changed, repository, revision, message)
                return HubPush(url: url, files: files.count, changed: changed.count, sent: sent)
            } catch {
                let isTransient = error.reason == .unreachable || error.reason == .conflict
                guard isTransient, number < client.policy.tries else { throw error }
                client.policy.sleep(client.policy.pause(after: number, nil) ?? 0)
            }
        }
        preconditionFailure("a push ends")
    }

    // MARK: Steps

    /// Refuses a model card that the hub would refuse after everything has been sent.
    private func checkCard(_ files: [UploadFile], _ repository: HubRepository) throws(HubFailure) {
        guard let card = files.first(where: { $0.path == "README.md" }) else { return }
        let text: String
        do throws(TuttiError) { text = try MappedFile(path: card.source).text } catch { throw HubFailure(error) }
        var request = HTTPRequest(
            "POST", client.url("/api/validate-yaml"), headers: [("Content-Type", "application/json")])
        let body: JSONObject = ["content": .string(text), "repoType": .string(repository.kind.rawValue)]
        request.body = .bytes(Array(body.serialized().utf8))
        request.timeout = 60
        let response = try client.send(request)
        // It answers 400 with the same lists.
        guard response.isSuccess || response.status == 400 else { throw client.failure(response, repository) }
        let answer = try HubClient.parsed(response, request)
        func messages(_ key: String) -> [String] { answer[key]?.array?.compactMap { $0["message"]?.string } ?? [] }
        for line in messages("warnings") { notice("README.md: \(line)") }
        let errors = messages("errors")
        guard errors.isEmpty else {
            throw HubFailure(
                TuttiError(
                    .data, "push to \(repository)", card.source,
                    "the hub refuses its YAML: \(errors.joined(separator: "; "))",
                    hint: "Mend the lines between --- at its beginning."))
        }
    }

    /// The files that the repository does not have, each known to be large or not.
    private func decide(
        _ files: inout [UploadFile], _ repository: HubRepository, _ revision: String
    ) throws(HubFailure) -> [UploadFile] {
        var changed: [UploadFile] = []
        for start in stride(from: 0, to: files.count, by: 256) {
            let part = start..<min(start + 256, files.count)
            let list = files[part].map { file -> JSONValue in
                .object([
                    "path": .string(file.path), "sample": .string(Data(file.sample).base64EncodedString()),
                    "size": .integer(Int64(file.size)),
                ])
            }
            let answer = try client.json(
                "POST", "\(repository.api)/preupload/\(percentEncoded(revision))", .object(["files": .array(list)]),
                of: repository, revision: revision, timeout: 60)
            let known = answer["files"]?.array ?? []
            for place in part {
                guard let facts = known.first(where: { $0["path"]?.string == files[place].path }) else {
                    throw HubFailure(
                        TuttiError(.data, "push to \(repository)", files[place].path, "the hub says nothing about it"))
                }
                // The store takes no empty files.
                files[place].isLarge = facts["uploadMode"]?.string == "lfs" && files[place].size > 0
                if facts["shouldIgnore"]?.bool == true || files[place].isThere(facts["oid"]?.string) { continue }
                changed.append(files[place])
            }
        }
        return changed
    }

    /// Makes the commit, and returns where it can be seen. Not sent twice: a lost answer may be one of success.
    private func commit(
        _ files: [UploadFile], _ repository: HubRepository, _ revision: String, _ message: String
    ) throws(HubFailure) -> String {
        var lines = [JSONObject(dictionaryLiteral: ("key", .string("header")))]
        lines[0]["value"] = .object(["summary": .string(message), "description": .string("")])
        for file in files {
            if file.isLarge {
                lines.append([
                    "key": .string("lfsFile"),
                    "value": .object([
                        "path": .string(file.path), "algo": .string("sha256"), "oid": .string(file.sha256),
                        "size": .integer(Int64(file.size)),
                    ]),
                ])
            } else {
                lines.append([
                    "key": .string("file"),
                    "value": .object([
                        "content": .string(try contents(of: file)), "path": .string(file.path),
                        "encoding": .string("base64"),
                    ]),
                ])
            }
        }
        let url = client.url("\(repository.api)/commit/\(percentEncoded(revision))")
        var request = HTTPRequest("POST", url, headers: [("Content-Type", "application/x-ndjson")])
        request.body = .bytes(Array(lines.map { $0.serialized() + "\n" }.joined().utf8))
        request.timeout = 120
        let response = try client.send(request, .never)
        guard response.isSuccess else { throw client.failure(response, repository, revision: revision) }
        let answer = try HubClient.parsed(response, request)
        return answer["commitUrl"]?.string ?? "\(client.settings.endpoint)\(repository.page)"
    }

    private func contents(of file: UploadFile) throws(HubFailure) -> String {
        if file.size == 0 { return "" }
        do throws(TuttiError) {
            let mapped = try MappedFile(path: file.source)
            return withExtendedLifetime(mapped) { Data(mapped.bytes).base64EncodedString() }
        } catch {
            throw HubFailure(error)
        }
    }
}
