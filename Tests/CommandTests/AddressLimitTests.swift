// Under a limit of the address space (`ulimit -v`), as batch systems set for the memory of a job: the command waits for
// nothing that it will not get, and a batch is found that the limit holds.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized) struct AddressLimitTests {
    /// What the command says within so many KiB; it must end within two minutes.
    private func run(_ kibibytes: Int, _ arguments: [String]) throws -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        process.arguments =
            [
                "-c", "ulimit -v \(kibibytes); exec timeout --signal=KILL 120 \"$@\"", "limited",
                try TuttiProcess.executable,
            ] + arguments
        let (output, errors) = (Pipe(), Pipe())
        (process.standardOutput, process.standardError) = (output, errors)
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        try process.run()
        return TuttiProcess.outcome(of: process, output, errors)
    }

    @Test func openBLASIsLeftOut() throws {
        let facts = try run(4_000_000, ["doctor", "--json", "--threads", "1"])
        let providers = try JSONValue.parse(facts.output)["gemm_providers"]?.array?.compactMap(\.string)
        #expect(facts.code == 0 && providers?.contains("tutti") == true && providers?.contains("openblas") == false)
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let refused = try run(4_000_000, ["train", workshop.path + "/run.yaml", "--gemm", "openblas"])
        #expect(refused.code == 64)
        #expect(try refused.errorLine.contains("--gemm openblas"))
    }

    @Test func aBatchIsFoundThatTheLimitHolds() throws {
        let folder = try TemporaryDirectory()
        let workshop = try Workshop(folder.path)
        let rows = String(decoding: try workshop.read("rows.jsonl"), as: UTF8.self)
        try workshop.write("many.jsonl", String(repeating: rows, count: 20_000 / rows.count { $0 == "\n" }))
        func train(_ kibibytes: Int, rows: Int, finds: Bool = false) throws -> Outcome {
            try workshop.write(
                "run.yaml",
                """
                model: \(workshop.path)/model
                output_dir: \(workshop.path)/run
                train_dataset: {path: \(workshop.path)/many.jsonl}
                loss: {name: MultipleNegativesRankingLoss}
                args: {per_device_train_batch_size: \(rows), auto_find_batch_size: \(finds), max_steps: 1}
                """)
            return try run(
                kibibytes,
                ["train", workshop.path + "/run.yaml", "--overwrite", "--threads", "1", "--gemm", "tutti"])
        }
        // What a process needs by itself differs by machine.
        var limit = 200_000
        while try train(limit, rows: 8).code != 0 {
            limit += 100_000
            try #require(limit < 4_000_000)
        }
        limit += 300_000
        let refused = try train(limit, rows: 20_000)
        #expect(refused.code == 75, "the limit refuses nothing")
        #expect(refused.errors.contains("tutti: error: memory: the system refused"))
        #expect(try train(limit, rows: 20_000, finds: true).code == 0)
        let kept = try JSONValue.parse(file: workshop.path + "/run/tutti_run.json")
        let found = try #require(kept["auto_find_batch_size"]?["found"]?.int)
        #expect(found > 8 && found < 20_000)
    }
}
