// The subcommands besides train, on a tiny model, and a disk that is full.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct SubcommandTests {
    @Test func encodeKeepsTheOrderOfItsInput() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let texts = ["baba ce", "di", "", "fofo gu ha je ki lo mu na pe ri so tu", "baba ce"]
        try workshop.write("texts.txt", texts.joined(separator: "\n") + "\n")
        try workshop.write(
            "texts.jsonl", texts.map { "{\"text\": \(JSONValue.string($0).serialized())}\n" }.joined())
        let model = workshop.path + "/model"
        func encode(_ input: String, _ output: String, _ more: [String] = []) throws -> Outcome {
            try TuttiProcess.run(
                [
                    "encode", "--model", model, "--input", workshop.path + "/" + input, "--output",
                    workshop.path + "/" + output,
                ] + more)
        }
        // Our own product gives a row the same bits wherever in a batch it stands; libraries need not.
        let own = ["--gemm", "tutti"]
        #expect(try encode("texts.txt", "lines.npy", own).code == 0)
        #expect(try encode("texts.jsonl", "column.npy", ["--column", "text", "--batch-tokens", "4"]).code == 0)
        #expect(try encode("texts.jsonl", "tensors.safetensors", ["--column", "text"] + own).code == 0)
        let lines = try NumPy.read(path: workshop.path + "/lines.npy")
        let column = try NumPy.read(path: workshop.path + "/column.npy")
        let tensor = try SafetensorsFile(path: workshop.path + "/tensors.safetensors").floats("embeddings")
        #expect(lines.rows == 5 && lines.columns == 32)
        #expect(zip(lines.floats, column.floats).allSatisfy { abs($0 - $1) <= 1e-6 })
        #expect(tensor == lines.floats)
        #expect(Array(lines.floats[0..<32]) == Array(lines.floats[128..<160]), "equal texts, equal rows")
        #expect(Array(lines.floats[0..<32]) != Array(lines.floats[32..<64]))
        #expect(try encode("texts.jsonl", "x.txt").code == 64)
        #expect(try encode("texts.jsonl", "x.npy", ["--column", "txet"]).code == 65)
        #expect(try encode("nowhere.txt", "x.npy").code == 66)
    }

    /// Bytes of every precision in both formats, with the types that NumPy and safetensors call them by.
    @Test func encodeQuantizes() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        try workshop.write("texts.txt", "baba ce\ndi\nfofo gu\n")
        try workshop.write("one.txt", "baba ce\n")
        func encode(_ input: String, _ output: String, _ precision: String) throws -> Outcome {
            try TuttiProcess.run([
                "encode", "--model", workshop.path + "/model", "--input", workshop.path + "/" + input, "--output",
                workshop.path + "/" + output, "--normalize", "--precision", precision, "--json", "--gemm", "tutti",
            ])
        }
        for (precision, type, descriptor, columns) in [
            ("float32", TensorType.f32, "'<f4'", 32), ("int8", .i8, "'|i1'", 32), ("uint8", .u8, "'|u1'", 32),
            ("binary", .i8, "'|i1'", 4), ("ubinary", .u8, "'|u1'", 4),
        ] {
            let outcome = try encode("texts.txt", "x.npy", precision)
            #expect(outcome.code == 0)
            let line = try JSONValue.parse(outcome.output)
            #expect(line["precision"]?.string == precision && line["columns"]?.int == columns)
            #expect(line["dimension"]?.int == 32)
            let array = try #require(FileManager.default.contents(atPath: workshop.path + "/x.npy"))
            let header = String(decoding: array.prefix(128), as: UTF8.self)
            #expect(header.contains(descriptor) && header.contains("(3, \(columns))"))
            #expect(try encode("texts.txt", "x.safetensors", precision).code == 0)
            let tensors = try SafetensorsFile(path: workshop.path + "/x.safetensors")
            let info = try #require(tensors.info("embeddings"))
            #expect(info.dtype == type && info.shape == [3, columns])
            let bytes = try withExtendedLifetime(tensors) { Array(try tensors.rawBytes("embeddings")) }
            #expect(Array(array.suffix(bytes.count)) == bytes, "the same bytes in both formats")
            let low: UInt8 = type == .i8 ? 0x80 : 0
            if precision.hasSuffix("int8") {
                let column = (0..<3).map { bytes[$0 * 32] ^ low }
                #expect(column.min() == 0 && (column.max() ?? 0) >= 254, "a column's range is used whole")
            }
        }
        #expect(try encode("one.txt", "x.npy", "int8").code == 64)
        #expect(try encode("one.txt", "x.npy", "binary").code == 0)
        #expect(try encode("one.txt", "x.npy", "unary").code == 64)
    }

    /// Texts with their embeddings: the values of the matrix, in Parquet to the bit, in JSON by digits that read back the same.
    @Test(arguments: ["float32", "int8", "uint8", "binary", "ubinary"])
    func encodeWritesTextsWithTheirEmbeddings(_ precision: String) throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let texts = ["baba ce", "di \"quoted\", then", "fofo gu", "di"]
        try workshop.write("texts.txt", texts.joined(separator: "\n") + "\n")
        func encode(_ output: String, _ more: [String] = []) throws -> Outcome {
            try TuttiProcess.run(
                [
                    "encode", "--model", workshop.path + "/model", "--input", workshop.path + "/texts.txt", "--output",
                    workshop.path + "/" + output, "--gemm", "tutti", "--precision", precision, "--prompt", "na: ",
                    "--truncate-dim", "16", "--normalize",
                ] + more)
        }
        let line = try JSONValue.parse(try encode("x.safetensors", ["--json"]).output)
        let width = precision.hasSuffix("binary") ? 2 : 16
        #expect(line["dimension"]?.int == 16 && line["columns"]?.int == width)
        let file = try SafetensorsFile(path: workshop.path + "/x.safetensors")
        let bytes = try withExtendedLifetime(file) { Array(try file.rawBytes("embeddings")) }
        func value(_ place: Int) -> Double {
            switch precision {
            case "int8", "binary": Double(Int8(bitPattern: bytes[place]))
            case "uint8", "ubinary": Double(bytes[place])
            default: Double(bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: place * 4, as: Float.self) })
            }
        }
        let wanted = (0..<4).map { row in (0..<width).map { value(row * width + $0) } }
        #expect(try encode("x.jsonl").code == 0 && encode("x.parquet").code == 0)
        let lines = try String(contentsOfFile: workshop.path + "/x.jsonl", encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 4)
        for (row, line) in lines.enumerated() {
            let object = try #require(try JSONValue.parse(String(line)).object)
            #expect(object.keys.map { $0 } == ["text", "embedding"] && object["text"]?.string == texts[row])
            let numbers = try #require(object["embedding"]?.array)
            if precision == "float32" {
                #expect(numbers.compactMap(\.double).map { Float($0) } == wanted[row].map { Float($0) })
                #expect(line.utf8.count < 16 * 17 + 60, "no more digits than it takes")
            } else {
                #expect(numbers.map(\.int) == wanted[row].map { Int($0) })
            }
        }
        let mapped = try MappedFile(path: workshop.path + "/x.parquet")
        let parquet = try ParquetFile(mapped)
        #expect(parquet.columnNames == ["text", "embedding"] && parquet.rowCount == 4)
        var rows = try parquet.rows(of: [0, 1])
        var cells: [JSONValue] = []
        for row in 0..<4 {
            #expect(try rows.next(&cells))
            #expect(cells[0].string == texts[row] && cells[1].array?.compactMap(\.double) == wanted[row])
        }
        #expect(try !rows.next(&cells))
    }

    /// The first columns of the whole embeddings, scaled afterwards; no more than there are.
    @Test func encodeTruncates() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        try workshop.write("texts.txt", "baba ce\ndi\nfofo gu\n")
        func encode(_ more: [String]) throws -> Outcome {
            try TuttiProcess.run(
                [
                    "encode", "--model", workshop.path + "/model", "--input", workshop.path + "/texts.txt", "--output",
                    workshop.path + "/x.npy", "--gemm", "tutti",
                ] + more)
        }
        func floats(_ more: [String]) throws -> [Float] {
            #expect(try encode(more).code == 0)
            let array = try NumPy.read(path: workshop.path + "/x.npy")
            #expect(array.rows == 3)
            return array.floats
        }
        let whole = try floats([])
        let cut = try floats(["--truncate-dim", "5"])
        let first = (0..<3).flatMap { row in Array(whole[row * 32..<row * 32 + 5]) }
        #expect(cut == first)
        let unit = try floats(["--truncate-dim", "5", "--normalize"])
        for row in 0..<3 {
            let values = cut[row * 5..<row * 5 + 5].map { Double($0) }
            let length = values.map { $0 * $0 }.reduce(0, +).squareRoot()
            for (column, value) in values.enumerated() {
                #expect(abs(value / length - Double(unit[row * 5 + column])) < 1e-6)
            }
        }
        #expect(try floats(["--truncate-dim", "32"]) == whole)
        let wide = try encode(["--truncate-dim", "33"])
        #expect(try wide.code == 64 && wide.errorLine.contains("32 columns"))
        #expect(try encode(["--truncate-dim", "0"]).code == 64)
    }

    @Test func tokenizePrintsTruncatedIdsALine() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        try workshop.write("texts.txt", "baba\n" + String(repeating: "baba ", count: 40) + "\n")
        let outcome = try TuttiProcess.run(
            "tokenize", "--model", workshop.path + "/model", "--input", workshop.path + "/texts.txt")
        #expect(outcome.code == 0)
        let ids = try outcome.output.split(separator: "\n").map { line in
            try #require(try JSONValue.parse(String(line))["input_ids"]?.array).compactMap(\.int)
        }
        #expect(ids.map(\.count) == [3, 24], "special tokens at both ends, 24 tokens at most")
        #expect(ids[0].first == 2 && ids[0].last == 3 && ids[1].last == 3)
    }

    @Test func evaluateAndInspectSpeakJSON() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        try workshop.write(
            "run.yaml", "evaluators: [{name: TripletEvaluator, path: \(workshop.path)/rows.jsonl, id: dev}]")
        let outcome = try TuttiProcess.run(
            "evaluate", "--model", workshop.path + "/model", "--config", workshop.path + "/run.yaml", "--json")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let accuracy = try #require(try JSONValue.parse(outcome.output)["dev_cosine_accuracy"]?.double)
        #expect((0...1).contains(accuracy))
        let model = try TuttiProcess.run("inspect", workshop.path + "/model", "--json")
        let facts = try JSONValue.parse(model.output)
        #expect(facts["architecture"]?.string == "bert" && facts["dimension"]?.int == 32)
        #expect(facts["pooling"]?.array == [.string("mean")] && facts["tokenizer"]?.string == "WordPiece")
        #expect(facts["layers"]?.int == 2 && facts["heads"]?.int == 4 && facts["inner_size"]?.int == 64)
        // 2 layers of 4 D^2 + 2 D F weights; attention of 24 tokens: 4 L D more a layer.
        let forward = 2 * (2 * (4 * 32 * 32 + 2 * 32 * 64) + 2 * 2 * 24 * 32)
        #expect(facts["flops_a_token"]?["forward"]?.int == forward)
        #expect(facts["flops_a_token"]?["training"]?.int == 3 * forward)
        let memory = try #require(facts["memory_to_train"])
        let values = try #require(memory["values_bytes"]?.int)
        #expect(values >= 4 * (facts["trainable_parameters"]?.int ?? 0))
        #expect(memory["total_bytes"]?.int == 4 * values + (memory["activations_bytes"]?.int ?? 0))
        let small = try JSONValue.parse(
            try TuttiProcess.run("inspect", workshop.path + "/model", "--json", "--batch", "1").output)
        let (many, one) = (
            memory["activations_bytes"]?.int ?? 0, small["memory_to_train"]?["activations_bytes"]?.int ?? 0
        )
        #expect(one > 0 && many > 12 * one && many < 33 * one, "a part does not grow with the batch")
        let data = try JSONValue.parse(
            try TuttiProcess.run("inspect", workshop.path + "/rows.jsonl", "--json").output)
        #expect(data["rows"]?.int == 84)
        #expect(data["text_columns"]?.object?.keys == ["anchor", "positive", "negative_1"])
    }

    @Test func aNewStaticModelIsMadeAndInspected() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path + "/static"
        let tokenizer = TuttiProcess.root + "/Tests/Golden/static-models/tokenizer.json"
        let made = try TuttiProcess.run("new-static", "--tokenizer", tokenizer, "--dimension", "16", "--output", path)
        #expect(made.code == 0 && made.output.contains("x 16"), "\(made.errors)")
        let facts = try JSONValue.parse(try TuttiProcess.run("inspect", path, "--json").output)
        #expect(facts["architecture"]?.string == "StaticEmbedding" && facts["layers"]?.int == 0)
        #expect(facts["max_seq_length"]?.isNull == true && facts["dimension"]?.int == 16)
        #expect(try TuttiProcess.run("inspect", path).output.contains("modules: StaticEmbedding"))
        let again = try TuttiProcess.run("new-static", "--tokenizer", tokenizer, "--output", path)
        #expect(try again.code == 64 && again.errorLine.contains("is there already"))
        let none = try TuttiProcess.run("new-static", "--tokenizer", folder.path, "--output", path + "-2")
        #expect(none.code == 66)
    }

    @Test func inspectTellsWhatIsThere() throws {
        let folder = try TemporaryDirectory()
        let missing = try TuttiProcess.run("inspect", folder.path + "/none.csv")
        #expect(missing.code == 66)
        #expect(try missing.errorLine.contains("no such file"))
        let bare = try TuttiProcess.run("inspect", "none.csv")
        #expect(try bare.code == 66 && bare.errorLine.contains("no such file"))
        #expect(try TuttiProcess.run("inspect", folder.path).code == 65)
        let rows = "{\"_id\": \"1\", \"text\": \"one\"}\n{\"_id\": \"2\", \"text\": \"two\"}\n"
        try AtomicWrite.file(path: folder.path + "/corpus.jsonl", text: rows)
        try AtomicWrite.file(path: folder.path + "/queries.jsonl", text: rows)
        try FileManager.default.createDirectory(atPath: folder.path + "/qrels", withIntermediateDirectories: false)
        try AtomicWrite.file(path: folder.path + "/qrels/test.tsv", text: "query-id\tcorpus-id\tscore\n1\t2\t1\n")
        let facts = try JSONValue.parse(try TuttiProcess.run("inspect", folder.path, "--json").output)
        #expect(facts["kind"]?.string == "retrieval collection" && facts["documents"]?.int == 2)
        #expect(facts["qrels"]?.array == [.string("qrels/test.tsv")])
    }

    @Test func escapeCodesOfFilesDoNotReachTheTerminal() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path + "/rows.csv"
        try AtomicWrite.file(path: path, text: "text\u{1B}[31m,other\na\u{1B}]0;title\u{7}b,c\u{9B}2J\n")
        for arguments in [
            ["inspect", path], ["inspect", path, "--json"], ["tokenize", "--model", path, "--input", path],
        ] {
            let outcome = try TuttiProcess.run(arguments)
            let all = outcome.output + outcome.errors
            #expect(!all.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" && $0 != "\t" || $0.value == 0x9B })
        }
        #expect(try TuttiProcess.run("inspect", path).output.contains("text\\u001b[31m"))
        let other = folder.path + "/\u{1B}[2Jnone"
        let error = try TuttiProcess.run("inspect", other)
        #expect(error.code == 66 && !error.errors.contains("\u{1B}"))
    }

    @Test func aRunIsInspectedAndAClosedPipeEndsNothing() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let run = Process()
        run.executableURL = URL(fileURLWithPath: "/bin/bash")
        run.arguments = [
            "-c", "\"$@\" | head -n 1 > /dev/null; exit ${PIPESTATUS[0]}", "piped",
            try TuttiProcess.executable, "train", workshop.path + "/run.yaml",
        ]
        try run.run()
        run.waitUntilExit()
        #expect(run.terminationStatus == 0)
        let log = workshop.path + "/run/metrics.jsonl"
        try Data(try Data(contentsOf: URL(fileURLWithPath: log)) + Data("{\"step\": 1".utf8))
            .write(to: URL(fileURLWithPath: log))
        let facts = try JSONValue.parse(try TuttiProcess.run("inspect", workshop.path + "/run", "--json").output)
        #expect(facts["status"]?.string == "finished")
        #expect(facts["last_line"]?["train_loss"]?.double != nil)
    }

    @Test func aFullDiskKeepsWhatWasSaved() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        try workshop.configure(args: "  save_steps: 2\n  max_steps: 6")
        // A first part of the run saves; then files may not grow beyond 64 KiB, as on a disk that is full.
        let settings = ["--set", "args.save_total_limit=3"]
        let process = try TuttiProcess.start(["train", workshop.path + "/run.yaml"] + settings)
        while process.isRunning, !workshop.exists("run/checkpoint-2") { usleep(200) }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        let saved = try FileManager.default.contentsOfDirectory(atPath: workshop.path + "/run")
            .filter { $0.hasPrefix("checkpoint-") && !$0.hasSuffix(".tmp") }
        #expect(!saved.isEmpty)
        let limited = Process()
        limited.executableURL = URL(fileURLWithPath: "/bin/bash")
        limited.arguments =
            [
                "-c", "ulimit -f 64; exec \"$@\"", "limited", try TuttiProcess.executable, "train",
                workshop.path + "/run.yaml",
            ] + settings
        let errors = Pipe()
        limited.standardError = errors
        limited.standardOutput = FileHandle.nullDevice
        try limited.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        limited.waitUntilExit()
        #expect(limited.terminationStatus == 75, "\(text)")
        #expect(text.split(separator: "\n").count == 1 && text.contains("run/"), "\(text)")
        for name in saved { #expect(workshop.exists("run/\(name)/tutti_state.json")) }
        #expect(try TuttiProcess.run(["train", workshop.path + "/run.yaml"] + settings).code == 0)
        #expect(workshop.exists("run/final/model.safetensors"))
    }
}
