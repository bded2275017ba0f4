// What a run shows while it works: lines in a pipe, a bar where the launcher tells of its terminal.

import Foundation
import TestSupport
import Testing
import TuttiGround

@Suite struct ProgressTests {
    private func workshop(_ path: String) throws -> Workshop {
        let workshop = try Workshop(path)
        try workshop.configure(
            extra: """
                eval_dataset: {path: \(path)/rows.jsonl}
                evaluators: [{name: TripletEvaluator, path: \(path)/rows.jsonl, id: dev, columns: [anchor, positive, negative_1]}]
                """,
            args: """
                  max_steps: 4
                  run_name: first
                  eval_strategy: steps
                  eval_steps: 2
                  eval_on_start: true
                  save_strategy: "no"
                """)
        return workshop
    }

    @Test func linesInAPipe() throws {
        let folder = try TemporaryDirectory()
        let workshop = try workshop(folder.path)
        let outcome = try TuttiProcess.run("train", workshop.path + "/run.yaml", "--gemm", "tutti")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let lines = outcome.output.split(separator: "\n")
        #expect(lines.contains("Training first for 4 steps."))
        let training = lines.filter { $0.contains("  loss ") }
        #expect(training.count == 4 && training[0].hasPrefix("step 1/4  epoch ") && training[0].hasSuffix(" left"))
        #expect(training[3].hasPrefix("step 4/4  ") && !training[3].hasSuffix(" left"))
        // One line an evaluation: the loss and the main metric with four digits, and how they changed.
        let evaluations = lines.filter { $0.contains("eval_") }
        let number = "[0-9]+\\.[0-9]{4}", change = " \\([+-]\(number)\\)"
        let first = try Regex("^step 0/4  epoch 0.000  eval_loss \(number)  eval_dev_cosine_accuracy \(number)$")
        let later = try Regex(
            "^step [24]/4  epoch [0-9.]+  eval_loss \(number)\(change)  eval_dev_cosine_accuracy \(number)\(change)$")
        #expect(evaluations.count == 3)
        #expect(evaluations.first?.contains(first) == true, "\(evaluations)")
        #expect(evaluations.dropFirst().allSatisfy { $0.contains(later) }, "\(evaluations)")
        #expect(!outcome.errors.contains("\r"))
        // The rest is in the files.
        let metrics = String(decoding: try workshop.read("run/metrics.jsonl"), as: UTF8.self)
        #expect(metrics.contains("\"eval_runtime\"") && metrics.contains("\"eval_dev_cosine_accuracy\""))
    }

    @Test func aBarUnderALauncherWithATerminal() throws {
        let folder = try TemporaryDirectory()
        let workshop = try workshop(folder.path)
        let outcome = try TuttiProcess.run(
            ["train", workshop.path + "/run.yaml", "--gemm", "tutti"], environment: ["TUTTI_TERMINAL": "70"])
        #expect(outcome.code == 0, "\(outcome.errors)")
        let frames = outcome.errors.split(separator: "\r").map { $0.prefix { $0 != "\u{1B}" } }
        #expect(frames.contains { $0.hasPrefix("█") && $0.contains(" 4/4  ") && $0.hasSuffix(" left") }, "\(frames)")
        #expect(frames.contains { $0.contains("Evaluating ") } && frames.allSatisfy { $0.count < 70 })
        #expect(!outcome.output.contains("█") && outcome.output.contains("step 4/4  "))
    }

    /// What goes through two pipes keeps no order: bar and lines share one where both end on the terminal.
    @Test func theBarMakesWayForLinesOnOneStream() throws {
        let folder = try TemporaryDirectory()
        let workshop = try workshop(folder.path)
        let arguments = ["train", workshop.path + "/run.yaml", "--gemm", "tutti"]
        let terminal = ["TUTTI_TERMINAL": "70 output"]
        let outcome = try TuttiProcess.run(arguments, environment: terminal)
        #expect(outcome.code == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
        let rows = outcome.output.split(separator: "\n")
        #expect(rows.contains { $0.contains("█") })
        // What stays of a row on the screen is what follows its last erasure.
        let lines = rows.map { $0.components(separatedBy: "\r\u{1B}[K").last ?? "" }
        #expect(lines.contains { $0.hasPrefix("step 4/4  ") } && lines.allSatisfy { !$0.contains("█") }, "\(lines)")
        let refused = try TuttiProcess.run(arguments + ["--set", "seed=1"], environment: terminal)
        #expect(refused.code == 64 && refused.errors.hasPrefix("\r\u{1B}[Ktutti: error: "), "\(refused.errors)")
    }

    @Test func evaluateAndEncodeShowHowFarTheyAre() throws {
        let folder = try TemporaryDirectory()
        let workshop = try workshop(folder.path)
        try workshop.write("texts.txt", "baba ce\ndi\n")
        let terminal = ["TUTTI_TERMINAL": "70"]
        let commands = [
            ["evaluate", "--config", workshop.path + "/run.yaml", "--json", "--gemm", "tutti"],
            [
                "encode", "--model", workshop.path + "/model", "--input", workshop.path + "/texts.txt", "--output",
                workshop.path + "/texts.npy", "--json", "--gemm", "tutti",
            ],
        ]
        for command in commands {
            let outcome = try TuttiProcess.run(command, environment: terminal)
            #expect(outcome.code == 0, "\(outcome.errors)")
            #expect(outcome.errors.contains("░") && outcome.errors.hasSuffix("\r\u{1B}[K"), "\(outcome.errors)")
            _ = try JSONValue.parse(outcome.output)  // results stay by themselves
            #expect(try TuttiProcess.run(command).errors.isEmpty)
        }
    }
}
