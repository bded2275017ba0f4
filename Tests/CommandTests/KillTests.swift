// SIGKILL at random instants, in the middle of saves too: the run that is started again ends with the same bits.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized) struct KillTests {
    @Test func killedAtRandomInstantsEndsWithTheSameBits() throws {
        let (wholeFolder, killedFolder) = (try TemporaryDirectory(), try TemporaryDirectory())
        let settings = """
              save_steps: 1
              save_total_limit: 2
              max_steps: 80
              eval_strategy: steps
              eval_steps: 20
              batch_sampler: no_duplicates
              report_to: [csv, tensorboard, html, diagnosis]
            """
        let overrides = "config_overrides: {hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1}"
        func workshop(_ path: String) throws -> Workshop {
            let workshop = try Workshop(path, golden: "bert-adamw")
            try workshop.configure(
                extra: overrides + "\neval_dataset: {path: \(path)/rows.jsonl}", args: settings)
            return workshop
        }
        let (whole, killed) = (try workshop(wholeFolder.path), try workshop(killedFolder.path))
        let started = Date()
        #expect(try whole.train("--gemm", "tutti").code == 0)
        let step = Date().timeIntervalSince(started) / 80
        var generator = SystemRandomNumberGenerator()
        func atRandom(_ steps: Double) -> Double { step * .random(in: 0..<steps, using: &generator) }
        var kills = 0
        while true {
            // Once the run exists it goes on with the products that it began with, whatever is fastest now.
            let products = killed.exists("run/tutti_run.json") ? [] : ["--gemm", "tutti"]
            let process = try TuttiProcess.start(["train", killed.path + "/run.yaml"] + products)
            // A few lines further than ever, however fast the machine is, or one time in four while it takes up what the
            // last kill left; then anywhere in a step and its save.
            let line = killed.linesLogged + Int.random(in: 1...8, using: &generator)
            let latest = kills % 4 == 1 ? Date(timeIntervalSinceNow: atRandom(16)) : .distantFuture
            while process.isRunning, killed.linesLogged < line, Date() < latest { usleep(500) }
            Thread.sleep(forTimeInterval: atRandom(1))
            guard process.isRunning else { break }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            kills += 1
        }
        #expect(kills >= 5, "\(kills) kills prove too little")
        let last = try killed.train()
        #expect(last.code == 0, "\(last.errors)")
        #expect(try killed.read("run/final/model.safetensors") == whole.read("run/final/model.safetensors"))
        #expect(try timeless(killed) == timeless(whole))
        #expect(try timelessTable(killed) == timelessTable(whole))
        #expect(try timelessEvents(killed) == timelessEvents(whole))
        #expect(killed.exists("run/report.html"))
        func diagnosed(_ workshop: Workshop) throws -> [String] {
            let names = try FileManager.default.contentsOfDirectory(atPath: workshop.path + "/run/diagnosis")
            return names.filter { $0 != "sample.json" }.sorted()  // which names the data's path
        }
        let diagnoses = try diagnosed(killed)
        #expect(try diagnoses == diagnosed(whole) && diagnoses.contains("final.json") && diagnoses.count == 6)
        for name in diagnoses {
            #expect(try killed.read("run/diagnosis/" + name) == whole.read("run/diagnosis/" + name), "\(name)")
        }
    }

    private func dependsOnTheClock(_ key: String) -> Bool {
        key.contains("second") || key.contains("runtime") || key.hasSuffix("balance") || key.contains("share_of_peak")
            || key.contains("memory")
    }

    /// The rows of metrics.csv without what depends on the clock.
    private func timelessTable(_ workshop: Workshop) throws -> [[String]] {
        let rows = String(decoding: try workshop.read("run/metrics.csv"), as: UTF8.self).split(separator: "\n").map {
            $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        let header = try #require(rows.first)
        return rows.map { row in zip(header, row).filter { !dependsOnTheClock($0.0) }.map(\.1) }
    }

    /// The numbers in TensorBoard's files without what depends on the clock.
    private func timelessEvents(_ workshop: Workshop) throws -> [String] {
        try EventFiles.numbers(workshop.path + "/run/runs").filter { !dependsOnTheClock($0) }
    }

    /// The lines of metrics.jsonl without what depends on the clock.
    private func timeless(_ workshop: Workshop) throws -> [String] {
        let text = String(decoding: try workshop.read("run/metrics.jsonl"), as: UTF8.self)
        return try text.split(separator: "\n").map { line in
            var object = try #require(try JSONValue.parse(String(line)).object)
            for key in object.keys where dependsOnTheClock(key) { object.remove(key) }
            return JSONValue.object(object).serialized()
        }
    }
}
