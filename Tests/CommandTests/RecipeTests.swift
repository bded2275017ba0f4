// Every recipe runs: two steps of a tiny model on tiny data of the columns that the recipe asks for.

import Foundation
import TestSupport
import Testing
import TuttiFormats

@Suite struct RecipeTests {
    private static let folder = TuttiProcess.root + "/launch/recipes"

    static let names: [String] =
        ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
        .filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()

    @Test func thePageNamesEveryRecipe() throws {
        let page = try String(contentsOfFile: Self.folder + "/README.md", encoding: .utf8)
        #expect(Self.names.count >= 15)
        for name in Self.names { #expect(page.contains("`\(name).yaml`"), "\(name)") }
    }

    @Test(arguments: names)
    func aRecipeRuns(_ name: String) throws { try run(name, in: TemporaryDirectory()) }

    /// The classifier that a run judges is the one that it saves.
    @Test func theHeadOfARunIsJudgedAsItIsSaved() throws {
        let scratch = try TemporaryDirectory()
        try run("softmax-nli", in: scratch)
        let metrics = try String(contentsOfFile: scratch.path + "/run/metrics.jsonl", encoding: .utf8)
        let judged = try metrics.matches(of: /"eval_nli-dev_accuracy": ?([0-9.e-]+)/).map {
            try #require(Double($0.output.1))
        }
        #expect(judged.count == 2)
        let evaluator =
            "{name: LabelAccuracyEvaluator, path: \(scratch.path)/dev.csv, id: nli-dev, "
            + "classifier: \(scratch.path)/run/final/loss.safetensors}"
        try "evaluators: [\(evaluator)]\n".write(
            toFile: scratch.path + "/evaluate.yaml", atomically: true, encoding: .utf8)
        let outcome = try TuttiProcess.run(
            "evaluate", "--model", scratch.path + "/run/final", "--config", scratch.path + "/evaluate.yaml", "--json")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let again = try #require(outcome.output.firstMatch(of: /nli-dev_accuracy": ?([0-9.e-]+)/)?.output.1)
        #expect(Double(again) == judged.last)
    }

    private func run(_ name: String, in scratch: TemporaryDirectory) throws {
        let tiny = TuttiProcess.root + "/Tests/Golden/training/bert-sgd"
        let texts = try String(contentsOfFile: tiny + "/rows.jsonl", encoding: .utf8)
            .matches(of: /"anchor": "([^"]*)"/).map { String($0.output.1) }
        let recipe = try String(contentsOfFile: Self.folder + "/\(name).yaml", encoding: .utf8)
        // What the recipe reads: each path with the columns that stand beside it.
        for match in recipe.matches(of: /path: ([a-z-]+)\.(csv|jsonl), columns: \[([^\]]*)\]/) {
            let columns = match.output.3.split(separator: ", ").map(String.init)
            let file = "\(scratch.path)/\(match.output.1).\(match.output.2)"
            if FileManager.default.fileExists(atPath: file),
                !Set(columns).isDisjoint(with: ["label", "score", "scores"])
            {
                continue  // the training data have the labels already
            }
            let isTable = match.output.2 == "csv"
            var lines = isTable ? [columns.joined(separator: ",")] : []
            for row in 0..<48 {
                let cells = columns.enumerated().map { place, column in
                    self.cell(column, row: row, of: name, text: texts[(row * 3 + place * 7) % texts.count])
                }
                lines.append(
                    isTable
                        ? cells.joined(separator: ",")
                        : "{" + zip(columns, cells).map { "\"\($0)\": \($1)" }.joined(separator: ", ") + "}")
            }
            try (lines.joined(separator: "\n") + "\n").write(toFile: file, atomically: true, encoding: .utf8)
        }
        let local = recipe.replacing("path: ", with: "path: \(scratch.path)/")
            .replacing(/teacher_model: [^,}]+/, with: "teacher_model: \(tiny)/model")
        try local.write(toFile: scratch.path + "/run.yaml", atomically: true, encoding: .utf8)
        let model = name == "qwen3-lora" ? TuttiProcess.root + "/Tests/Golden/families/qwen3/model" : "\(tiny)/model"
        var settings = [
            "model=\(model)", "output_dir=\(scratch.path)/run", "max_seq_length=20", "args.max_steps=2",
            "args.save_strategy=no", "args.logging_steps=1",
        ]
        if recipe.contains("matryoshka_dims") { settings.append("loss.matryoshka_dims=[32, 16, 8]") }
        if recipe.contains("global_train_batch_size") { settings.append("args.global_train_batch_size=8") }
        if name == "softmax-nli" { settings.append("args.learning_rate=1e-2") }
        let evaluates = recipe.contains("eval_strategy: epoch")
        if !evaluates { settings += ["args.eval_steps=2", "test_evaluators=[]"] }
        let outcome = try TuttiProcess.run(
            ["train", scratch.path + "/run.yaml"] + settings.flatMap { ["--set", $0] })
        #expect(outcome.code == 0, "\(outcome.errors)")
        let lines = try String(contentsOfFile: scratch.path + "/run/metrics.jsonl", encoding: .utf8)
        #expect(lines.contains("\"step\":2") || lines.contains("\"step\": 2"))
        if name == "multilingual" {
            for language in ["en-de", "en-fr"] {
                for metric in ["\(language)_negative_mse", "\(language)_mean_accuracy", "sts17-\(language)_spearman"] {
                    #expect(lines.contains("eval_" + metric), "\(metric)")
                }
            }
        }
        if name == "qwen3-lora" { try checkAdapter(of: model, in: scratch) }
        if name == "several-datasets" { #expect(lines.contains("eval_sequential_score"), "two evaluators") }
        #expect(lines.contains("\"eval_"), "a recipe says how to see what it reached")
    }

    /// What the run wrote is an adapter of `model`; merged, it encodes the same.
    private func checkAdapter(of model: String, in scratch: TemporaryDirectory) throws {
        let final = scratch.path + "/run/final"
        let files = try FileManager.default.contentsOfDirectory(atPath: final)
        #expect(files.contains("adapter_model.safetensors") && !files.contains("model.safetensors"))
        let merged = scratch.path + "/merged"
        let outcome = try TuttiProcess.run("export", final, "--merge", "--output", merged)
        #expect(outcome.code == 0 && outcome.output.contains("all weights"), "\(outcome.errors)")
        let again = try TuttiProcess.run("export", final, "--output", merged)
        #expect(again.code == 64 && again.errors.contains("is there already"))
        let plain = try TuttiProcess.run("export", model, "--merge", "--output", scratch.path + "/plain")
        #expect(plain.code == 64 && plain.errors.contains("no adapter"), "\(plain.errors)")
        try "ba ce di\nfo gu\n".write(toFile: scratch.path + "/texts.txt", atomically: true, encoding: .utf8)
        var rows: [[Float]] = []
        for folder in [final, merged, model] {
            let output = scratch.path + "/\(rows.count).safetensors"
            let encoded = try TuttiProcess.run(
                "encode", "--model", folder, "--input", scratch.path + "/texts.txt", "--output", output)
            #expect(encoded.code == 0, "\(encoded.errors)")
            let file = try SafetensorsFile(path: output)
            rows.append(try file.floats(try #require(file.tensors.first).name))
        }
        func distance(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) } }
        #expect(distance(rows[0], rows[1]) <= 2e-6 && distance(rows[0], rows[2]) > 0)
    }

    /// A cell of the kind that the recipe's loss takes.
    private func cell(_ column: String, row: Int, of name: String, text: String) -> String {
        switch (column, name) {
        case ("label", "teacher-embeddings"), ("label", "multilingual"):
            return "[\((0..<32).map { String(Double(($0 * 7 + row) % 11) / 11 - 0.5) }.joined(separator: ", "))]"
        case ("label", "contrastive"): return String(row % 2)
        case ("label", _): return String(row % 3)
        case ("scores", _):
            return "[0.9, \(Double(row % 5) / 10), 0.3, \(Double(row % 3) / 10)]"
        case ("score", _): return String(Double(row % 5) / 4)
        default: return "\"\(text) \(row)\""
        }
    }
}
