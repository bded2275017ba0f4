// What the ranks of several nodes download: each file once for every cache that there is, and the hub is asked once.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiGround
import TuttiHub
import TuttiModels

@Suite(.serialized) struct ModelHubNodesTests {
    private static let model = [
        "modules.json": #"[{"idx":0,"name":"0","path":""},{"idx":1,"name":"1","path":"1_Pooling"}]"#,
        "config.json": #"{"model_type": "bert"}"#, "tokenizer.json": "{}", "vocab.txt": "a\nb\n",
        "1_Pooling/config.json": #"{"pooling_mode_mean_tokens": true}"#,
        "model.safetensors": String(repeating: "weights ", count: 700),
    ]
    private static let rows = ["data/train-00000-of-00002.parquet": "one", "data/train-00001-of-00002.parquet": "two"]

    /// Runs `body` with a hub of a model and a data set.
    private func withHub(_ body: (HubStandIn) throws -> Void) throws {
        try withTemporaryDirectory { folder in
            let hub = try HubStandIn(in: folder, models: ["org/tiny": Self.model], datasets: ["org/pairs": Self.rows])
            try withExtendedLifetime(hub) { try body(hub) }
        }
    }

    /// Has two ranks on each of two nodes fetch model and data set; `cache` gives the cache of a node.
    private func fetch(_ hub: HubStandIn, cache: @escaping @Sendable (Int) -> String) throws {
        let environment = hub.environment()
        let reference = try #require(DatasetReference("org/pairs"))
        let files = try LocalEnsemble.run(nodes: [0, 0, 1, 1]) { ensemble -> [String] in
            let environment = environment.merging(["HF_HUB_CACHE": cache(ensemble.node)]) { $1 }
            try ModelHub.fetch(["org/tiny"], among: ensemble, environment: environment) { _ in }
            let files = try ModelHub.dataset(reference, split: nil, among: ensemble, environment: environment) { _ in }
            // What every rank then opens is in the cache of its node.
            return files + [try ModelHub.resolve("org/tiny", environment: environment) { _ in } + "/model.safetensors"]
        }
        for (rank, paths) in files.enumerated() {
            #expect(paths.count == 3 && paths.allSatisfy { $0.hasPrefix(cache(rank / 2) + "/") })
            #expect(paths.allSatisfy { FileManager.default.fileExists(atPath: $0) }, "rank \(rank): \(paths)")
        }
    }

    /// How often each file was downloaded, and how often the hub was asked what there is.
    private func requests(_ hub: HubStandIn) throws -> (files: [String: Int], asked: Int) {
        let all = try hub.requests()
        let downloads = all.filter { $0.text.hasPrefix("GET") && !$0.text.contains("/api/") }
            .filter { $0.role == "store" || !$0.text.hasSuffix(".safetensors") }
        return (
            Dictionary(grouping: downloads, by: \.text).mapValues(\.count), all.count { $0.text.contains("/api/") }
        )
    }

    @Test func nodesWithCachesOfTheirOwnDownloadOnceEach() throws {
        try withHub { hub in
            let folder = hub.folder
            try fetch(hub) { "\(folder)/node\($0)/hub" }
            let (files, asked) = try requests(hub)
            #expect(files.count == 8 && files.values.allSatisfy { $0 == 2 }, "\(files)")
            #expect(asked == 2)  // about the model and about the data set
            try hub.forget()
            try fetch(hub) { "\(folder)/node\($0)/hub" }
            #expect(try requests(hub).files.isEmpty)
        }
    }

    @Test func nodesThatShareACacheDownloadOnce() throws {
        try withHub { hub in
            let folder = hub.folder
            try fetch(hub) { _ in folder + "/shared" }
            let (files, asked) = try requests(hub)
            #expect(files.count == 8 && files.values.allSatisfy { $0 == 1 }, "\(files)")
            #expect(asked == 2)
        }
    }

    /// The first node has a copy, the hub does not say what there is, and the other node still gets every file.
    @Test func aNodeWithoutACopyGetsTheFilesOfTheFirst() throws {
        try withHub { hub in
            let folder = hub.folder
            try fetch(hub) { _ in folder + "/first" }
            try hub.forget()
            try hub.fail(#"{"path": "/api/", "status": 503, "times": 99}"#)
            try fetch(hub) { "\(folder)/\($0 == 0 ? "first" : "second")" }
            let (files, _) = try requests(hub)
            #expect(files.count == 8 && files.values.allSatisfy { $0 == 1 }, "\(files)")
        }
    }
}
