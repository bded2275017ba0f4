// huggingface_hub itself beside Tutti, before the same stand-in: they ask alike, and each opens what the other has downloaded
// (launch/test --real).

import Foundation
import TestSupport
import Testing

@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["TUTTI_PEER"] != nil))
struct RealHubTests {
    private let model = TuttiProcess.root + "/Tests/Golden/training/bert-sgd/model"

    private func withHub(_ body: (HubStandIn) throws -> Void) throws {
        try withTemporaryDirectory { folder in
            try FileManager.default.createDirectory(atPath: folder + "/models/org", withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: model, toPath: folder + "/models/org/tiny")
            let hub = try HubStandIn(in: folder)
            try withExtendedLifetime(hub) { try body(hub) }
        }
    }

    private func tutti(_ hub: HubStandIn, cache: String, _ words: String...) throws -> String {
        let outcome = try TuttiProcess.run(
            words, environment: hub.environment(["HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": hub.folder + "/" + cache]))
        #expect(outcome.code == 0, "\(outcome.errors)")
        return outcome.output.trimmingCharacters(in: .newlines).replacing("//", with: "/")
    }

    private func python(_ hub: HubStandIn, cache: String, _ words: String...) throws -> String {
        let process = Process()
        let peer = try #require(ProcessInfo.processInfo.environment["TUTTI_PEER"])
        process.executableURL = URL(fileURLWithPath: peer + "/bin/python")
        process.arguments = [TuttiProcess.root + "/Tests/StandIns/hub_peer.py"] + words
        process.environment = ProcessInfo.processInfo.environment
            .merging(hub.environment(["HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": hub.folder + "/" + cache])) { $1 }
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return text.trimmingCharacters(in: .newlines).replacing("//", with: "/")
    }

    /// The requests since the last call, with whether they had the token.
    private func requests(_ hub: HubStandIn) throws -> [String] {
        defer { try? hub.forget() }
        return try hub.requests().map { "\($0.role) \($0.text) \($0.token == nil ? "" : "token")" }
    }

    /// Every file of a folder, links followed.
    private func contents(_ folder: String) throws -> [String: Data] {
        var found: [String: Data] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            found[path] = FileManager.default.contents(atPath: folder + "/" + path)
        }
        return found
    }

    @Test func realPythonAndTuttiOpenWhatTheOtherDownloaded() throws {
        try withHub { hub in
            let own = try tutti(hub, cache: "a", "download", "org/tiny")
            _ = try requests(hub)
            #expect(try python(hub, cache: "a", "offline", "org/tiny") == own)
            #expect(try python(hub, cache: "a", "file", "org/tiny", "model.safetensors") == own + "/model.safetensors")
            let theirs = try python(hub, cache: "b", "model", "org/tiny")
            _ = try requests(hub)
            #expect(try tutti(hub, cache: "b", "download", "org/tiny") == theirs)
            #expect(try requests(hub) == ["hub GET /api/models/org/tiny/revision/main token"])
            #expect(try contents(own) == contents(theirs))
            // Names and links of the cache as well.
            for folder in ["blobs", "refs", "snapshots"] {
                let names = try ["a", "b"].map {
                    try FileManager.default.subpathsOfDirectory(
                        atPath: "\(hub.folder)/\($0)/models--org--tiny/\(folder)"
                    )
                    .sorted()
                }
                #expect(names[0] == names[1])
            }
            let links = try [own, theirs].map {
                try FileManager.default.destinationOfSymbolicLink(atPath: $0 + "/1_Pooling/config.json")
            }
            #expect(links[0] == links[1])
        }
    }

    @Test func realPythonAsksAlike() throws {
        try withHub { hub in
            _ = try python(hub, cache: "a", "model", "org/tiny")
            // Python asks with several threads, and for a list of files with their sizes.
            let theirs = try requests(hub).filter { !$0.contains("/tree/") }
            _ = try tutti(hub, cache: "b", "download", "org/tiny")
            #expect(try requests(hub).sorted() == theirs.sorted())

            _ = try python(hub, cache: "a", "push", "org/theirs", model)
            let pushed = try requests(hub).map { $0.replacing("theirs", with: "own") }
            #expect(pushed.count >= 4)
            _ = try tutti(hub, cache: "a", "push", model, "org/own")
            // Of a model of this hub the store has all large files already.
            #expect(try requests(hub) == pushed)
        }
    }

    @Test func realPythonSendsAlike() throws {
        try withHub { theirs in
            try withHub { own in
                let folder = theirs.folder + "/new"
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                for (name, count) in [("one.safetensors", 300), ("parts.safetensors", 20_000), ("config.json", 20)] {
                    try Data(String(repeating: "x", count: count).utf8).write(
                        to: URL(fileURLWithPath: folder + "/" + name))
                }
                try Data("---\nlicense: mit\n---\n".utf8).write(to: URL(fileURLWithPath: folder + "/README.md"))
                _ = try python(theirs, cache: "a", "push", "org/new", folder)
                _ = try tutti(own, cache: "a", "push", folder, "org/new")
                // Python has the card checked twice.
                let (sent, wanted) = (try requests(own), try requests(theirs))
                #expect(Set(sent) == Set(wanted) && sent.count == wanted.count - 1, "\(sent) \(wanted)")
                let back = try python(own, cache: "b", "model", "org/new")
                #expect(try contents(back) == contents(folder))
            }
        }
    }
}
