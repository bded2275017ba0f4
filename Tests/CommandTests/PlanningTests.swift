// `tutti init`, `explain`, `split`, `compare`, `search`: what people do before and after a run.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct PlanningTests {
    private let words = ["baba", "bace", "badi", "bafo", "bagu", "baha", "baje", "baki"]

    /// Sixteen distinct texts of two words.
    private func text(_ number: Int) -> String { words[number % 8] + " " + words[(number / 8 + number) % 8] }

    private func lines(_ path: String) throws -> [JSONObject] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
            try #require(try JSONValue.parse(String($0)).object)
        }
    }

    @Test func explainingARunWritesNothingAndSaysWhatItDoes() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let configuration = workshop.path + "/run.yaml"
        let outcome = try TuttiProcess.run("explain", configuration, "--json", "--steps", "1")
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(!workshop.exists("run"), "nothing is written")
        let facts = try #require(try JSONValue.parse(outcome.output).object)
        let total = try #require(facts["steps"]?["total"]?.int)
        #expect(try workshop.train().code == 0)
        let log = try lines(workshop.path + "/run/metrics.jsonl")
        #expect(try #require(log.last)["step"]?.int == total)
        let training = log.filter { $0["learning_rate"] != nil }
        #expect(facts["events"]?["logged_lines"]?.int == training.count)
        let tokens = training.compactMap { $0["tokens"]?.int }.reduce(0, +)
        let forecast = try #require(facts["tokens"]?["a_batch"]?.double) * Double(total)
        #expect(abs(forecast - Double(tokens)) < 0.1 * Double(tokens), "\(forecast) tokens, \(tokens) seen")
        #expect(facts["measured"]?["step_seconds"]?.double ?? 0 > 0)
        // The directory holds the finished run now; another configuration is refused as by `train`.
        let again = try TuttiProcess.run("train", configuration, "--dry-run")
        #expect(again.code == 0 && again.output.contains("holds: this run, finished"), "\(again.output)")
        let other = try TuttiProcess.run("explain", configuration, "--set", "args.seed=7", "--steps", "0")
        #expect(other.code == 64)
        #expect(try other.errorLine.contains("another run"))
    }

    @Test func splitKeepsGroupsTogether() throws {
        let folder = try TemporaryDirectory()
        let rows = (0..<60).map { "{\"anchor\": \"\(text($0 % 16))\", \"positive\": \"p \($0)\"}\n" }.joined()
        try rows.write(toFile: folder.path + "/pairs.jsonl", atomically: true, encoding: .utf8)
        func split(_ more: [String]) throws -> Outcome {
            try TuttiProcess.run(
                ["split", folder.path + "/pairs.jsonl", "--output", folder.path + "/parts"] + more)
        }
        let outcome = try split(["--dev", "0.2", "--test", "0.2", "--beir"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let parts = try ["train", "dev", "test"].map { try lines("\(folder.path)/parts/\($0).jsonl") }
        #expect(parts.reduce(0) { $0 + $1.count } == 60)
        #expect(abs(parts[1].count - 12) <= 3 && abs(parts[2].count - 12) <= 3, "\(parts.map(\.count))")
        let anchors = parts.map { Set($0.compactMap { $0["anchor"]?.string }) }
        #expect(anchors[0].isDisjoint(with: anchors[1]) && anchors[0].isDisjoint(with: anchors[2]))
        #expect(anchors[1].isDisjoint(with: anchors[2]))
        let beir = folder.path + "/parts/dev-beir"
        #expect(try lines(beir + "/corpus.jsonl").count == 60)
        #expect(try lines(beir + "/queries.jsonl").count == anchors[1].count)
        let judgements = try String(contentsOfFile: beir + "/qrels.tsv", encoding: .utf8).split(separator: "\n")
        #expect(judgements.count == parts[1].count + 1)
        // Files are not replaced unasked; without groups shares are exact and anchors are shared.
        #expect(try split([]).code == 64)
        #expect(try split(["--dev", "0.5", "--group", "none", "--overwrite"]).code == 0)
        let loose = try ["train", "dev"].map { try lines("\(folder.path)/parts/\($0).jsonl") }
        #expect(loose.map(\.count) == [30, 30])
        let shared = loose.map { Set($0.compactMap { $0["anchor"]?.string }) }
        #expect(!shared[0].isDisjoint(with: shared[1]))
        #expect(try split(["--dev", "1.5"]).code == 64)
        #expect(try split(["--group", "anker", "--overwrite"]).code == 65)
    }

    @Test func comparingRunsShowsDifferencesAndMetrics() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        for (name, rate) in [("a", "1e-3"), ("b", "2e-3")] {
            let outcome = try workshop.train(
                "--set", "output_dir=\(workshop.path)/\(name)", "--set", "args.learning_rate=\(rate)")
            #expect(outcome.code == 0, "\(outcome.errors)")
        }
        let outcome = try TuttiProcess.run("compare", workshop.path + "/a", workshop.path + "/b", "--json")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let facts = try #require(try JSONValue.parse(outcome.output).object)
        let differences = try #require(facts["configuration"]?.object)
        #expect(differences.keys == ["args.learning_rate"], "output_dir is not of the run's result")
        #expect(differences["args.learning_rate"]?.array?.compactMap(\.double) == [1e-3, 2e-3])
        let losses = try #require(facts["course"]?["last_loss"]?.array).compactMap(\.double)
        #expect(losses.count == 2 && losses[0] != losses[1])
        let table = try TuttiProcess.run("compare", workshop.path + "/a", workshop.path + "/b")
        #expect(table.output.contains("args.learning_rate  0.001  0.002"), "\(table.output)")
        #expect(try TuttiProcess.run("compare", workshop.path + "/a").code == 64)
        #expect(try TuttiProcess.run("compare", workshop.path + "/a", workshop.path).code == 66)
    }

    @Test func searchFindsTheSameTextFirst() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let texts = (0..<16).map(text)
        try texts.joined(separator: "\n").write(
            toFile: folder.path + "/corpus.txt", atomically: true, encoding: .utf8)
        let base = ["search", "--model", workshop.path + "/model", "--corpus", folder.path + "/corpus.txt"]
        let outcome = try TuttiProcess.run(base + ["--query", texts[5], "--query", texts[11], "--top", "3", "--json"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let answers = try outcome.output.split(separator: "\n").map {
            try #require(try JSONValue.parse(String($0)).object)
        }
        #expect(answers.count == 2)
        for (answer, place) in zip(answers, [5, 11]) {
            let hits = try #require(answer["hits"]?.array)
            #expect(hits.count == 3)
            #expect(hits[0]["text"]?.string == texts[place] && hits[0]["id"]?.string == "\(place + 1)")
            #expect(abs((hits[0]["score"]?.double ?? 0) - 1) < 1e-5)
        }
        // Stored vectors give the same answers; those of another corpus are refused.
        let vectors = folder.path + "/corpus.npy"
        #expect(
            try TuttiProcess.run(
                "encode", "--model", workshop.path + "/model", "--input", folder.path + "/corpus.txt", "--output",
                vectors
            ).code == 0)
        let stored = try TuttiProcess.run(
            base + ["--query", texts[5], "--query", texts[11], "--top", "3", "--json", "--vectors", vectors])
        #expect(stored.output == outcome.output, "\(stored.errors)")
        try "baba\n".write(toFile: folder.path + "/other.txt", atomically: true, encoding: .utf8)
        let wrong = try TuttiProcess.run(
            "search", "--model", workshop.path + "/model", "--corpus", folder.path + "/other.txt", "--query", "baba",
            "--vectors", vectors)
        #expect(wrong.code == 65)
        #expect(try wrong.errorLine.contains("corpus.npy"))
        #expect(try TuttiProcess.run(base).code == 64, "no query")
    }

    /// Every shape of data gets a configuration that trains as it is.
    @Test(arguments: [
        ("positive,anchor", 2, "", "CachedMultipleNegativesRankingLoss"),
        ("anchor,positive,negative", 3, "", "MultipleNegativesRankingLoss"),
        ("sentence1,sentence2,score", 2, "score", "CoSENTLoss"),
        ("sentence1,sentence2,label", 2, "binary", "OnlineContrastiveLoss"),
        ("premise,hypothesis,label", 2, "class", "SoftmaxLoss"), ("text,label", 1, "class", "BatchAllTripletLoss"),
        ("text", 1, "", "ContrastiveTensionLoss"),
    ])
    func initWritesAConfigurationThatTrains(_ header: String, texts count: Int, label: String, loss: String) throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        var csv = header + "\n"
        for row in 0..<64 {
            var cells = (0..<count).map { text(row + 5 * $0) + " \(row / 16)" }
            switch label {
            case "score": cells.append("\(Double(row % 7) / 6)")  // 0 and 1 among others
            case "binary": cells.append("\(row % 2)")
            case "class": cells.append("\(row % 3)")
            default: break
            }
            csv += cells.joined(separator: ",") + "\n"
        }
        try workshop.write("data.csv", csv)
        let output = workshop.path + "/made"
        let base = ["init", workshop.path + "/data.csv", "--model", workshop.path + "/model", "--output", output]
        let outcome = try TuttiProcess.run(base + ["--dev", "0.25"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let written = String(decoding: try workshop.read("made/train.yaml"), as: UTF8.self)
        #expect(written.contains("loss: {name: \(loss)"), "\(written)")
        if header == "positive,anchor" { #expect(written.contains("columns: [anchor, positive]"), "\(written)") }
        let run = try TuttiProcess.run("train", output + "/train.yaml", "--threads", "1")
        #expect(run.code == 0, "\(run.errors)\n\(written)")
        #expect(workshop.exists("made/run/final/model.safetensors"))
        #expect(try TuttiProcess.run(base).code == 64, "a configuration is not replaced unasked")
    }

    // MARK: Sweeps

    private func sweep(_ workshop: Workshop, _ section: String) throws {
        try workshop.configure(
            extra: """
                eval_dataset: {path: \(workshop.path)/rows.jsonl}
                sweep:
                  metric: loss
                \(section)
                """, args: "  eval_strategy: epoch\n  save_strategy: \"no\"")
    }

    @Test func aGridIsTriedWholeAndResumed() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        try sweep(
            workshop, "  strategy: grid\n  parameters: {args.learning_rate: [1.0e-4, 5.0e-2], args.seed: [1, 2]}")
        let file = workshop.path + "/run.yaml"
        let plan = try TuttiProcess.run("sweep", file, "--dry-run", "--json")
        #expect(plan.code == 0 && plan.output.split(separator: "\n").count == 4, "\(plan.errors)")
        #expect(!workshop.exists("run"))
        // What the run says of its own metric does not turn another one around.
        let outcome = try TuttiProcess.run("sweep", file, "--parallel", "2", "--set", "args.greater_is_better=true")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let results = try lines(workshop.path + "/run/sweep.jsonl")
        #expect(results.count == 4)
        let best = try #require(
            results.min { $0["eval_loss"]?.double ?? .infinity < $1["eval_loss"]?.double ?? .infinity })
        let written = try #require(try JSONValue.parse(file: workshop.path + "/run/best.yaml").object)
        #expect(written["args"]?["learning_rate"] == best["values"]?["args.learning_rate"])
        #expect(written["args"]?["seed"] == best["values"]?["args.seed"])
        #expect(Set(results.compactMap { $0["eval_loss"]?.double }).count == 4, "every trial is another run")
        // Finished trials are not trained again.
        let weights = workshop.path + "/run/trial-3/final/model.safetensors"
        let written3 = try FileManager.default.attributesOfItem(atPath: weights)[.modificationDate] as? Date
        let again = try TuttiProcess.run("sweep", file, "--set", "args.greater_is_better=true")
        #expect(again.code == 0 && again.output == outcome.output, "\(again.errors)")
        #expect(try FileManager.default.attributesOfItem(atPath: weights)[.modificationDate] as? Date == written3)
        // `train` does not take a search for a run, and a search names its mistakes before it trains.
        let train = try TuttiProcess.run("train", file)
        #expect(train.code == 64)
        #expect(try train.errorLine.contains("tutti sweep"))
        let wrong = try TuttiProcess.run(
            "sweep", file, "--set", "sweep.parameters={args.learning_rat: [1]}", "--set",
            "output_dir=\(workshop.path)/x")
        #expect(wrong.code == 64)
        #expect(try wrong.errorLine.contains("learning_rate"))
        #expect(!workshop.exists("x"))
    }

    @Test func halvingGoesOnWithTheBest() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        try sweep(
            workshop,
            """
              strategy: halving
              trials: 5
              reduction: 2
              parameters: {args.learning_rate: {min: 1.0e-5, max: 1.0e-1, log: true}}
            """)
        let outcome = try TuttiProcess.run("sweep", workshop.path + "/run.yaml", "--set", "args.max_steps=4", "--json")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let results = try lines(workshop.path + "/run/sweep.jsonl")
        #expect(
            results.compactMap { $0["share"]?.double } == [
                0.125, 0.125, 0.125, 0.125, 0.125, 0.25, 0.25, 0.25, 0.5, 0.5, 1,
            ])
        let first = results[..<5].sorted { ($0["eval_loss"]?.double ?? 0) < ($1["eval_loss"]?.double ?? 0) }
        #expect(first[..<3].map { $0["values"] } == results[5..<8].map { $0["values"] })
        for result in results {
            let rate = try #require(result["values"]?["args.learning_rate"]?.double)
            #expect((1e-5...1e-1).contains(rate))
        }
        let last = try lines(workshop.path + "/run/trial-11/metrics.jsonl")
        #expect(last.last?["step"]?.int == 4)
    }
}
