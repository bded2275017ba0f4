// The cache of rows and tokens, whose makers are killed, compete, or wait for one that is killed: what a run reads is right or
// made again.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized) struct TokenCacheKillTests {
    private let folder: TemporaryDirectory
    private let workshop: Workshop
    private var cache: String { folder.path + "/cache" }

    /// A data set whose reading, and whose tokens, take long enough to be killed at.
    init() throws {
        folder = try TemporaryDirectory()
        workshop = try Workshop(folder.path)
        let words = ["gulo", "jeri", "jeje", "hafo", "foba", "jegu", "cena", "bari", "fotu", "bafo", "kidi"]
        var lines = Data()
        for row in 0..<300_000 {
            let text = (0..<8).map { words[(row >> $0 &+ row / 7 + 3 * $0) % words.count] }.joined(separator: " ")
            let line = "{\"anchor\": \"\(text)\", \"positive\": \"\(words[row % 11]) \(text)\"}\n"
            lines.append(contentsOf: Array(line.utf8))
        }
        try workshop.write("many.jsonl", lines)
    }

    private func configure(_ output: String, cache: String?) throws -> String {
        let name = "\(output).yaml"
        try workshop.write(
            name,
            """
            model: \(folder.path)/model
            output_dir: \(folder.path)/\(output)
            train_dataset: {path: \(folder.path)/many.jsonl}
            loss: {name: MultipleNegativesRankingLoss}
            args:
              max_steps: 3
              global_train_batch_size: 8
              logging_steps: 1
              save_strategy: "no"
              token_cache: \(cache == nil ? "never" : "always")
              \(cache.map { "token_cache_dir: \($0)" } ?? "")
            """)
        return "\(folder.path)/\(name)"
    }

    private func start(_ output: String, errors: Pipe = Pipe()) throws -> Process {
        try TuttiProcess.start(
            ["train", try configure(output, cache: cache), "--gemm", "tutti", "--threads", "1"], errors: errors)
    }

    private func weights(_ output: String) throws -> Data { try workshop.read("\(output)/final/model.safetensors") }

    private func entries(_ prefix: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: cache)) ?? []).filter { $0.hasPrefix(prefix) }.sorted()
    }

    private func isMade(_ prefix: String) -> Bool { entries(prefix).contains { !$0.contains(".") } }

    /// Waits until a process makes an entry; false if it has ended or the entry is there.
    private func waitForMaker(of prefix: String, _ process: Process) -> Bool {
        while process.isRunning, !isMade(prefix) {
            if entries(prefix).contains(where: { $0.hasSuffix(".tmp") }) { return true }
            usleep(200)
        }
        return false
    }

    /// The weights of a run without a cache.
    private func expected() throws -> Data {
        let plain = try TuttiProcess.run(
            ["train", try configure("plain", cache: nil), "--gemm", "tutti", "--threads", "1"])
        #expect(plain.code == 0, "\(plain.errors)")
        return try weights("plain")
    }

    @Test func killedMakersLeaveNothingThatIsRead() throws {
        let wanted = try expected()
        var kills = ["rows-": 0, "tokens-": 0]
        for prefix in ["rows-", "tokens-"] {
            var attempts = 0
            while kills[prefix, default: 0] < 3, attempts < 20, !isMade(prefix) {
                attempts += 1
                let process = try start("run")
                guard waitForMaker(of: prefix, process) else { break }
                usleep(UInt32.random(in: 0..<50_000))
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
                if !isMade(prefix), entries(prefix).contains(where: { $0.hasSuffix(".tmp") }) {
                    kills[prefix, default: 0] += 1
                }
            }
            // Until the entry is there, for the next one to be killed at.
            if prefix == "rows-", !isMade(prefix) {
                let process = try start("run")
                while process.isRunning, !isMade(prefix) { usleep(200) }
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
            }
        }
        #expect(kills.values.allSatisfy { $0 >= 1 }, "killed too late: \(kills)")
        let errors = Pipe()
        let last = try start("run", errors: errors)
        let outcome = TuttiProcess.outcome(of: last, Pipe.closed, errors)
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(try weights("run") == wanted)
        // A maker that is killed between its entry and the removal of its lock leaves that, which nobody asks for any more.
        for prefix in ["rows-", "tokens-"] {
            let left = entries(prefix).filter { !$0.hasSuffix(".lock") }
            #expect(left.count == 1 && isMade(prefix), "\(entries(prefix))")
        }
        // The bytes are those of a cache that nobody was killed at.
        let entry = try #require(entries("tokens-").first { !$0.contains(".") })
        let files = try FileManager.default.contentsOfDirectory(atPath: "\(cache)/\(entry)").sorted()
        let kept = try files.map { try Data(contentsOf: URL(fileURLWithPath: "\(cache)/\(entry)/\($0)")) }
        try FileManager.default.removeItem(atPath: cache)
        let again = try start("again")
        again.waitUntilExit()
        #expect(again.terminationStatus == 0)
        #expect(entries("tokens-") == [entry])
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(cache)/\(entry)").sorted() == files)
        for (name, bytes) in zip(files, kept) {
            #expect(try Data(contentsOf: URL(fileURLWithPath: "\(cache)/\(entry)/\(name)")) == bytes, "\(name)")
        }
        #expect(try weights("again") == wanted)
    }

    /// Ranks write tokens together; what the others wrote is of no use where one is killed.
    @Test func aKilledRankLeavesNothingThatIsRead() throws {
        let wanted = try expected()
        let configuration = try configure("ranks", cache: cache)
        func launch() throws -> LaunchedJob {
            try LaunchedJob(
                ["launch", "-np", "2", "--threads", "1", "--bind", "none", "--quiet", "train", configuration]
                    + ["--gemm", "tutti"], in: folder.path)
        }
        let job = try launch()
        #expect(job.wait { entries("tokens-").contains { $0.hasSuffix(".tmp") } }, "\(job.errors)")
        let rank = try job.descendants(named: "tutti").first { process in
            let environment = FileManager.default.contents(atPath: "/proc/\(process)/environ") ?? Data()
            return String(decoding: environment, as: UTF8.self).split(separator: "\0")
                .contains("OMPI_COMM_WORLD_RANK=1")
        }
        kill(try #require(rank), SIGKILL)
        #expect(job.code(within: 60) == 75, "\(job.errors)")
        #expect(!isMade("tokens-"), "killed too late")
        let again = try launch()
        #expect(again.code(within: 120) == 0, "\(again.errors)")
        #expect(entries("tokens-").count == 1 && isMade("tokens-"))
        // One process reads what two ranks have written.
        let alone = try start("alone")
        alone.waitUntilExit()
        #expect(try alone.terminationStatus == 0 && weights("alone") == wanted)
        #expect(entries("tokens-").count == 1)
    }

    @Test func jobsAtOnceShareAFolder() throws {
        let wanted = try expected()
        let jobs = try ["one", "two"].map { try start($0) }
        for job in jobs { job.waitUntilExit() }
        #expect(jobs.map(\.terminationStatus) == [0, 0])
        for output in ["one", "two"] { #expect(try weights(output) == wanted, "\(output)") }
        for prefix in ["rows-", "tokens-"] { #expect(entries(prefix).count == 1, "\(entries(prefix))") }
    }

    /// The job that waits takes over from one that is killed at the rows, and then at the tokens.
    @Test(arguments: ["rows-", "tokens-"]) func aJobThatWaitsTakesOver(_ prefix: String) throws {
        let wanted = try expected()
        let maker = try start("maker")
        try #require(waitForMaker(of: prefix, maker), "made before it could be looked at")
        kill(maker.processIdentifier, SIGSTOP)
        let errors = Pipe()
        let waiting = try start("waiting", errors: errors)
        Thread.sleep(forTimeInterval: 1.5)
        #expect(waiting.isRunning && !isMade(prefix), "nobody makes an entry that another one holds")
        kill(maker.processIdentifier, SIGKILL)
        maker.waitUntilExit()
        let outcome = TuttiProcess.outcome(of: waiting, Pipe.closed, errors)
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(try weights("waiting") == wanted)
        for prefix in ["rows-", "tokens-"] { #expect(entries(prefix).count == 1, "\(entries(prefix))") }
    }
}

extension Pipe {
    /// A pipe that nobody writes to.
    fileprivate static var closed: Pipe {
        let pipe = Pipe()
        pipe.fileHandleForWriting.closeFile()
        return pipe
    }
}
