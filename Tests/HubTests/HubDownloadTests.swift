// Models and data sets from a stand-in for the hub: what is asked for, what is kept, and what every refusal says.

import Foundation
import Synchronization
import TestSupport
import Testing
import TuttiGround
import TuttiHub
import TuttiNet

/// Files of a model as sentence-transformers saves one.
let modelFiles = [
    "modules.json": #"[{"idx":0,"name":"0","path":""},{"idx":1,"name":"1","path":"1_Pooling"}]"#,
    "config.json": #"{"model_type": "bert"}"#, "tokenizer.json": "{}", "README.md": "---\n---\n",
    "1_Pooling/config.json": #"{"pooling_mode_mean_tokens": true}"#, "vocab.txt": "a\nb\n",
    "model.safetensors": String(repeating: "weights ", count: 700), "pytorch_model.bin": "torch",
    "onnx/model.onnx": "onnx", "openvino/openvino_model.xml": "xml", "tf_model.h5": "tf", ".gitattributes": "",
]

/// What a downloader said, and how long it would have waited.
final class Told: Sendable {
    let lines = Mutex<[String]>([])
    let pauses = Mutex<[Double]>([])
}

extension HubStandIn {
    /// A downloader that waits for nothing.
    func downloader(
        token: String? = "hf_good", _ more: [String: String] = [:], told: Told = Told()
    ) -> HubDownloader {
        HubDownloader(HubClient(HubSettings(environment(token: token, more)), policy: policy(told))) { line in
            told.lines.withLock { $0.append(line) }
        }
    }

    func policy(_ told: Told) -> RetryPolicy {
        var policy = RetryPolicy()
        policy.sleep = { seconds in told.pauses.withLock { $0.append(seconds) } }
        return policy
    }

    /// The requests as "hub GET /path".
    func texts() throws -> [String] { try requests().map { "\($0.role) \($0.text)" } }
}

/// The failure of `body`.
func failure(_ body: () throws(HubFailure) -> Void) -> HubFailure? {
    do throws(HubFailure) {
        try body()
        return nil
    } catch {
        return error
    }
}

/// Runs `body` with a hub that holds the model org/tiny.
func withHub(
    _ models: [String: [String: String]] = ["org/tiny": modelFiles], datasets: [String: [String: String]] = [:],
    _ body: (HubStandIn) throws -> Void
) throws {
    try withTemporaryDirectory { folder in
        let hub = try HubStandIn(in: folder, models: models, datasets: datasets)
        try withExtendedLifetime(hub) { try body(hub) }
    }
}

@Suite struct HubDownloadTests {
    private let tiny = HubReference(id: "org/tiny", revision: nil)
    private let weights = modelFiles["model.safetensors"] ?? ""

    private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    @Test func theCacheIsLaidOutAsPythons() throws {
        try withHub { hub in
            let downloader = hub.downloader()
            let snapshot = try downloader.model(tiny)
            let folder = downloader.folder(of: snapshot)
            let names = try FileManager.default.subpathsOfDirectory(atPath: folder).sorted()
            #expect(
                names == [
                    "1_Pooling", "1_Pooling/config.json", "config.json", "model.safetensors", "modules.json",
                    "tokenizer.json", "vocab.txt",
                ])
            #expect(try text(folder + "/model.safetensors") == weights)
            let home = hub.folder + "/cache/models--org--tiny"
            #expect(folder == home + "/snapshots/" + snapshot.commit)
            #expect(try text(home + "/refs/main") == snapshot.commit)
            let files = FileManager.default
            let blob = hexadecimalDigest(ofText: weights)
            #expect(try files.destinationOfSymbolicLink(atPath: folder + "/model.safetensors") == "../../blobs/" + blob)
            // printf 'a\nb\n' | git hash-object --stdin
            #expect(
                try files.destinationOfSymbolicLink(atPath: folder + "/vocab.txt")
                    == "../../blobs/422c2b7ab3b3c668038da977e4e93a5fc623169c")
            let pooling = try files.destinationOfSymbolicLink(atPath: folder + "/1_Pooling/config.json")
            #expect(pooling.hasPrefix("../../../blobs/"))
            #expect(try files.contentsOfDirectory(atPath: home + "/blobs").count == 6)
            #expect(try files.contentsOfDirectory(atPath: hub.folder + "/cache/.locks/models--org--tiny").count == 6)

