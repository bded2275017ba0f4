// Runs the built `tutti` as a user does.

import Foundation
import Testing
import TuttiFormats

/// The command's outcome.
struct Outcome {
    var code: Int32
    var output: String
    var errors: String

    /// What was said on standard error, which must be one line; notes about the machine may stand before it.
    var errorLine: String {
        get throws {
            let lines = errors.split(separator: "\n").filter { !$0.hasPrefix("tutti: note:") }
            #expect(lines.count == 1, "\(errors)")
            return String(try #require(lines.first))
        }
    }
}

/// The built command.
enum TuttiProcess {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// The program beside the running tests: they share a build folder.
    static var executable: String {
        get throws {
            let candidates = [
                ProcessInfo.processInfo.environment["TUTTI_BINARY"],
                Bundle.main.bundleURL.deletingLastPathComponent().path + "/tutti",
                Bundle.main.bundleURL.path + "/tutti", root + "/.build/release/tutti",
            ].compactMap { $0 }
            return try #require(candidates.first { FileManager.default.isExecutableFile(atPath: $0) })
        }
    }

    /// What the command prints when `ranks` ranks run it under the launcher; it must end well.
    static func outputOfRanks(_ ranks: Int, _ arguments: [String]) throws -> String {
        let run = Process()
        run.executableURL = URL(fileURLWithPath: root + "/launch/tutti-run")
        run.arguments =
            ["-np", "\(ranks)", "--threads", "1", "--bind", "none", "--quiet", "--", try executable] + arguments
        let output = Pipe()
        run.standardOutput = output
        run.standardError = FileHandle.nullDevice
        try run.run()
        let said = output.fileHandleForReading.readDataToEndOfFile()
        run.waitUntilExit()
        #expect(run.terminationStatus == 0)
        return String(decoding: said, as: UTF8.self)
    }

    /// Starts the command without waiting.
    static func start(
        _ arguments: [String], output: Pipe = Pipe(), errors: Pipe = Pipe(), environment more: [String: String] = [:],
        in folder: String? = nil
    ) throws -> Process {
        let process = Process()
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        process.executableURL = URL(fileURLWithPath: try executable)
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = FileHandle.nullDevice
        var environment = ProcessInfo.processInfo.environment
        for name in environment.keys where name.hasPrefix("OMPI_") || name.hasPrefix("PMI") || name.hasPrefix("SLURM") {
            environment[name] = nil
        }
        environment["TUTTI_TERMINAL"] = nil
        environment["HF_HUB_OFFLINE"] = "1"  // no test asks the hub itself
        process.environment = environment.merging(more) { $1 }
        try process.run()
        return process
    }

    /// Runs the command to its end.
    static func run(_ arguments: String...) throws -> Outcome { try run(arguments) }

    static func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Outcome {
        let (output, errors) = (Pipe(), Pipe())
        let process = try start(arguments, output: output, errors: errors, environment: environment)
        return outcome(of: process, output, errors)
    }

    /// What a process that has started has printed when it ends.
    static func outcome(of process: Process, _ output: Pipe, _ errors: Pipe) -> Outcome {
        // Small outputs only: both fit into the pipes.
        let said = output.fileHandleForReading.readDataToEndOfFile()
        let complained = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        // What the command says of a processor newer than OpenBLAS is no part of what a test looks at.
        let errors = String(decoding: complained, as: UTF8.self)
            .replacing(/tutti: note: OpenBLAS does not know this processor[^\n]*\n/, with: "")
        return Outcome(code: process.terminationStatus, output: String(decoding: said, as: UTF8.self), errors: errors)
    }
}

/// A folder with a copy of a tiny model, a data file and a configuration, to be spoilt.
struct Workshop {
    let path: String

    init(_ path: String, golden: String = "bert-sgd") throws {
        self.path = path
        let source = TuttiProcess.root + "/Tests/Golden/training/" + golden
        try FileManager.default.copyItem(atPath: source + "/model", toPath: path + "/model")
        try FileManager.default.copyItem(atPath: source + "/rows.jsonl", toPath: path + "/rows.jsonl")
        try configure()
    }

    /// Writes run.yaml; `extra` are more lines at the top level, `args` more training arguments.
    func configure(data: String = "rows.jsonl", extra: String = "", args: String = "") throws {
        try write(
            "run.yaml",
            """
            model: \(path)/model
            output_dir: \(path)/run
            train_dataset: {path: \(path)/\(data)}
            loss: {name: MultipleNegativesRankingLoss}
            \(extra)
            args:
              num_train_epochs: 1
              global_train_batch_size: 8
              logging_steps: 1
            \(args)
            """)
    }

    func write(_ name: String, _ text: String) throws { try write(name, Data(text.utf8)) }

    func write(_ name: String, _ data: Data) throws {
        try data.write(to: URL(fileURLWithPath: path + "/" + name))
    }

    func read(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path + "/" + name)) }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path + "/" + name) }

    /// Whole lines of the run's metrics.jsonl: how far it has come, however fast the machine is.
    var linesLogged: Int {
        let log = FileManager.default.contents(atPath: path + "/run/metrics.jsonl") ?? Data()
        return log.count { $0 == UInt8(ascii: "\n") }
    }

    func train(_ more: String...) throws -> Outcome {
        try TuttiProcess.run(["train", path + "/run.yaml"] + more)
    }
}
