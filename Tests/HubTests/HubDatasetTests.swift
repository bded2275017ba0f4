// Data sets of a stand-in for the hub: by configuration and split, the repository's own files and the hub's copy.

import TestSupport
import Testing
import TuttiGround
import TuttiHub

@Suite struct HubDatasetTests {
    private let datasets = [
        "org/nli": [
            "README.md": "", "pair/train-00000-of-00001.parquet": "p", "triplet/train-00000-of-00002.parquet": "a",
            "triplet/train-00001-of-00002.parquet": "b", "triplet/dev-00000-of-00001.parquet": "c",
        ],
        "org/plain": ["data/train-00000-of-00001.parquet": "d", "data/test-00000-of-00001.parquet": "e"],
        "org/lines": ["train.jsonl": "{}"], "org/lines.parquet": ["default/train/0000.parquet": "f"],
        "org/large": ["train.csv": ""],
        "org/large.parquet": ["x/partial-train/0000.parquet": "g", "y/train/0000.parquet": "h"],
    ]

    private func files(
        _ hub: HubStandIn, _ name: String, split: String? = nil, _ more: [String: String] = [:], told: Told = Told()
    ) throws -> [String] {
        let reference = try #require(DatasetReference(name))
        return try hub.downloader(more, told: told).dataset(reference, split: split).files
    }

    @Test func configurationsAndSplits() throws {
        try withHub([:], datasets: datasets) { hub in
            #expect(
                try files(hub, "hf:org/nli:triplet")
                    == ["triplet/train-00000-of-00002.parquet", "triplet/train-00001-of-00002.parquet"])
            #expect(try files(hub, "org/nli:triplet", split: "dev") == ["triplet/dev-00000-of-00001.parquet"])
            #expect(try files(hub, "org/plain", split: "test") == ["data/test-00000-of-00001.parquet"])
            #expect(try files(hub, "org/plain") == ["data/train-00000-of-00001.parquet"])
            // Only what is asked for comes.
            let gets = try hub.requests().filter { $0.text.contains("/resolve/") && $0.text.hasPrefix("GET") }
            #expect(gets.count == 5 && gets.allSatisfy { $0.text.contains("/datasets/org/") })
            #expect(try files(hub, "org/nli:triplet", split: "dev", ["HF_HUB_OFFLINE": "1"]).count == 1)
        }
    }

    @Test func theHubsCopy() throws {
        try withHub([:], datasets: datasets) { (hub: HubStandIn) throws in
            #expect(try files(hub, "org/lines") == ["default/train/0000.parquet"])
            #expect(try files(hub, "org/lines", ["HF_HUB_OFFLINE": "1"]) == ["default/train/0000.parquet"])
            let told = Told()
            #expect(try files(hub, "org/large:x", told: told) == ["x/partial-train/0000.parquet"])
            #expect(told.lines.withLock { $0.contains { $0.contains("first part") } })
        }
    }

    @Test func whatIsNotThereIsListed() throws {
        try withHub([:], datasets: datasets) { hub in
            func problem(_ name: String, split: String? = nil) throws -> TuttiError {
                let reference = try #require(DatasetReference(name))
                return try #require(
                    failure { () throws(HubFailure) in _ = try hub.downloader().dataset(reference, split: split) }
                ).error
            }
            let several = try problem("org/large")
            #expect(several.problem == "has several configurations" && several.hint?.contains("x, y") == true)
            #expect(try problem("org/large:z").problem.contains("'z'"))
            let split = try problem("org/lines", split: "dev")
            #expect(split.problem == "has no split 'dev'" && split.hint == "There are train.")
        }
    }
}
