// Signals to a run, whoever computes its matrix products, alone and on two ranks: nothing is lost, nothing crashes.

import Foundation
import Glibc
import TestSupport
import Testing
import TuttiFormats

@Suite(.serialized) struct SignalTests {
    private static let stops = [SIGINT, SIGTERM, SIGUSR2, SIGHUP]

    /// A run that is asked to save thirty times and stopped once by each signal ends with the weights of an undisturbed
    /// one. A generated kernel keeps data below the stack pointer, where a handler would write.
    @Test(arguments: ["openblas", "onednn", "tutti"], [1, 2])
    func aStormOfSignalsChangesNothing(provider: String, ranks: Int) throws {
        let (quietFolder, stormyFolder) = (try TemporaryDirectory(), try TemporaryDirectory())
        func workshop(_ path: String) throws -> Workshop {
            let workshop = try Workshop(path, golden: "bert-adamw")
            try workshop.configure(
                args: "  max_steps: 800\n  save_steps: 800\n  save_total_limit: 2")
            return workshop
        }
        let (quiet, stormy) = (try workshop(quietFolder.path), try workshop(stormyFolder.path))
        let undisturbed = try Ranks.start(quiet, ranks, provider)
        #expect(undisturbed.wait().code == 0)

        var saves = 0
        for (part, stop) in Self.stops.enumerated() {
            let run = try Ranks.start(stormy, ranks, provider)
            run.waitForSteps()
            // In all thirty, spread over the steps of the four parts.
            while saves < 30 * (part + 1) / Self.stops.count, run.process.isRunning {
                run.send(SIGUSR1)
                saves += 1
                usleep(6000)
            }
            run.send(stop)
            let end = run.wait()
            #expect(end.code == 85, "signal \(stop): \(end.code) \(end.errors)")
            let line = end.output.split(separator: "\n").last { $0.contains("To resume: ") }
            #expect(line?.contains("train \(stormy.path)/run.yaml") == true, "\(end.output)")
        }
        #expect(saves >= 30)
        #expect(try Ranks.start(stormy, ranks, provider).wait().code == 0)
        #expect(try stormy.read("run/final/model.safetensors") == quiet.read("run/final/model.safetensors"))
    }

