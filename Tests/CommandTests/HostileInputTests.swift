// Small files that would eat memory, hang, write elsewhere, or give NaN, given to the command as a user would.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct HostileInputTests {
    @Test(.timeLimit(.minutes(2))) func yamlFiles() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let text = String(decoding: try workshop.read("run.yaml"), as: UTF8.self)

        // A byte-order mark, as Windows editors write it, is none of the text.
        try workshop.write("run.yaml", Data([0xEF, 0xBB, 0xBF]) + Data(text.utf8))
        #expect(try workshop.train("--set", "args.max_steps=1").code == 0)

        try workshop.write("run.yaml", Data((text + "# caf").utf8) + Data([0xE9, 0x0A]))
        let latin = try workshop.train()
        #expect(try latin.code == 65 && latin.errorLine.contains("run.yaml:") && latin.errorLine.contains("0xE9"))

        // Nine levels of nine aliases: 468 bytes that stand for 387 million values.
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...8 {
            let aliases = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            bomb += "a\(level): &a\(level) [\(aliases)]\n"
        }
        try workshop.write("run.yaml", bomb)
        let many = try workshop.train()
        #expect(try many.code == 64 && many.errorLine.contains("1000000 values"))

        try workshop.write("run.yaml", text + "base: &base {a: 1}\nother: *base\n")  // an ordinary alias is read
        #expect(try workshop.train().errorLine.contains("base"))
        try workshop.write("run.yaml", "model: x\nmodel: y\n")
        #expect(try workshop.train().code == 64)
    }

    @Test(.timeLimit(.minutes(2))) func pipesInThePlaceOfFiles() throws {
        for (name, code) in [("rows.jsonl", 64), ("model/model.safetensors", 65), ("run.yaml", 65)] as [(String, Int32)]
        {
            let folder = try TemporaryDirectory()
            let workshop = try Workshop(folder.path)
            try FileManager.default.removeItem(atPath: workshop.path + "/" + name)
            #expect(mkfifo(workshop.path + "/" + name, 0o600) == 0)
            let outcome = try workshop.train()
            #expect(try outcome.code == code && outcome.errorLine.contains("pipe"), "\(name): \(outcome.errors)")
        }
    }

    @Test func modulesThatLeadOutOfTheModel() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let victim = folder.path + "/victim"
        try FileManager.default.createDirectory(atPath: victim, withIntermediateDirectories: false)
        try AtomicWrite.file(path: victim + "/config.json", text: #"{"word_embedding_dimension": 32}"#)
        let before = try MappedFile(path: victim + "/config.json").contents
        let modules =
            #"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},"#
            + #"{"idx": 1, "name": "1", "path": "../victim", "type": "sentence_transformers.models.Pooling"}]"#
        try workshop.write("model/modules.json", modules)
        let outcome = try workshop.train()
        #expect(try outcome.code == 65 && outcome.errorLine.contains("../victim"))
        #expect(try MappedFile(path: victim + "/config.json").contents == before)
    }

    @Test func aLongerLimitThanTheSavedOneIsRecorded() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let facts = try JSONValue.parse(
            try TuttiProcess.run("inspect", workshop.path + "/model", "--json").output, source: "inspect")
        let positions = try #require(facts["positions"]?.int)
        try workshop.write("model/sentence_bert_config.json", #"{"max_seq_length": 5, "do_lower_case": false}"#)
        let more = try workshop.train("--set", "max_seq_length=\(positions)", "--set", "args.max_steps=1")
        #expect(more.code == 0, "\(more.errors)")
        let saved = try JSONValue.parse(file: workshop.path + "/run/final/sentence_bert_config.json")
        #expect(saved["max_seq_length"]?.int == positions)
        let most = try workshop.train("--set", "max_seq_length=\(positions + 1)", "--overwrite")
        #expect(try most.code == 64 && most.errorLine.contains("positions for \(positions) tokens"))
    }

    @Test func embeddingsThatAreNotFiniteAreNotWritten() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let path = workshop.path + "/model/model.safetensors"
        let file = try SafetensorsFile(path: path)
        var values: [(name: String, shape: [Int], floats: [Float])] = []
        for info in file.tensors where info.dtype == .f32 {
            values.append((info.name, info.shape, [Float](repeating: 3.4e38, count: info.count)))
        }
        let buffers = values.map { value in
            let copy = UnsafeMutableBufferPointer<Float>.allocate(capacity: value.floats.count)
            _ = copy.initialize(from: value.floats)
            return copy
        }
        defer { for buffer in buffers { buffer.deallocate() } }
        try SafetensorsWriter.write(
            path: path,
            tensors: zip(values, buffers).map { ($0.name, .f32, $0.shape, UnsafeRawBufferPointer($1)) })
        try workshop.write("texts.txt", "baba\ncece\n")
        let outcome = try TuttiProcess.run([
            "encode", "--model", workshop.path + "/model", "--input", workshop.path + "/texts.txt", "--output",
            workshop.path + "/out.npy",
        ])
        #expect(try outcome.code == 70 && outcome.errorLine.contains("not finite"))
        #expect(!workshop.exists("out.npy"))
    }

    @Test(.timeLimit(.minutes(2))) func aHundredThousandKeys() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let keys = (0..<100_000).map { "\"k\($0)\": \($0)" }.joined(separator: ", ")
        let config = String(decoding: try workshop.read("model/config.json"), as: UTF8.self)
        try workshop.write("model/config.json", config.replacing("{", with: "{" + keys + ", ", maxReplacements: 1))
        let refused = try workshop.train("--set", "args.max_steps=1")
        #expect(try refused.code == 65 && refused.errorLine.contains("k0"))
        try workshop.write("many.jsonl", "{" + keys + "}\n")
        #expect(try TuttiProcess.run("inspect", workshop.path + "/many.jsonl").code == 65)
        try workshop.write("model/config.json", config)
        try workshop.write("many.yaml", "model: \(workshop.path)/model\nconfig_overrides: {\(keys)}\n")
        #expect(try TuttiProcess.run("train", workshop.path + "/many.yaml").code == 64)
    }
}
