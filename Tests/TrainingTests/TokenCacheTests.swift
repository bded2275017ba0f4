// Runs over rows and tokens in files have the bits of runs over rows in memory: for losses that read tokens, and for those
// that read texts, at every world size, and when a run that stopped goes on with the other.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiReports
import TuttiTraining

@Suite(.serialized) struct TokenCacheTests {
    private static let rows = TinyRun("bert-sgd").folder + "/rows.jsonl"

    /// A run of two epochs.
    private struct Run: Sendable {
        var cache: String?
        var loss = "MultipleNegativesRankingLoss"
        var dataset: JSONObject = ["path": .string(rows)]
        var arguments: JSONObject = [:]

        func inputs(_ output: String, _ ensemble: any Ensemble) throws -> TrainingInputs {
            var args: JSONObject = [
                "num_train_epochs": .integer(2), "global_train_batch_size": .integer(8), "optim": .string("sgd"),
                "learning_rate": .number(0.1), "logging_steps": .integer(1), "save_steps": .integer(4),
                "token_cache": .string(cache == nil ? "never" : "always"), "prompts": .string("gulo "),
            ]
            if let cache { args["token_cache_dir"] = .string(cache) }
            for (key, value) in arguments { args[key] = value }
            let root: JSONObject = [
                "model": .string(TinyRun("bert-sgd").folder + "/model"), "output_dir": .string(output),
                "loss": .object(["name": .string(loss)]), "args": .object(args), "train_dataset": .object(dataset),
                "config_overrides": .object(["hidden_dropout_prob": .number(0.1)]),
            ]
            let configuration = try TrainingConfiguration(
                root, places: ConfigurationPlaces(file: "run.yaml"), purpose: .training
            ) { _ in }
            return try TrainingInputs(configuration, ensemble: ensemble)
        }

        func train(
            _ output: String, _ ensemble: any Ensemble = LocalEnsemble.single(), report: (any Report)? = nil
        ) throws -> TrainingOutcome {
            var inputs = try inputs(output, ensemble)
            if let asking = report as? any AsksToStop { inputs.stop = asking.stop }
            return try Trainer(inputs, ensemble: ensemble, reports: report.map { [$0] } ?? []).train()
        }

        func weights(_ output: String) throws -> Data {
            try Data(contentsOf: URL(fileURLWithPath: output + "/final/model.safetensors"))
        }
    }

    private static let pairs: JSONObject = [
        "path": .string(rows), "columns": .array([.string("anchor"), .string("positive")]),
    ]
    private static let texts: JSONObject = ["path": .string(rows), "columns": .array([.string("anchor")])]

    private static let cases: [Run] = [
        Run(), Run(arguments: ["batch_sampler": .string("no_duplicates")]),
        Run(dataset: ["path": .string(rows), "filter": .array([.string("duplicate")]), "shuffle": .integer(2)]),
        Run(loss: "DenoisingAutoEncoderLoss", dataset: texts),
        Run(loss: "ContrastiveTensionLoss", dataset: pairs),
        Run(arguments: ["deterministic": .string("world_size")]),
    ]

    @Test(arguments: 0..<6) func theBitsAreThoseOfRowsInMemory(_ number: Int) throws {
        var run = Self.cases[number]
        try withTemporaryDirectory { folder in
            for world in [1, 2, 4] {
                var lines: [[String]] = []
                var weights: [Data] = []
                for cache in [nil, folder + "/cache", folder + "/cache"] {
                    let output = "\(folder)/\(world)-\(lines.count)"
                    run.cache = cache
                    let made = run
                    let outcomes = try withEvery(world: world...world) { try made.train(output, $0) }
                    #expect(outcomes[world] == Array(repeating: .finished, count: world))
                    lines.append(timeless(try metricsLines(output)))
                    weights.append(try run.weights(output))
                }
                #expect(lines[0] == lines[1] && lines[0] == lines[2] && lines[0].count > 20, "\(run.loss) \(world)")
                #expect(weights[0] == weights[1] && weights[0] == weights[2], "\(run.loss) on \(world) ranks")
            }
            let entries = try FileManager.default.contentsOfDirectory(atPath: folder + "/cache")
            #expect(entries.count { $0.hasPrefix("rows-") } == 1, "made once: \(entries)")
            #expect(entries.count { $0.hasPrefix("tokens-") } == (run.loss == "DenoisingAutoEncoderLoss" ? 0 : 1))
        }
    }

