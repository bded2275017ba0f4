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

    /// Ends the run after a step, with nothing saved.
    private final class DieAfter: TrainerCallback {
        private let step: Int
        init(_ step: Int) { self.step = step }
        func onStepEnd(_ state: TrainerState, control: inout TrainerControl) throws {
            if state.globalStep == step { throw TuttiError(.retryable, "test", "step \(step)", "dies") }
        }
    }

    /// Trains over a file that is streamed, on `world` ranks, up to a step; the outcome of rank zero.
    private func train(
        _ folder: String, _ output: String, data: String, steps: Int, world: Int = 1, stopAfter: Int? = nil,
        dieAfter: Int? = nil, _ more: JSONObject = [:]
    ) throws -> TrainingOutcome {
        var dataset: JSONObject = ["path": .string(data), "streaming": .bool(true)]
        for (key, value) in more { dataset[key] = value }
        let configuration = try configuration(
            folder, output, dataset: dataset,
            [
                "max_steps": .integer(Int64(steps)), "lr_scheduler_type": .string("constant"),
                "save_steps": .integer(2), "gradient_accumulation_steps": .integer(1),
            ])
        let outcomes = try withEvery(world: world...world) { ensemble in
            var inputs = try TrainingInputs(configuration, ensemble: ensemble)
            if let dieAfter { inputs.callbacks = [DieAfter(dieAfter)] }
            let report = stopAfter.map { AskAfter(step: $0) }
            if let report { inputs.stop = report.stop }
            return try Trainer(inputs, ensemble: ensemble, reports: report.map { [$0] } ?? []).train()
        }
        return try #require(outcomes[world]?.first)
    }

    private func weights(_ output: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: output + "/final/model.safetensors"))
    }

    /// A finished run over a stream goes on with the rows that come next, over the end of the file too: stopped, dead
    /// before its first new checkpoint, and once more.
    @Test(arguments: [1, 2]) func aFinishedRunGoesOnWithTheNextRows(world: Int) throws {
        try withTemporaryDirectory { folder in
            let (whole, parts) = (folder + "/whole", folder + "/parts")
            func go(_ output: String, _ steps: Int, stop: Int? = nil, die: Int? = nil) throws -> TrainingOutcome {
                try train(
                    folder, output, data: Self.rows, steps: steps, world: world, stopAfter: stop, dieAfter: die)
            }
            #expect(try go(parts, 5) == .finished)
            #expect(try go(parts, 5) == .alreadyFinished)
            let first = try weights(parts)
            #expect(throws: (any Error).self) { try go(parts, 9, die: 6) }
            #expect(try go(parts, 9, stop: 7) == .preempted(step: 7))
            #expect(try go(parts, 9) == .finished)
            #expect(try go(whole, 9) == .finished)
            #expect(try weights(parts) == weights(whole))
            #expect(try weights(parts) != first)
            // 84 rows are eleven batches: the stream begins anew, and its digest does not change any more.
            for steps in [14, 17] {
                #expect(try go(parts, steps) == .finished)
                #expect(try go("\(whole)-\(steps)", steps) == .finished)
                #expect(try weights(parts) == weights("\(whole)-\(steps)"), "\(steps)")
            }
            #expect(try trainingLines(parts).map { $0["step"]?.int } == (1...17).map { Optional($0) })
        }
    }

    @Test func streamsThatNoRunGoesOnWith() throws {
        try withTemporaryDirectory { folder in
            func problem(_ body: () throws -> TrainingOutcome) -> (kind: TuttiError.Kind?, text: String) {
                do {
                    return (nil, "\(try body())")
                } catch {
                    let error = TuttiError((error as? WorldFailure)?.error ?? error)
                    return (error.kind, "\(error)")
                }
            }
            // Other rows in place of those that it has seen, and rows where it has begun anew.
            let data = folder + "/rows.jsonl"
            let text = try String(contentsOfFile: Self.rows, encoding: .utf8)
            try text.write(toFile: data, atomically: true, encoding: .utf8)
            #expect(try train(folder, folder + "/a", data: data, steps: 5) == .finished)
            #expect(try train(folder, folder + "/b", data: data, steps: 12) == .finished)
            try (text + text).write(toFile: data, atomically: true, encoding: .utf8)
            let again = problem { try train(folder, folder + "/b", data: data, steps: 15) }
            #expect(again.kind == .usage && again.text.contains("went over its 84 rows again"), "\(again)")
            try text.replacing("gulo", with: "jeri", maxReplacements: 1).write(
                toFile: data, atomically: true, encoding: .utf8)
            let other = problem { try train(folder, folder + "/a", data: data, steps: 9) }
            #expect(other.kind == .data && other.text.contains("first 40 rows of train_dataset"), "\(other)")
            try text.write(toFile: data, atomically: true, encoding: .utf8)
            #expect(try train(folder, folder + "/a", data: data, steps: 9) == .finished)

            let mixed: JSONObject = ["shuffle": .object(["buffer": .integer(5)])]
            #expect(try train(folder, folder + "/mixed", data: data, steps: 5, mixed) == .finished)
            let mixing = problem { try train(folder, folder + "/mixed", data: data, steps: 9, mixed) }
            #expect(mixing.kind == .usage && mixing.text.contains("train_dataset.shuffle"), "\(mixing)")

            let pipe = folder + "/pipe.jsonl"
            #expect(mkfifo(pipe, 0o600) == 0)
            func overPipe(_ steps: Int) throws -> TrainingOutcome {
                let feeding = Thread {
                    signal(SIGPIPE, SIG_IGN)
                    guard let file = fopen(pipe, "w") else { return }
                    fputs(text, file)
                    fclose(file)
                }
                feeding.start()
                return try train(folder, folder + "/pipe", data: pipe, steps: steps)
            }
            #expect(try overPipe(5) == .finished)
            let piped = problem { try overPipe(9) }
            #expect(piped.kind == .usage && piped.text.contains("train_dataset is a pipe"), "\(piped)")
            #expect(piped.text.split(separator: "\n").count == 1)
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
