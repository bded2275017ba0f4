// docs/examples.md: every configuration is read to its end, and the tables and the sections name the same scripts.

import Foundation
import TestSupport
import Testing

/// A configuration of the page.
struct ExampleBlock: Sendable, CustomTestStringConvertible {
    /// The script that its section is about.
    let script: String
    let text: String

    var testDescription: String { script }

    /// The command that takes it, but for the file: a search, a run, or an evaluation alone.
    var command: [String] {
        if text.contains("\nsweep:") { return ["sweep", "--dry-run"] }
        return text.contains("\nloss:") ? ["train"] : ["evaluate", "--config"]
    }
}

@Suite struct ExamplesTests {
    private static let page =
        (try? String(contentsOfFile: TuttiProcess.root + "/docs/examples.md", encoding: .utf8)) ?? ""

    /// The scripts of the tables, with what their last cells say.
    private static let rows: [(script: String, status: String)] = page.split(separator: "\n").compactMap { line in
        guard line.hasPrefix("| `") else { return nil }
        let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        return (cells[0].replacing("`", with: ""), cells.last ?? "")
    }

    /// The sections about a script, and what stands in them.
    private static let sections: [(script: String, text: String)] =
        page.split(separator: "\n### ").dropFirst().compactMap { part in
            let script = part.prefix { $0 != "\n" }
            return script.contains("/") ? (String(script), String(part)) : nil
        }

    static let blocks: [ExampleBlock] = sections.flatMap { section in
        section.text.split(separator: "```yaml\n").dropFirst().compactMap { part in
            part.split(separator: "```").first.map { ExampleBlock(script: section.script, text: String($0)) }
        }
    }

    /// The evaluators of all blocks, one a line; of those that differ in numbers only, the first.
    static let evaluators: [String] = {
        var kinds: [String: String] = [:]
        for match in page.matches(of: /(?m)^  - (\{name: [A-Za-z]+Evaluator.*\})$/) {
            let line = String(match.output.1)
            let kind = line.replacing(/[0-9]+/, with: "0")
            kinds[kind] = kinds[kind] ?? line
        }
        return kinds.values.sorted()
    }()

    /// A script that runs has a section with a configuration, or with a recipe that is there, and no other has one.
    @Test func theTablesNameEverySection() throws {
        #expect(Self.rows.count >= 60)
        let ending = Self.rows.filter { $0.status.hasPrefix("runs") || $0.status.hasPrefix("not yet") }
        #expect(ending.map(\.script).sorted() == Self.sections.map(\.script).sorted())
        #expect(Set(Self.rows.map(\.script)).count == Self.rows.count, "a script stands in the tables once")
        for row in Self.rows where !ending.contains(where: { $0.script == row.script }) {
            let reasons = ["no training: ", "stays out: "]
            #expect(reasons.contains { row.status.hasPrefix($0) }, "\(row.script): \(row.status)")
        }
        for section in Self.sections where !Self.blocks.contains(where: { $0.script == section.script }) {
            let recipe = try #require(
                section.text.firstMatch(of: /launch\/recipes\/[a-z-]+\.yaml/)?.output, "\(section.script)")
            let path = "\(TuttiProcess.root)/\(recipe)"
            #expect(FileManager.default.fileExists(atPath: path), "\(section.script): \(recipe)")
        }
        // No configuration of the page is outside its sections.
        #expect(Self.blocks.count == Self.page.split(separator: "```yaml\n").count - 1)
    }

    /// All that is wrong with a configuration is that its files are not here; a search lists its trials.
    @Test(arguments: blocks)
    func aConfigurationIsRead(_ block: ExampleBlock) throws {
        let outcome = try read(block.text, block.command)
        #expect(outcome.code == (block.command[0] == "sweep" ? 0 : 66), "\(outcome.errors)")
    }

    /// Evaluators are made after data and model are there, so that each is read alone with a model.
    @Test func anEvaluatorIsRead() throws {
        #expect(Self.evaluators.count >= 20)
        let named = Self.blocks.map { $0.text.matches(of: /name: [A-Za-z]+Evaluator/).count }.reduce(0, +)
        let lines = Self.blocks.map { $0.text.matches(of: /(?m)^  - \{name: [A-Za-z]+Evaluator.*\}$/).count }
        #expect(named == lines.reduce(0, +), "an evaluator of the page stands on a line of its own")
        for evaluator in Self.evaluators {
            let outcome = try evaluate(evaluator)
            #expect(outcome.code == 66, "\(evaluator): \(outcome.errors)")
        }
    }

    @Test(arguments: ["batch_sampler", "output_dir", "eval_steps", "name: MultipleNegativesRankingLoss, scal"])
    func aMisspelledKeyIsNotRead(_ key: String) throws {
        let block = try #require(Self.blocks.first { $0.script == "nli/training_nli_v2.py" })
        let spoilt =
            key.contains("scal")
            ? block.text.replacing("{name: MultipleNegativesRankingLoss", with: "{\(key): 20.0")
            : block.text.replacing(key + ":", with: key + "s:")
        #expect(spoilt != block.text)
        let outcome = try read(spoilt, block.command)
        #expect(outcome.code == 64, "\(outcome.errors)")
    }

    @Test func aMisspelledEvaluatorIsNotRead() throws {
        let evaluator = try #require(Self.evaluators.first { $0.contains("main_similarity") })
        for (right, wrong) in [("main_similarity", "main_similarty"), ("EmbeddingSim", "EmbeddingSym")] {
            let outcome = try evaluate(evaluator.replacing(right, with: wrong))
            #expect(outcome.code == 64, "\(outcome.errors)")
        }
    }

    /// Hands a configuration to a command that finds no model in the cache.
    private func read(_ text: String, _ command: [String]) throws -> Outcome {
        try withTemporaryDirectory { folder in
            let file = folder + "/example.yaml"
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            return try TuttiProcess.run(command + [file], environment: ["HF_HUB_CACHE": folder])
        }
    }

    private func evaluate(_ evaluator: String) throws -> Outcome {
        let model = TuttiProcess.root + "/Tests/Golden/training/bert-sgd/model"
        return try read("evaluators:\n  - \(evaluator)\n", ["evaluate", "--model", model, "--config"])
    }
}
