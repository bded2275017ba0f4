// Pushes to a stand-in for the hub: what is sent, what is not sent twice, and what happens when somebody interferes.

import Foundation
import TestSupport
import Testing
import TuttiGround
import TuttiHub

@Suite struct HubUploadTests {
    private let files = [
        "README.md": "---\nlicense: mit\n---\n", "config.json": "{}", "1_Pooling/config.json": "{\"a\": 1}",
        "model.safetensors": String(repeating: "small ", count: 300),
        "tokenizer.json": String(repeating: "large ", count: 2000), "vocab.txt": "",
    ]

    /// Runs `body` with an empty hub and a folder of files.
    private func withFolder(_ body: (HubStandIn, String) throws -> Void) throws {
        try withHub([:]) { hub in
            let folder = hub.folder + "/final"
            for (path, text) in files {
                let place = folder + "/" + path
                try FileManager.default.createDirectory(
                    atPath: (place as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
                try Data(text.utf8).write(to: URL(fileURLWithPath: place))
            }
            try body(hub, folder)
        }
    }

    private func uploader(_ hub: HubStandIn, token: String? = "hf_good", told: Told = Told()) -> HubUploader {
        HubUploader(HubClient(HubSettings(hub.environment(token: token)), policy: hub.policy(told))) { line in
            told.lines.withLock { $0.append(line) }
        }
    }

    private func push(
        _ hub: HubStandIn, _ folder: String, to id: String = "org/new", isPrivate: Bool? = nil
    ) throws(HubFailure) -> HubPush {
        let uploader = uploader(hub)
        return try uploader.push(folder, to: try uploader.create(id, isPrivate: isPrivate), message: "Add it")
    }

    /// What the hub has, read back into another cache.
    private func contents(_ hub: HubStandIn, _ id: String = "org/new") throws -> [String: String] {
        let downloader = hub.downloader(["HF_HUB_CACHE": hub.folder + "/back-\(UUID().uuidString)"])
        let snapshot = try downloader.snapshot(HubRepository(id), nil) { _, all in all }
        var found: [String: String] = [:]
        for path in snapshot.files {
            found[path] = try String(contentsOfFile: downloader.folder(of: snapshot) + "/" + path, encoding: .utf8)
        }
        return found
    }

    @Test func aFolderBecomesACommit() throws {
        try withFolder { hub, folder in
            let done = try push(hub, folder)
            #expect(done.files == 6 && done.changed == 6 && done.sent == 2)
            #expect(done.url.contains("/org/new/commit/"))
            let texts = try hub.texts().map { $0.replacing(/[0-9a-f]{64}/, with: "OID") }
            let parts = (12000 + 4095) / 4096
            #expect(
                texts == [
                    "hub POST /api/repos/create", "hub POST /api/validate-yaml",
                    "hub POST /api/models/org/new/preupload/main", "hub POST /org/new.git/info/lfs/objects/batch",
                    "store PUT /put/OID", "hub POST /org/new/verify",
                ] + (1...parts).map { "store PUT /part/OID/\($0)" } + [
                    "hub POST /org/new/complete/OID", "hub POST /org/new/verify",
                    "hub POST /api/models/org/new/commit/main",
                ])
            let requests = try hub.requests()
            #expect(requests.filter { $0.role == "store" }.allSatisfy { $0.token == nil })
            // The end of the parts is signed as well.
            let signed = requests.filter { $0.role == "hub" && $0.text.contains("/complete/") }
            #expect(signed.count == 1 && signed[0].token == nil)
            #expect(requests.filter { $0.role == "hub" && $0.token == nil }.count == 1)
            #expect(try contents(hub) == files)
        }
    }

    @Test func whatIsThereIsNotSentAgain() throws {
        try withFolder { hub, folder in
            _ = try push(hub, folder)
            try hub.forget()
            let again = try push(hub, folder)
            #expect(again.changed == 0 && again.sent == 0 && again.files == 6)
            #expect(try !hub.texts().contains { $0.contains("/commit/") || $0.contains("PUT") })
            // One file changes, and one comes whose contents the store has from another repository.
            try Data("{\"b\": 2}".utf8).write(to: URL(fileURLWithPath: folder + "/config.json"))
            #expect(try push(hub, folder).changed == 1)
            try hub.forget()
            let other = try push(hub, folder, to: "org/other")
            #expect(other.changed == 6 && other.sent == 0)
            #expect(try !hub.texts().contains { $0.contains("PUT") })
        }
    }

    @Test func aBrokenPushGoesOn() throws {
        try withFolder { hub, folder in
            try hub.fail(#"{"role": "store", "path": "/part/", "status": 403, "times": 9}"#)
            let broken = try #require(failure { () throws(HubFailure) in _ = try push(hub, folder) })
            #expect(broken.error.hint == "Push again." && !"\(broken.error)".contains("secret"), "\(broken.error)")
            #expect(try !hub.texts().contains { $0.contains("/commit/") })
            try hub.forget()
            let done = try push(hub, folder)
            #expect(done.sent == 1 && done.changed == 6)
            #expect(try contents(hub) == files)
        }
    }

    @Test func aLostAnswerMakesOneCommit() throws {
        try withFolder { hub, folder in
            try hub.fail(#"{"path": "/commit/", "lose_answer": true}"#)
            let done = try push(hub, folder)
            #expect(done.changed == 0)
            #expect(try hub.texts().filter { $0.contains("/commit/") }.count == 1)
            #expect(try contents(hub) == files)
        }
    }

    @Test(arguments: [409, 412])
    func aConflictIsTriedAgain(_ status: Int) throws {
        try withFolder { hub, folder in
            try hub.fail("{\"path\": \"/commit/\", \"status\": \(status)}")
            #expect(try push(hub, folder).changed == 6)
            #expect(try hub.texts().filter { $0.contains("/commit/") }.count == 2)
        }
    }

    @Test func refusals() throws {
        try withFolder { hub, folder in
            let nobody = failure { () throws(HubFailure) in
                _ = try uploader(hub, token: nil).create("org/new", isPrivate: nil)
            }
            #expect(nobody?.reason == .token && nobody?.error.kind == .usage)
            #expect(try hub.requests().isEmpty)
            try Data("---\nlicense: [\n---\n".utf8).write(to: URL(fileURLWithPath: folder + "/README.md"))
            let card = failure { () throws(HubFailure) in _ = try push(hub, folder) }
            #expect(card?.error.kind == .data && card?.error.problem.contains("license") == true)
            #expect(try !hub.texts().contains { $0.contains("preupload") })
            let absent = failure { () throws(HubFailure) in _ = try push(hub, folder + "/none") }
            #expect(absent?.error.kind == .missingFile)
        }
    }

    @Test func ownNamesBranchesAndPrivacy() throws {
        try withFolder { hub, folder in
            let uploader = uploader(hub)
            let repository = try uploader.create("mine", isPrivate: true)
            #expect(repository.id == "someone/mine")
            try uploader.branch("v1/a", of: repository)
            try uploader.branch("v1/a", of: repository)
            #expect(try uploader.push(folder, to: repository, revision: "v1/a", message: "m").changed == 6)
            let reader = hub.downloader(token: nil, ["HF_HUB_CACHE": hub.folder + "/nobody"])
            let hidden = failure { () throws(HubFailure) in
                _ = try reader.snapshot(repository, nil) { _, all in all }
            }
            #expect(hidden?.reason == .repository)
            #expect(try hub.downloader().snapshot(repository, "v1/a") { _, all in all }.files.count == 6)
            #expect(try hub.downloader().snapshot(repository, nil) { _, all in all }.files.isEmpty)
        }
    }
}