            // What is there is not asked for again.
            try hub.forget()
            #expect(try downloader.model(tiny).commit == snapshot.commit)
            #expect(try hub.texts() == ["hub GET /api/models/org/tiny/revision/main"])
            // Nor the revision, if it is a commit.
            try hub.forget()
            _ = try downloader.model(HubReference(id: "org/tiny", revision: snapshot.commit))
            #expect(try hub.texts().count == 1)
        }
    }

    @Test func aFileIsAskedForAsPythonDoes() throws {
        try withHub { hub in
            let snapshot = try hub.downloader().snapshot(HubRepository("org/tiny"), nil) { _, _ in ["model.safetensors"]
            }
            let blob = hexadecimalDigest(ofText: weights)
            #expect(
                try hub.texts() == [
                    "hub GET /api/models/org/tiny/revision/main",
                    "hub HEAD /org/tiny/resolve/\(snapshot.commit)/model.safetensors", "store GET /get/\(blob)",
                ])
        }
    }

    @Test func theTokenStaysWithTheHub() throws {
        try withHub { hub in
            _ = try hub.downloader().model(tiny)
            let requests = try hub.requests()
            let (own, others) = (requests.filter { $0.role == "hub" }, requests.filter { $0.role == "store" })
            #expect(!own.isEmpty && own.allSatisfy { $0.token == "Bearer hf_good" })
            #expect(others.count == 1 && others.allSatisfy { $0.token == nil })
        }
    }

    @Test func aCutDownloadGoesOn() throws {
        try withHub { hub in
            try hub.fail(#"{"role": "store", "cut": 2000}"#)
            let told = Told()
            let downloader = hub.downloader(told: told)
            let folder = downloader.folder(of: try downloader.model(tiny))
            #expect(try text(folder + "/model.safetensors") == weights)
            #expect(try hub.requests().filter { $0.role == "store" }.map(\.range) == [nil, "bytes=2000-"])
            #expect(told.pauses.withLock { $0 } == [1])
        }
    }

    @Test func aServerThatIgnoresRangesSendsAll() throws {
        try withHub { hub in
            try hub.fail(#"{"role": "store", "cut": 2000}"#, #"{"role": "store", "ignore_range": true}"#)
            let downloader = hub.downloader()
            let folder = downloader.folder(of: try downloader.model(tiny))
            #expect(try text(folder + "/model.safetensors") == weights)
        }
    }

    /// Bytes that another program left are found out by the digest, and fetched anew.
    @Test(arguments: [3000, 6000])
    func aForeignBeginningIsReplaced(_ length: Int) throws {
        try withHub { hub in
            let blobs = hub.folder + "/cache/models--org--tiny/blobs"
            try FileManager.default.createDirectory(atPath: blobs, withIntermediateDirectories: true)
            let part = blobs + "/" + hexadecimalDigest(ofText: weights) + ".incomplete"
            try Data(repeating: 7, count: length).write(to: URL(fileURLWithPath: part))
            let downloader = hub.downloader()
            let folder = downloader.folder(of: try downloader.model(tiny))
            #expect(try text(folder + "/model.safetensors") == weights)
            #expect(!FileManager.default.fileExists(atPath: part))
            let gets = try hub.requests().filter { $0.role == "store" }
            #expect(gets.map(\.range) == (length == 3000 ? ["bytes=3000-", nil] : [nil]))
        }
    }

    @Test func damagedContentsAreNotKept() throws {
        try withHub { hub in
            for (role, path) in [("store", "model.safetensors"), ("hub", "vocab.txt")] {
                try hub.fail(
                    "{\"role\": \"\(role)\", \"method\": \"GET\", \"path\": \"\(role == "hub" ? path : "")\", \"corrupt\": true}"
                )
                let found = try #require(failure { () throws(HubFailure) in _ = try hub.downloader().model(tiny) })
                #expect(found.error.kind == .data && found.error.problem.contains("digest"), "\(found.error)")
                #expect(found.error.subject == path)
                let blobs = try FileManager.default.contentsOfDirectory(
                    atPath: hub.folder + "/cache/models--org--tiny/blobs")
                #expect(!blobs.contains { $0.contains("incomplete") })
                let wanted = hexadecimalDigest(ofText: weights)
                if role == "store" { #expect(!blobs.contains(wanted)) }
            }
            let downloader = hub.downloader()
            #expect(try text(downloader.folder(of: try downloader.model(tiny)) + "/vocab.txt") == "a\nb\n")
        }
    }

    @Test func aBusyHubIsAskedAgain() throws {
        try withHub { hub in
            try hub.fail(
                #"{"path": "/api/", "status": 429, "headers": {"Retry-After": "3"}}"#,
                #"{"path": "/api/", "status": 429, "headers": {"RateLimit": "\"api\";r=0;t=7"}}"#,
                #"{"path": "/api/", "status": 503, "times": 2}"#)
            let told = Told()
            _ = try hub.downloader(told: told).model(tiny)
            #expect(told.pauses.withLock { $0 } == [3, 7, 4, 8])

            try hub.fail(#"{"path": "/api/", "status": 500, "times": 5}"#)
            let fresh = hub.downloader(["HF_HUB_CACHE": hub.folder + "/other"])
            let found = try #require(failure { () throws(HubFailure) in _ = try fresh.model(tiny) })
            #expect(found.error.kind == .retryable && found.reason == .unreachable)
        }
    }

    @Test func refusalsSayWhatToDo() throws {
        let models = ["org/tiny": modelFiles, "org/private-a": modelFiles, "org/gated": modelFiles]
        try withHub(models) { hub in
            func refusal(_ name: String, token: String?) throws -> TuttiError {
                let reference = try #require(HubReference(name))
                let found = failure { () throws(HubFailure) in _ = try hub.downloader(token: token).model(reference) }
                return try #require(found).error
            }
            let expired = try refusal("org/tiny", token: "hf_expired")
            #expect(expired.kind == .usage && expired.problem.contains("token is not accepted"), "\(expired)")
            #expect(!"\(expired)".contains("hf_expired"))
            let gated = try refusal("org/gated", token: nil)
            #expect(gated.kind == .usage && gated.problem.contains("restricted"), "\(gated)")
            let hidden = try refusal("org/private-a", token: nil)
            #expect(hidden.kind == .missingFile && hidden.hint?.contains("HF_TOKEN") == true, "\(hidden)")
            let absent = try refusal("org/absent", token: "hf_good")
            #expect(absent.kind == .missingFile && absent.problem.contains("no such model"), "\(absent)")
            let revision = try refusal("org/tiny@nope", token: "hf_good")
            #expect(revision.kind == .missingFile && revision.problem == "there is no revision 'nope'", "\(revision)")
            _ = try hub.downloader().model(HubReference(id: "org/private-a", revision: nil))
        }
    }

    @Test func aPartialSnapshotIsCompleted() throws {
        try withHub { hub in
            let downloader = hub.downloader()
            let folder = downloader.folder(of: try downloader.model(tiny))
            try FileManager.default.removeItem(atPath: folder + "/tokenizer.json")
            try hub.forget()
            _ = try downloader.model(tiny)
            #expect(FileManager.default.fileExists(atPath: folder + "/tokenizer.json"))
            // Its contents are in blobs still.
            let texts = try hub.texts()
            #expect(texts.count == 2 && texts[1].hasPrefix("hub HEAD") && texts[1].hasSuffix("/tokenizer.json"))
        }
    }

    @Test func withoutANetworkTheCacheIsUsed() throws {
        try withHub { hub in
            let commit = try hub.downloader().model(tiny).commit
            try hub.forget()
            let told = Told()
            #expect(try hub.downloader(["HF_HUB_OFFLINE": "1"], told: told).model(tiny).commit == commit)
            #expect(try hub.requests().isEmpty && told.lines.withLock { $0 }.isEmpty)
            // Not told to be offline, but nobody answers.
            let lost = hub.downloader(["HF_ENDPOINT": "http://127.0.0.1:1"], told: told)
            #expect(try lost.model(tiny).commit == commit)
            #expect(told.lines.withLock { $0.count == 1 && $0[0].contains("cache's commit") })
            #expect(told.pauses.withLock { $0 }.isEmpty)

            let other = HubReference(id: "org/other", revision: nil)
            let offline = hub.downloader(["TRANSFORMERS_OFFLINE": "true"])
            let refused = try #require(failure { () throws(HubFailure) in _ = try offline.model(other) })
            #expect(refused.error.kind == .missingFile && refused.error.hint?.contains("tutti download") == true)
            let unreached = try #require(failure { () throws(HubFailure) in _ = try lost.model(other) })
            #expect(unreached.error.kind == .retryable && unreached.reason == .unreachable)
        }
    }

    /// Without a copy and without a network nobody waits long; once the hub has answered, broken connections are tried again.
    @Test func aHubThatIsNotThereIsSoonSaid() throws {
        try withHub { hub in
            let told = Told()
            let lost = hub.downloader(["HF_ENDPOINT": "http://127.0.0.1:1"], told: told)
            let other = HubReference(id: "org/other", revision: nil)
            let unreached = try #require(failure { () throws(HubFailure) in _ = try lost.model(other) })
            #expect(unreached.reason == .unreachable && unreached.answer == nil)
            #expect(told.pauses.withLock { $0 == [1] })  // two more would be more than two
            let patient = hub.downloader(
                ["HF_ENDPOINT": "http://127.0.0.1:1", "HF_HUB_ETAG_TIMEOUT": "30"], told: told)
            _ = failure { () throws(HubFailure) in _ = try patient.model(other) }
            #expect(told.pauses.withLock { $0.dropFirst() == [1, 2, 4, 8] })
            // A data set is asked for once, not once more for the hub's own copy.
            told.pauses.withLock { $0 = [] }
            let data = try #require(DatasetReference("org/data"))
            _ = failure { () throws(HubFailure) in _ = try lost.dataset(data, split: nil) }
            #expect(told.pauses.withLock { $0 == [1] })
        }
    }

    @Test func namesThatLeaveTheFolderAreRefused() throws {
        try withHub { hub in
            for name in ["../../escaped.json", "/etc/escaped.json", "a//b.json"] {
                let sha = String(repeating: "a", count: 40)
                try hub.fail(
                    "{\"path\": \"/api/\", \"status\": 200, \"body\": {\"sha\": \"\(sha)\", \"siblings\": [{\"rfilename\": \"\(name)\"}]}}"
                )
                let found = try #require(failure { () throws(HubFailure) in _ = try hub.downloader().model(tiny) })
                #expect(found.error.kind == .data && found.error.problem.contains("outside"), "\(found.error)")
            }
            try hub.fail(#"{"path": "/api/", "status": 200, "body": {"sha": "../../x", "siblings": []}}"#)
            let found = try #require(failure { () throws(HubFailure) in _ = try hub.downloader().model(tiny) })
            #expect(found.error.kind == .data)
        }
    }

    @Test func proxiesAreUsed() throws {
        let small = modelFiles.filter { $0.key != "model.safetensors" }
        try withHub(["org/small": small]) { hub in
            let reference = HubReference(id: "org/small", revision: nil)
            let elsewhere = ["HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": hub.endpoint]
            _ = try hub.downloader(elsewhere).model(reference)
            let requests = try hub.requests()
            #expect(requests.count > 4 && requests.allSatisfy(\.isProxied))
            // Without the proxy there is no such host.
            let found = failure { () throws(HubFailure) in
                let lost = hub.downloader(["HF_ENDPOINT": "http://hub.invalid", "HF_HUB_CACHE": hub.folder + "/other"])
                _ = try lost.model(reference)
            }
            #expect(found?.reason == .unreachable)
        }
    }
}