    /// Every thread blocks the signals, those of the libraries too, and no handler is installed that could run on one.
    @Test func everyThreadBlocksTheSignals() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path, golden: "bert-adamw")
        try workshop.configure(args: "  max_steps: 100000\n  save_steps: 100000")
        let run = try Ranks.start(workshop, 1, "openblas", more: ["--threads", "2"])
        defer { kill(run.process.processIdentifier, SIGKILL) }
        run.waitForSteps()
        let wanted = (Self.stops + [SIGUSR1]).reduce(UInt64(0)) { $0 | 1 << UInt64($1 - 1) }
        let tasks = "/proc/\(run.process.processIdentifier)/task"
        let threads = try FileManager.default.contentsOfDirectory(atPath: tasks)
        #expect(threads.count > 2)
        var open = 0
        for thread in threads {
            let status = try String(contentsOfFile: "\(tasks)/\(thread)/status", encoding: .utf8)
            func mask(_ name: String) throws -> UInt64 {
                let line = try #require(status.split(separator: "\n").first { $0.hasPrefix(name + ":") })
                return try #require(UInt64(line.split(separator: "\t")[1], radix: 16))
            }
            if try mask("SigBlk") & wanted != wanted { open += 1 }
            #expect(try mask("SigCgt") & wanted == 0, "thread \(thread)")
        }
        #expect(open == 1, "the thread that waits for the signals, and no other")
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGUSR2, SIGHUP])
    func beforeTheFirstStepThereIsNothingToSave(signal: Int32) throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        var rows = ""
        for row in 0..<300_000 { rows += "{\"anchor\": \"baba \(row)\", \"positive\": \"cece \(row)\"}\n" }
        try workshop.write("many.jsonl", rows)
        try workshop.configure(data: "many.jsonl", args: "  max_steps: 2")
        let run = try Ranks.start(workshop, 1, "tutti")
        usleep(250_000)
        run.send(signal)
        let end = run.wait()
        #expect(end.code == 85, "\(end.errors)")
        #expect(
            end.errors.contains("before there was anything to save") && end.errors.contains("/run.yaml"),
            "\(end.errors)")
        #expect(!workshop.exists("run/checkpoint-1"))
    }

    /// The second signal does not wait: the process ends by it, and what it leaves behind can be resumed.
    @Test(arguments: [SIGINT, SIGTERM, SIGUSR2])
    func aSecondSignalKills(signal: Int32) throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path, golden: "bert-adamw")
        // One step of many micro-batches: the first signal has to wait for its end.
        try workshop.configure(
            args: "  max_steps: 2\n  gradient_accumulation_steps: 100000\n  save_steps: 1")
        try workshop.write(
            "run.yaml",
            Data(
                String(decoding: try workshop.read("run.yaml"), as: UTF8.self)
                    .replacing("global_train_batch_size: 8", with: "global_train_batch_size: 1").utf8))
        let rows = String(decoding: try workshop.read("rows.jsonl"), as: UTF8.self)
        try workshop.write("rows.jsonl", String(repeating: rows, count: 100))
        let run = try Ranks.start(workshop, 1, "tutti")
        run.waitForSteps(named: "Training for")
        run.send(signal)
        usleep(500_000)
        #expect(run.process.isRunning)
        run.send(signal)
        let end = run.wait()
        #expect(run.process.terminationReason == .uncaughtSignal && end.code == signal, "\(end.code) \(end.errors)")
        let left = try FileManager.default.contentsOfDirectory(atPath: workshop.path + "/run")
        #expect(!left.contains { $0.hasPrefix("checkpoint-") }, "\(left)")
        #expect(
            try TuttiProcess.run([
                "train", workshop.path + "/run.yaml", "--set", "args.gradient_accumulation_steps=1",
                "--overwrite",
            ]).code == 0)
    }

    /// The run of the field that died after four to eight signals: MiniLM on oneDNN, asked to save again and again.
    @Test(.enabled(if: realModels != nil, "needs TUTTI_REAL_MODELS"))
    func realWeightsOutliveAStormOfSignals() throws {
        let models = try #require(realModels)
        let (quietFolder, stormyFolder) = (try TemporaryDirectory(), try TemporaryDirectory())
        func workshop(_ path: String) throws -> Workshop {
            let workshop = try Workshop(path, golden: "bert-adamw")
            try FileManager.default.removeItem(atPath: path + "/model")
            try FileManager.default.createSymbolicLink(atPath: path + "/model", withDestinationPath: models + "/minilm")
            let rows = (0..<2000).map { row in
                let (a, b, c) = (row, row * 7 % 2000, row * 13 % 2000)
                return "{\"anchor\": \"what is known of place \(a) and of its neighbour\", "
                    + "\"positive\": \"place \(a) lies beside \(b)\", \"negative\": \"place \(c) is far away\"}"
            }
            try workshop.write("rows.jsonl", rows.joined(separator: "\n"))
            try workshop.configure(args: "  max_steps: 120\n  save_steps: 120\n  save_total_limit: 1")
            return workshop
        }
        let (quiet, stormy) = (try workshop(quietFolder.path), try workshop(stormyFolder.path))
        #expect(try Ranks.start(quiet, 1, "onednn", more: ["--threads", "1"]).wait().code == 0)
        let run = try Ranks.start(stormy, 1, "onednn", more: ["--threads", "1"])
        var signals = 0
        while signals < 30 {
            while run.process.isRunning, stormy.linesLogged <= 3 * signals { usleep(2000) }
            guard run.process.isRunning else { break }
            run.send(SIGUSR1)
            signals += 1
        }
        let end = run.wait()
        #expect(end.code == 0 && signals == 30, "\(end.code) after \(signals) signals: \(end.errors)")
        #expect(try stormy.read("run/final/model.safetensors") == quiet.read("run/final/model.safetensors"))
    }

    @Test func otherCommandsEndAsUsual() throws {
        for (signal, code) in [(SIGTERM, SIGTERM), (SIGINT, SIGINT), (SIGUSR2, 85)] {
            let folder = try TemporaryDirectory()
            let workshop = try Workshop(folder.path)
            try workshop.write("lines.txt", String(repeating: "baba cece didi fofo gaga\n", count: 400_000))
            let process = try TuttiProcess.start(
                [
                    "encode", "--model", workshop.path + "/model", "--input", workshop.path + "/lines.txt", "--output",
                    workshop.path + "/out.npy",
                ])
            usleep(300_000)
            kill(process.processIdentifier, SIGUSR1)  // asks for nothing here
            usleep(100_000)
            #expect(process.isRunning)
            kill(process.processIdentifier, signal)
            process.waitUntilExit()
            #expect(process.terminationStatus == code)
            #expect(!workshop.exists("out.npy"))
        }
    }
}

