// Commands that take models, data sets and folders from and to the hub, against a stand-in on the loopback.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized) struct HubCommandTests {
    /// The files of a small model that trains.
    private func model() throws -> [String: Data] {
        let folder = TuttiProcess.root + "/Tests/Golden/training/bert-sgd/model"
        var files: [String: Data] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            files[path] = FileManager.default.contents(atPath: folder + "/" + path)
        }
        return files
    }

    /// Runs `body` with a hub that has the model org/tiny and the data set org/pairs.
    private func withHub(_ body: (HubStandIn) throws -> Void) throws {
        try withTemporaryDirectory { folder in
            for (path, data) in try model() {
                let place = "\(folder)/models/org/tiny/\(path)"
                let parent = (place as NSString).deletingLastPathComponent
                try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
                try data.write(to: URL(fileURLWithPath: place))
            }
            let hub = try HubStandIn(in: folder)
            try withExtendedLifetime(hub) { try body(hub) }
        }
    }

    private func run(_ arguments: [String], _ hub: HubStandIn, _ more: [String: String] = [:]) throws -> Outcome {
        try TuttiProcess.run(arguments, environment: hub.environment(["HF_HUB_OFFLINE": "0"]).merging(more) { $1 })
    }

    @Test func eightProcessesDownloadOnce() throws {
        try withHub { hub in
            try hub.fail(#"{"role": "store", "delay": 0.5, "times": 99}"#)
            let environment = hub.environment(["HF_HUB_OFFLINE": "0"])
            let pipes = (0..<8).map { _ in (Pipe(), Pipe()) }
            let all = try pipes.map { output, errors in
                try TuttiProcess.start(
                    ["download", "org/tiny"], output: output, errors: errors, environment: environment)
            }
            var folders: Set<String> = []
            for (process, pipe) in zip(all, pipes) {
                let text = pipe.0.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                #expect(process.terminationStatus == 0)
                folders.insert(String(decoding: text, as: UTF8.self))
            }
            #expect(folders.count == 1)
            let requests = try hub.requests()
            // All of them wanted every file.
            #expect(requests.count { $0.text.contains("/api/") } == 8)
            #expect(requests.count { $0.text.hasPrefix("HEAD") && $0.text.hasSuffix("/model.safetensors") } > 1)
            let fetched = requests.filter { $0.text.hasPrefix("GET") && !$0.text.contains("/api/") }
            #expect(fetched.count > 3 && Set(fetched.map(\.text)).count == fetched.count, "\(fetched.map(\.text))")
        }
    }

    @Test func aModelOfTheHubEncodes() throws {
        try withHub { hub in
            let texts = hub.folder + "/texts.txt"
            try Data("a cat\na dog\n".utf8).write(to: URL(fileURLWithPath: texts))
            func encode(_ model: String, _ output: String, _ more: [String: String] = [:]) throws -> Outcome {
                try run(
                    ["encode", "--model", model, "--input", texts, "--output", hub.folder + "/" + output], hub, more)
            }
            let first = try encode("org/tiny@main", "a.npy")
            #expect(
                first.code == 0 && first.errors.contains("Downloading org/tiny/model.safetensors"), "\(first.errors)")
            let second = try encode("org/tiny", "b.npy", ["HF_HUB_OFFLINE": "1"])
            #expect(second.code == 0 && !second.errors.contains("Downloading"), "\(second.errors)")
            let bytes = ["a.npy", "b.npy"].map { FileManager.default.contents(atPath: hub.folder + "/" + $0) }
            #expect(bytes[0] != nil && bytes[0] == bytes[1])
            let absent = try encode("runs/final", "c.npy")
            #expect(
                absent.code == 66 && absent.errors.contains("there is no such folder here, and "),
                "\(absent.errors)")
        }
    }

    /// Ranks of one node load what rank zero has downloaded: each file is fetched once, and the hub is asked once.
    @Test func ranksTrainWithWhatOneDownloads() throws {
        try withHub { hub in
            let rows = (0..<8).map { "a cat \($0),a dog \($0)\n" }.joined()
            try Data("anchor,positive\n\(rows)".utf8).write(to: URL(fileURLWithPath: hub.folder + "/rows.csv"))
            let configuration = """
                model: org/tiny
                output_dir: \(hub.folder)/run
                train_dataset: \(hub.folder)/rows.csv
                loss: {name: MultipleNegativesRankingLoss}
                args: {max_steps: 1, per_device_train_batch_size: 2, report_to: none}
                """
            try Data(configuration.utf8).write(to: URL(fileURLWithPath: hub.folder + "/run.yaml"))
            let launch = Process()
            launch.executableURL = URL(fileURLWithPath: TuttiProcess.root + "/launch/tutti-run")
            launch.arguments =
                ["-np", "2", "--threads", "1", "--bind", "none", "--quiet", "--", try TuttiProcess.executable, "train"]
                + [hub.folder + "/run.yaml"]
            launch.environment = ProcessInfo.processInfo.environment
                .merging(hub.environment(["HF_HUB_OFFLINE": "0"])) { $1 }
            launch.standardOutput = FileHandle.nullDevice
            launch.standardError = FileHandle.nullDevice
            try launch.run()
            launch.waitUntilExit()
            #expect(launch.terminationStatus == 0)
            let texts = try hub.requests().map(\.text)
            #expect(texts.filter { $0.contains("/api/") }.count == 1, "\(texts)")
            let fetched = texts.filter { $0.hasPrefix("GET") }
            #expect(fetched.count > 3 && Set(fetched).count == fetched.count, "\(texts)")
            // The card names the model, not a folder of the cache.
            let card = try String(contentsOfFile: hub.folder + "/run/final/README.md", encoding: .utf8)
            #expect(card.contains("base_model: org/tiny") && !card.contains("snapshots"))
        }
    }

    @Test func aFolderIsPushedAndComesBack() throws {
        try withHub { hub in
            let folder = TuttiProcess.root + "/Tests/Golden/training/bert-sgd/model"
            let pushed = try run(["push", folder, "org/copy", "--private", "--json"], hub)
            #expect(pushed.code == 0, "\(pushed.errors)")
            let facts = try JSONValue.parse(pushed.output)
            #expect(facts["changed"]?.int == facts["files"]?.int && (facts["sent"]?.int ?? 0) > 0)
            let again = try run(["push", folder, "org/copy"], hub)
            #expect(again.code == 0 && again.output.contains("were there already"), "\(again.output)")
            let back = try run(["download", "org/copy"], hub, ["HF_HUB_CACHE": hub.folder + "/back"])
            #expect(back.code == 0, "\(back.errors)")
            let place = back.output.trimmingCharacters(in: .newlines)
            let files = FileManager.default
            #expect(
                files.contents(atPath: place + "/model.safetensors")
                    == files.contents(atPath: folder + "/model.safetensors"))
        }
    }

    /// A mistyped path may be the id of a model: where no hub can be reached, both are said, soon.
    @Test func mistypedPathsAreSaidSoon() throws {
        try withHub { hub in
            let folder = hub.folder + "/here"
            try FileManager.default.createDirectory(atPath: folder + "/runs/first", withIntermediateDirectories: true)
            try Data("a cat\n".utf8).write(to: URL(fileURLWithPath: folder + "/texts.txt"))
            try Data("model: runs/first\noutput_dir: out\ntrain_dataset: rows.csv\nloss: CoSENTLoss\n".utf8)
                .write(to: URL(fileURLWithPath: folder + "/run.yaml"))
            let encode = ["encode", "--model", "runs/frist", "--input", "texts.txt", "--output", "a.npy"]
            for (words, parts) in [
                (encode, ["runs/frist: there is no such folder here, and the hub cannot be reached", "'runs/first'?"]),
                (["train", "run.yaml", "--set", "model=org/none"], ["org/none: there is no such folder here"]),
            ] {
                let begun = Date()
                let (output, errors) = (Pipe(), Pipe())
                let process = try TuttiProcess.start(
                    words, output: output, errors: errors,
                    environment: [
                        "HF_ENDPOINT": "http://127.0.0.1:1", "HF_HUB_OFFLINE": "0", "HF_HOME": folder + "/home",
                    ],
                    in: folder)
                let outcome = TuttiProcess.outcome(of: process, output, errors)
                let seconds = Date().timeIntervalSince(begun)
                #expect(outcome.code == 75 && seconds < 4, "\(seconds) s: \(outcome.errors)")
                for part in parts + ["tutti download", "HF_HUB_OFFLINE=1"] {
                    #expect(outcome.errors.contains(part), "\(outcome.errors)")
                }
            }
        }
    }

    @Test func mistakesHaveTheirExitCodes() throws {
        try withHub { hub in
            let cases: [(Int32, [String], String)] = [
                (66, ["download", "org/absent"], "no such model"), (66, ["download", "org/tiny@nope"], "no revision"),
                (64, ["download", "not an id"], "not an id"),
                (66, ["push", hub.folder + "/none", "org/x"], "no such folder"),
                (64, ["push", hub.folder, "a/b/c"], "not an id"),
                (64, ["download", "org/tiny", "--split", "x"], "--dataset"),
            ]
            for (code, words, text) in cases {
                let outcome = try run(words, hub)
                #expect(outcome.code == code && outcome.errors.contains(text), "\(words): \(outcome.errors)")
            }
            let nobody = try run(["push", hub.folder, "org/x"], hub, ["HF_TOKEN": ""])
            #expect(nobody.code == 64 && nobody.errors.contains("there is no token"), "\(nobody.errors)")
        }
    }
}
