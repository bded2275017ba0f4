// `tutti mine-negatives` as a user runs it: files in, files out, what is refused and why, and SIGKILL at any instant.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized) struct MineNegativesTests {
    /// A workshop and the arguments that every run needs.
    private struct Mine {
        let workshop: Workshop

        init(_ path: String) throws { workshop = try Workshop(path) }

        func callAsFunction(
            _ more: String..., input: String = "rows.jsonl", output: String = "mined.csv"
        ) throws -> Outcome {
            try TuttiProcess.run(arguments(input, output) + more)
        }

        func arguments(_ input: String, _ output: String) -> [String] {
            let path = workshop.path
            return [
                "mine-negatives", "--model", path + "/model", "--input", path + "/" + input, "--output",
                path + "/" + output,
            ]
        }

        func text(_ name: String) throws -> String { String(decoding: try workshop.read(name), as: UTF8.self) }
    }

    @Test func minesAndSaysSo() throws {
        let folder = try TemporaryDirectory()
        let mine = try Mine(folder.path)
        let first = try mine("--num-negatives", "2")
        #expect(first.code == 0 && first.errors.isEmpty, "\(first.errors)")
        for words in ["Setting range_max to", "Metric       Positive", "Count              8", "mined.csv: 168 rows"] {
            #expect(first.output.contains(words), "\(first.output)")
        }
        let lines = try mine.text("mined.csv").split(separator: "\n")
        #expect(lines.count == 169 && lines[0] == "anchor,positive,negative")
        // What was mined is a data set to train on, and mined again it is the same.
        try mine.workshop.configure(data: "mined.csv")
        #expect(try mine.workshop.train("--set", "args.max_steps=2").code == 0)
        let again = try mine("--num-negatives", "2")
        #expect(again.code == 0 && again.output.contains("already finished, 168 rows"))
        let other = try mine("--num-negatives", "3")
        #expect(other.code == 64)
        #expect(try other.errorLine.contains("belongs to another run"))
        #expect(try mine("--num-negatives", "3", "--overwrite").code == 0)
        #expect(try mine.text("mined.csv").split(separator: "\n").count == 253)
    }

    @Test func everyFormAndTheStatistics() throws {
        let folder = try TemporaryDirectory()
        let mine = try Mine(folder.path)
        try mine.workshop.write("more.txt", "baba ce\ndi fo, gu\n\"quoted\"\n")
        let outcome = try mine(
            "--json", "--output-format", "labeled-list", "--output-scores", "--relative-margin", "-0.5", "--max-score",
            "0.99", "--corpus", mine.workshop.path + "/more.txt", "--anchor-column-name", "negative_1",
            "--positive-column-name", "anchor", "--sampling-strategy", "random", "--seed", "3", "--query-prompt",
            "baba ", "--corpus-prompt-name", "document", output: "mined.jsonl")
        #expect(outcome.code == 0, "\(outcome.errors)")
        let statistics = try JSONValue.parse(outcome.output)
        #expect(statistics["positive"]?["count"]?.int == 84 && statistics["was_finished"]?.bool == false)
        #expect(statistics["skipped"]?.object?.keys == ["relative_margin", "max_score"])
        let rows = try mine.text("mined.jsonl").split(separator: "\n").map { try JSONValue.parse(String($0)) }
        #expect(rows.count == statistics["rows"]?.int)
        for row in rows {
            #expect(row.object?.keys == ["negative_1", "anchor", "scores"])
            #expect(row["anchor"]?.array?.count == row["scores"]?.array?.count)
        }
        #expect(try mine("--output-format", "n-tuple-scores", output: "tuple.csv").code == 0)
        #expect(try mine.text("tuple.csv").hasPrefix("anchor,positive,negative_1,negative_2,negative_3,scores\n"))
        #expect(try mine.text("tuple.csv").contains(",\"[0."), "a list is a JSON array in a cell")
    }

    @Test func whatIsRefused() throws {
        let folder = try TemporaryDirectory()
        let mine = try Mine(folder.path)
        func refused(_ code: Int32, _ words: [String], _ outcome: Outcome) {
            #expect(outcome.code == code, "\(outcome.errors)")
            for word in words { #expect(outcome.errors.contains(word), "\(outcome.errors)") }
            #expect(!mine.workshop.exists("mined.csv"))
        }
        refused(64, ["--cross-encoder", "cross-encoders are not supported"], try mine("--cross-encoder", "some/model"))
        refused(64, ["--use-faiss", "exact"], try mine("--use-faiss"))
        refused(64, ["num_negatives"], try mine("--num-negatives", "0"))
        refused(64, ["range_max=4"], try mine("--range-min", "3", "--range-max", "4", "--num-negatives", "2"))
        refused(64, [".csv or .jsonl"], try mine(output: "mined.txt"))
        refused(64, ["both column 'positive'"], try mine("--anchor-column-name", "positive"))
        refused(64, ["queri", "Did you mean 'query'"], try mine("--query-prompt-name", "queri"))
        refused(64, ["triplets", "triplet"], try mine("--output-format", "triplets"))
        refused(64, ["--corpus-column"], try mine("--corpus-column", "text"))
        // The reference takes the first column for a name that is not there.
        refused(65, ["anchors", "Did you mean 'anchor'"], try mine("--anchor-column-name", "anchors"))
        refused(66, ["nowhere.csv"], try mine(input: "nowhere.csv"))
        refused(66, ["nowhere.txt"], try mine("--corpus", mine.workshop.path + "/nowhere.txt"))
        refused(66, ["folder"], try mine(output: "nowhere/mined.csv"))
        try mine.workshop.write("one.csv", "text\na\nb\n")
        refused(64, ["only the text column"], try mine(input: "one.csv"))
        try mine.workshop.write("ragged.csv", "a,b\nx,y\nz\n")
        refused(65, ["ragged.csv:3"], try mine(input: "ragged.csv"))
        try mine.workshop.write("negative.csv", "negative,b\nx,y\nz,w\n")
        refused(64, ["column 'negative'"], try mine(input: "negative.csv"))
    }

    /// Two in one folder: the second is refused, or waits and finds everything done.
    @Test func twoAtOnceDoNotMix() throws {
        let folder = try TemporaryDirectory()
        let mine = try Mine(folder.path)
        try mine.workshop.write("many.csv", manyRows)
        #expect(try mine(input: "many.csv", output: "alone.csv").code == 0)
        let arguments = mine.arguments("many.csv", "mined.csv") + ["--lock-times"]
        let first = try TuttiProcess.start(arguments + ["0.2,2,1"])
        defer { kill(first.processIdentifier, SIGKILL) }
        while first.isRunning, !mine.workshop.exists("mined.csv.work/identity.json") { usleep(500) }
        kill(first.processIdentifier, SIGSTOP)  // nothing ends before the second has begun
        let second = try TuttiProcess.run(arguments + ["0.2,2,1", "--num-negatives", "1", "--overwrite"])
        #expect(second.code == 64)
        #expect(second.errors.contains("process \(first.processIdentifier) on "), "\(second.errors)")
        #expect(second.errors.contains("choose another --output"), "\(second.errors)")
        let said = Pipe()
        let third = try TuttiProcess.start(arguments + ["0.2,30,60"], output: said)
        Thread.sleep(forTimeInterval: 1)
        #expect(third.isRunning)
        kill(first.processIdentifier, SIGCONT)
        for process in [first, third] {
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
        let text = String(decoding: said.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(text.contains("already finished"), "\(text)")
        #expect(try mine.workshop.read("mined.csv") == mine.workshop.read("alone.csv"))
        #expect(!mine.workshop.exists("mined.csv.work/mining.lock"))
    }

    /// Enough pairs to be caught at work.
    private var manyRows: String {
        var rows = "anchor,positive\n"
        for number in 0..<9000 {
            let word = { (salt: Int) in ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki"][number / salt % 8] }
            let text = "\(word(1))\(word(8)) \(word(64))\(word(512)) \(word(4096))ba"
            rows += "\(text),\(text) \(word(1))ce\n"
        }
        return rows
    }

    /// Whatever instant SIGKILL hits, the same command ends with the bytes of an undisturbed run.
    @Test func killedAtRandomInstants() throws {
        let folder = try TemporaryDirectory()
        let mine = try Mine(folder.path)
        try mine.workshop.write("many.csv", manyRows)
        #expect(try mine(input: "many.csv", output: "whole.csv").code == 0)
        let work = mine.workshop.path + "/parts.csv.work"
        func kept() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: work).count) ?? 0 }
        var generator = SystemRandomNumberGenerator()
        var kills = 0
        while kills < 12 {
            let before = kept()
            let process = try TuttiProcess.start(mine.arguments("many.csv", "parts.csv"))
            // Not before there is progress, and then in the middle of whatever comes next.
            while process.isRunning, kept() <= before { usleep(500) }
            usleep(UInt32.random(in: 0..<20_000, using: &generator))
            guard process.isRunning else { break }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            kills += 1
        }
        #expect(kills >= 2, "\(kills) kills prove too little")
        #expect(try mine(input: "many.csv", output: "parts.csv").code == 0)
        #expect(try mine.workshop.read("parts.csv") == mine.workshop.read("whole.csv"))
    }
}