private let realModels = ProcessInfo.processInfo.environment["TUTTI_REAL_MODELS"].flatMap { $0.isEmpty ? nil : $0 }

/// A training run on one or two ranks, whose processes can be signalled one by one.
final class Ranks {
    let process: Process
    private let workshop: Workshop
    private let ranks: Int
    private let output: String
    private let errors: String

    /// Starts `tutti train` alone, or under launch/tutti-run. What it says goes to files, so that no pipe fills.
    static func start(_ workshop: Workshop, _ ranks: Int, _ provider: String, more: [String] = []) throws -> Ranks {
        try Ranks(workshop, ranks, ["train", workshop.path + "/run.yaml", "--gemm", provider] + more)
    }

    private init(_ workshop: Workshop, _ ranks: Int, _ arguments: [String]) throws {
        self.workshop = workshop
        self.ranks = ranks
        (output, errors) = (workshop.path + "/output.txt", workshop.path + "/errors.txt")
        process = Process()
        let tutti = try TuttiProcess.executable
        var words = [tutti] + arguments
        if ranks > 1 {
            words =
                [TuttiProcess.root + "/launch/tutti-run", "--quiet", "-np", "\(ranks)", "--threads", "1", "--"] + words
        }
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        for path in [output, errors] { try Data().write(to: URL(fileURLWithPath: path)) }
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        process.standardInput = FileHandle.nullDevice
        var environment = ProcessInfo.processInfo.environment
        for name in environment.keys where name.hasPrefix("OMPI_") || name.hasPrefix("PMI") || name.hasPrefix("SLURM") {
            environment[name] = nil
        }
        process.environment = environment
        // The threads of tests block all signals, and a child inherits that; a user's shell blocks none.
        var (none, before) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try process.run()
    }

    /// Returns when the run has said that it trains, or has ended.
    func waitForSteps(named word: String = "step ") {
        let deadline = Date(timeIntervalSinceNow: 60)
        while process.isRunning, Date() < deadline {
            if let text = try? String(contentsOfFile: output, encoding: .utf8), text.contains("\n" + word) { return }
            usleep(2000)
        }
    }

    /// Sends a signal to every rank, as a launcher does.
    func send(_ signal: Int32) {
        guard ranks > 1 else {
            kill(process.processIdentifier, signal)
            return
        }
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let number = Int32(entry), let line = FileManager.default.contents(atPath: "/proc/\(entry)/cmdline")
            else { continue }
            let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            if words.count > 2, words[0].hasSuffix("/tutti"), words[1] == "train",
                words[2] == workshop.path + "/run.yaml"
            {
                kill(number, signal)
            }
        }
    }

    /// Waits for the end.
    func wait() -> Outcome {
        process.waitUntilExit()
        func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
        return Outcome(code: process.terminationStatus, output: text(output), errors: text(errors))
    }
}
