// Streamed data sets: a pipe is trained on like a file in order, whatever the number of ranks; and what a stream cannot be.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiTraining

@Suite(.serialized) struct StreamingTests {
    private static let rows = TinyRun("bert-sgd").folder + "/rows.jsonl"

    private func configuration(
        _ folder: String, _ output: String, dataset: JSONObject, _ arguments: JSONObject = [:]
    ) throws -> TrainingConfiguration {
        var args: JSONObject = [
            "max_steps": .integer(7), "global_train_batch_size": .integer(8), "optim": .string("sgd"),
            "learning_rate": .number(0.1), "logging_steps": .integer(1), "token_cache_dir": .string(folder + "/cache"),
        ]
        for (key, value) in arguments { args[key] = value.isNull ? nil : value }
        return try TrainingConfiguration(
            [
                "model": .string(TinyRun("bert-sgd").folder + "/model"), "output_dir": .string(output),
                "loss": .object(["name": .string("MultipleNegativesRankingLoss")]), "args": .object(args),
                "train_dataset": .object(dataset),
            ], places: ConfigurationPlaces(file: "run.yaml"), purpose: .training
        ) { _ in }
    }

    /// The losses of a run on `world` ranks; `feed` is written to the pipe that the run reads, if it reads one.
    private func losses(
        _ configuration: TrainingConfiguration, world: Int = 1, feed: (pipe: String, text: String)? = nil
    ) throws -> [Double] {
        let feeding = feed.map { feed in
            Thread {
                // The reader may have enough and close the pipe.
                signal(SIGPIPE, SIG_IGN)
                guard let file = fopen(feed.pipe, "w") else { return }
                fputs(feed.text, file)
                fclose(file)
            }
        }
        feeding?.start()
        _ = try withEvery(world: world...world) { ensemble in
            let inputs = try TrainingInputs(configuration, ensemble: ensemble)
            return try Trainer(inputs, ensemble: ensemble).train()
        }
        return try trainingLines(configuration.outputDirectory).compactMap { $0["loss"]?.double }
    }

    @Test func aPipeIsTrainedOnInOrderOnAnyRanks() throws {
        try withTemporaryDirectory { folder in
            let file = try losses(
                configuration(
                    folder, folder + "/file", dataset: ["path": .string(Self.rows)],
                    ["batch_sampler": .string("sequential"), "token_cache": .string("never")]))
            #expect(file.count == 7)
            let text = try String(contentsOfFile: Self.rows, encoding: .utf8)
            let table = try loadTable(DatasetSpecification(path: Self.rows))
            let csv =
                csvLine(table.columnNames) + "\n"
                + (0..<table.rowCount).map { row in
                    csvLine(table.columnNames.indices.map { table.text(row: row, column: $0) }) + "\n"
                }.joined()
            for (name, content) in [("pipe.jsonl", text), ("pipe.csv", csv), ("pipe", text)] {
                let pipe = folder + "/" + name
                #expect(mkfifo(pipe, 0o600) == 0)
                for world in [1, 2] {
                    let streamed = try losses(
                        configuration(
                            folder, "\(folder)/\(name)-\(world)",
                            dataset: ["path": .string(pipe), "streaming": .bool(true)]), world: world,
                        feed: (pipe, content))
                    #expect(streamed.count == file.count)
                    for (a, b) in zip(streamed, file) {
                        #expect(abs(a - b) <= 2e-6 * max(1, abs(b)), "\(name) \(world)")
                    }
                    if world == 1 { #expect(streamed == file, "\(name)") }
                }
            }
            let streamed = try losses(
                configuration(
                    folder, folder + "/streamed-file",
                    dataset: ["path": .string(Self.rows), "streaming": .bool(true)]))
            #expect(streamed == file)
            let left = try FileManager.default.contentsOfDirectory(atPath: folder + "/cache")
            #expect(!left.contains { $0.hasPrefix("stream-") }, "\(left)")
        }
    }

    @Test func aBufferMixesWhatComes() throws {
        try withTemporaryDirectory { folder in
            var specification = DatasetSpecification(path: Self.rows)
            specification.shuffle = RowShuffle(seed: 1, buffer: 10)
            let (mixed, plain) = try (loadTable(specification), loadTable(DatasetSpecification(path: Self.rows)))
            let (a, b) = (mixed.texts(column: 0), plain.texts(column: 0))
            #expect(a != b && a.sorted() == b.sorted())
            // A row comes at most nine places early.
            for (place, text) in a.enumerated() { #expect(b.prefix(place + 10).contains(text)) }
        }
    }

    @Test func whatAStreamCannotBe() throws {
        func problem(_ dataset: JSONObject, _ arguments: JSONObject = [:]) -> String {
            do {
                _ = try configuration("/nowhere", "/nowhere/out", dataset: dataset, arguments)
                return "none"
            } catch {
                let error = TuttiError(error)
                return error.kind == .usage ? "\(error)" : "another kind"
            }
        }
        var stream: JSONObject = ["path": .string(Self.rows), "streaming": .bool(true)]
        #expect(problem(stream) == "none")
        #expect(problem(stream, ["max_steps": .null]).contains("needs args.max_steps"))
        #expect(problem(stream, ["batch_sampler": .string("no_duplicates")]).contains("needs all rows"))
        #expect(problem(stream, ["token_cache": .string("never")]).contains("keeps its rows there"))
        stream["shuffle"] = .integer(3)
        #expect(problem(stream).contains("shuffle: {buffer: 10000}"))
        stream["shuffle"] = .object(["buffer": .integer(5)])
        #expect(problem(stream) == "none")
        stream["validation_split"] = .number(0.1)
        #expect(problem(stream).contains("needs all rows"))
    }
}