    /// Nodes that share the folder make an entry once, whichever comes first; each maps it by itself.
    @Test(arguments: [[0, 1], [0, 0, 1], [0, 1, 2, 3]]) func nodesShareAFolder(_ nodes: [Int]) throws {
        try withTemporaryDirectory { folder in
            var run = Run()
            let plain = run
            _ = try LocalEnsemble.run(nodes: nodes) { try plain.train(folder + "/plain", $0) }
            run.cache = folder + "/cache"
            for name in ["first", "second"] {
                let made = run
                let outcomes = try LocalEnsemble.run(nodes: nodes) { try made.train("\(folder)/\(name)", $0) }
                #expect(outcomes.allSatisfy { $0 == .finished })
                #expect(try run.weights("\(folder)/\(name)") == run.weights(folder + "/plain"))
            }
            let entries = try FileManager.default.contentsOfDirectory(atPath: folder + "/cache").sorted()
            #expect(entries.filter { $0.hasPrefix("rows-") }.count == 1, "\(entries)")
            #expect(entries.filter { $0.hasPrefix("tokens-") }.count == 1, "\(entries)")
            #expect(!entries.contains { $0.hasSuffix(".tmp") || $0.hasSuffix(".lock") }, "\(entries)")
        }
    }

    @Test func aRunGoesOnWithTheOther() throws {
        try withTemporaryDirectory { folder in
            var run = Run(arguments: ["batch_sampler": .string("no_duplicates")])
            #expect(try run.train(folder + "/whole") == .finished)
            for (step, cache) in [(5, folder + "/cache"), (9, nil), (13, folder + "/cache")] {
                run.cache = cache
                #expect(try run.train(folder + "/parts", report: AskAfter(step: step)) == .preempted(step: step))
            }
            #expect(try run.train(folder + "/parts") == .finished)
            let (parts, whole) = try (run.weights(folder + "/parts"), run.weights(folder + "/whole"))
            #expect(parts == whole)
            #expect(timeless(try metricsLines(folder + "/parts")) == timeless(try metricsLines(folder + "/whole")))
        }
    }

    /// Other prompts, or another limit, are other tokens; a damaged page is an error and not another result.
    @Test func tokensBelongToTheirReader() throws {
        try withTemporaryDirectory { folder in
            var run = Run(cache: folder + "/cache")
            #expect(try run.train(folder + "/a") == .finished)
            run.arguments["prompts"] = .string("jeri ")
            #expect(try run.train(folder + "/b") == .finished)
            let tokens = try FileManager.default.contentsOfDirectory(atPath: folder + "/cache").filter {
                $0.hasPrefix("tokens-")
            }
            #expect(tokens.count == 2)
            let (a, b) = try (run.weights(folder + "/a"), run.weights(folder + "/b"))
            #expect(a != b)
            for name in tokens {
                let ids = "\(folder)/cache/\(name)/ids-0"
                var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: ids)))
                bytes[100] ^= 1
                try Data(bytes).write(to: URL(fileURLWithPath: ids))
            }
            #expect { try run.train(folder + "/c") } throws: { error in
                (error as? TuttiError)?.kind == .data && "\(error)".contains("damaged near byte")
            }
        }
    }

    @Test func changedFilesEndARunInOneLine() throws {
        try withTemporaryDirectory { folder in
            let data = folder + "/rows.jsonl"
            try FileManager.default.copyItem(atPath: Self.rows, toPath: data)
            let run = Run(cache: folder + "/cache", dataset: ["path": .string(data)])
            #expect(try run.train(folder + "/run", report: AskAfter(step: 5)) == .preempted(step: 5))
            let whole = try String(contentsOfFile: data, encoding: .utf8)
            try whole.replacingOccurrences(of: "gulo", with: "jeri").write(
                toFile: data, atomically: true, encoding: .utf8)
            #expect { try run.train(folder + "/run") } throws: { error in
                (error as? TuttiError)?.kind == .data && "\(error)".contains("train_dataset")
            }
            #expect(FileManager.default.fileExists(atPath: folder + "/run/checkpoint-5"), "nothing is lost")
            try whole.write(toFile: data, atomically: true, encoding: .utf8)
            #expect(try run.train(folder + "/run") == .finished)

            // While the run goes on: what it has done is saved, and it goes on when the file is back.
            final class Spoil: Report {
                let data: String
                init(_ data: String) { self.data = data }
                func stepped(_ progress: StepProgress) {
                    if progress.step == 6 { try? "x".write(toFile: data, atomically: true, encoding: .utf8) }
                }
            }
            #expect { try run.train(folder + "/other", report: Spoil(data)) } throws: { error in
                (error as? TuttiError)?.kind == .data && "\(error)".contains("changed")
            }
            try whole.write(toFile: data, atomically: true, encoding: .utf8)
            #expect(FileManager.default.fileExists(atPath: folder + "/other/checkpoint-11"))
            #expect(try run.train(folder + "/other") == .finished)
            let (other, first) = try (run.weights(folder + "/other"), run.weights(folder + "/run"))
            #expect(other == first)
        }
    }
}
