// Bad input: one clear line that names file and place, the contracted exit code, nothing lost.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct BadInputTests {
    /// Spoils a workshop, trains, and expects `code` and a line with all of `words`.
    private func expect(
        _ code: Int32, _ words: [String], _ what: Comment, args: [String] = [],
        spoil: (Workshop) throws -> Void
    ) throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        try spoil(workshop)
        let outcome = try TuttiProcess.run(["train", workshop.path + "/run.yaml"] + args)
        #expect(outcome.code == code, what)
        let line = try outcome.errorLine
        for word in words { #expect(line.contains(word), "\(what): \(line)") }
        #expect(!workshop.exists("run/final"), what)
    }

    @Test func configurations() throws {
        try expect(64, ["run.yaml:", "learning_rat", "learning_rate"], "a misspelled argument") {
            try $0.configure(args: "  learning_rat: 1")
        }
        try expect(64, ["outputdir", "output_dir"], "a misspelled key", args: ["--set", "outputdir=x"]) { _ in }
        try expect(64, ["fsdp"], "a refused argument") { try $0.configure(args: "  fsdp: full_shard") }
        try expect(
            64, ["MultipleNegativeRankingLoss", "MultipleNegativesRankingLoss"], "a misspelled loss",
            args: [
                "--set", "loss.name=MultipleNegativeRankingLoss",
            ]
        ) { _ in }
        try expect(64, ["scal", "scale"], "a misspelled option", args: ["--set", "loss.scal=3"]) { _ in }
        try expect(64, ["run.yaml"], "no YAML") { try $0.write("run.yaml", "model: [1, 2\nx: }") }
        try expect(64, ["train_dataset"], "no data", args: ["--set", "train_dataset=null"]) { _ in }
        try expect(
            64, ["hidden_dropout_prop", "hidden_dropout_prob"], "a misspelled override",
            args: [
                "--set", "config_overrides.hidden_dropout_prop=0",
            ]
        ) { _ in }
        try expect(64, ["EvaluatorTriplet"], "an unknown evaluator") {
            try $0.configure(extra: "evaluators: [{name: EvaluatorTriplet, path: x.csv}]")
        }
        let missing = try TuttiProcess.run("train", "/nowhere/run.yaml")
        #expect(missing.code == 66)
        #expect(try TuttiProcess.run("trian").code == 64)
    }

    @Test func dataFiles() throws {
        let header = "anchor,positive\n"
        func bad(_ code: Int32, _ words: [String], _ what: Comment, _ name: String, _ data: Data) throws {
            try expect(code, words, what) {
                try $0.write(name, data)
                try $0.configure(data: name)
            }
        }
        try bad(65, ["ragged.csv:3"], "a ragged row", "ragged.csv", Data((header + "a,b\nc\n").utf8))
        try bad(
            65, ["latin.csv:2"], "another encoding", "latin.csv",
            Data(header.utf8) + Data([0x61, 0xE9, 0x2C, 0x62, 0x0A]))
        try bad(65, ["empty.csv"], "no row", "empty.csv", Data(header.utf8))
        try bad(
            65, ["torn.jsonl:2"], "half a line", "torn.jsonl", Data("{\"a\": \"x\", \"b\": \"y\"}\n{\"a\": \"x".utf8))
        try bad(
            64, ["one.csv", "MultipleNegativesRankingLoss"], "too few columns", "one.csv", Data("text\na\nb\n".utf8))
        try expect(
            65, ["negativ", "anchor"], "a column that is not there",
            args: [
                "--set", "train_dataset.columns=[anchor, negativ]",
            ]
        ) { _ in }
        try expect(66, ["nowhere.csv"], "a missing file", args: ["--set", "train_dataset.path=nowhere.csv"]) { _ in }
    }

    @Test func models() throws {
        try expect(66, ["nothing-here"], "a missing model", args: ["--set", "model=/nothing-here"]) { _ in }
        try expect(66, ["model.safetensors"], "missing weights") {
            try FileManager.default.removeItem(atPath: $0.path + "/model/model.safetensors")
        }
        try expect(65, ["model.safetensors"], "truncated weights") {
            try $0.write("model/model.safetensors", try $0.read("model/model.safetensors").dropLast(1000))
        }
        try expect(65, ["model.safetensors", "intermediate.dense"], "another shape") {
            let text = String(decoding: try $0.read("model/config.json"), as: UTF8.self)
            try $0.write(
                "model/config.json", text.replacing("\"intermediate_size\": 64", with: "\"intermediate_size\": 128"))
        }
        try expect(65, ["model.safetensors", "nan", "layer"], "weights that are no numbers") {
            var bytes = try $0.read("model/model.safetensors")
            let middle = bytes.count / 8 * 4
            bytes.replaceSubrange(middle..<middle + 4, with: [0, 0, 0xC0, 0x7F])
            try $0.write("model/model.safetensors", bytes)
        }
        try expect(65, ["config.json", "transformerx", "bert"], "an unknown architecture") {
            let text = String(decoding: try $0.read("model/config.json"), as: UTF8.self)
            try $0.write("model/config.json", text.replacing("\"bert\"", with: "\"transformerx\""))
        }
        try expect(65, ["tokenizer.json", "WordPiece"], "an unknown tokenizer") {
            let text = String(decoding: try $0.read("model/tokenizer.json"), as: UTF8.self)
            try $0.write("model/tokenizer.json", text.replacing("\"WordPiece\"", with: "\"WordSalad\""))
        }
    }

    @Test func anOutputDirectoryOfAnotherRun() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        #expect(try workshop.train("--set", "args.max_steps=2").code == 0)
        let weights = try workshop.read("run/final/model.safetensors")
        let other = try workshop.train("--set", "args.seed=7")
        #expect(other.code == 64)
        #expect(try other.errorLine.contains("another run"))
        #expect(try workshop.read("run/final/model.safetensors") == weights)
        let again = try workshop.train("--set", "args.max_steps=2")
        #expect(again.code == 0 && again.output.contains("finished"))
        #expect(try workshop.train("--set", "args.seed=7", "--overwrite").code == 0)
    }

    @Test func emptyTextsAreTrainedOn() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        try workshop.write("rows.csv", "anchor,positive\nbaba,baba\n,cece\ndidi,\"\"\n")
        try workshop.configure(data: "rows.csv")
        #expect(try workshop.train().code == 0)
    }
}
