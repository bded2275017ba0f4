// Snapshots of --help: what users read changes only on purpose. RECORD_SNAPSHOTS=1 writes them anew.

import Foundation
import Testing

@Suite struct HelpTests {
    @Test(
        arguments: [
            "", "train", "launch", "evaluate", "encode", "tokenize", "mine-negatives", "args", "losses", "evaluators",
            "inspect", "export", "download", "push", "new-model", "new-static", "init", "explain", "split", "compare",
            "search", "sweep",
            "doctor", "bench", "bench kernels", "bench step", "bench tokenizer", "bench collectives",
            "bench scale",
        ])
    func helpIsAsRecorded(_ subcommand: String) throws {
        let outcome = try TuttiProcess.run(subcommand.split(separator: " ").map(String.init) + ["--help"])
        #expect(outcome.code == 0)
        let name = subcommand.isEmpty ? "tutti" : subcommand.replacing(" ", with: "-")
        let path = TuttiProcess.root + "/Tests/Golden/help/\(name).txt"
        if ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] != nil {
            try Data(outcome.output.utf8).write(to: URL(fileURLWithPath: path))
        }
        let recorded = try String(contentsOfFile: path, encoding: .utf8)
        #expect(outcome.output == recorded, "\(name): run with RECORD_SNAPSHOTS=1 if the change is meant")
    }

    /// The reference page is the one that the command makes.
    @Test func referenceIsAsRecorded() throws {
        let outcome = try TuttiProcess.run("args", "--markdown")
        #expect(outcome.code == 0)
        let path = TuttiProcess.root + "/docs/configuration.md"
        if ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] != nil {
            try FileManager.default.createDirectory(
                atPath: TuttiProcess.root + "/docs", withIntermediateDirectories: true)
            try Data(outcome.output.utf8).write(to: URL(fileURLWithPath: path))
        }
        let recorded = try String(contentsOfFile: path, encoding: .utf8)
        #expect(outcome.output == recorded, "docs/configuration.md: tutti args --markdown makes it")
    }
}
