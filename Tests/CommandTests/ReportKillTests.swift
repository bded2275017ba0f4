// SIGKILL at random instants of a run with every report: afterwards each of them has every value once, and none is lost.
//
// TUTTI_REPORT_KILLS says how often; six times without it. Half of the kills come after a few more lines than ever, so that
// the run gets on, the others while it takes up what the last one left or between two steps. A few more come while it ends.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized) struct ReportKillTests {
    private static let kills = ProcessInfo.processInfo.environment["TUTTI_REPORT_KILLS"].flatMap(Int.init) ?? 6

    /// A run that saves every third step and evaluates every seventh.
    private func workshop(_ path: String, steps: Int) throws -> Workshop {
        let workshop = try Workshop(path, golden: "bert-adamw")
        try workshop.configure(
            extra: "eval_dataset: {path: \(path)/rows.jsonl}",
            args: """
                  report_to: all
                  run_name: killed
                  max_steps: \(steps)
                  eval_strategy: steps
                  eval_steps: 7
                  save_steps: 3
                  save_total_limit: 2
                """)
        return workshop
    }

    /// Trains once without a disturbance, and once with kills; every report of the second run has the values of the first
    /// one's. `mlflow` gives what a server has of the run "killed" in an environment.
    private func compare(
        _ environment: (String) -> [String: String], mlflow: (String) throws -> [String],
        _ check: (Workshop) throws -> Void = { _ in }
    ) throws {
        let (wholeFolder, killedFolder) = (try TemporaryDirectory(), try TemporaryDirectory())
        let steps = 3 * Self.kills + 20
        let whole = try workshop(wholeFolder.path, steps: steps)
        let killed = try workshop(killedFolder.path, steps: steps)
        let started = Date()
        let undisturbed = try TuttiProcess.run(
            ["train", whole.path + "/run.yaml", "--gemm", "tutti"], environment: environment("whole"))
        try #require(undisturbed.code == 0, "\(undisturbed.errors)")
        let step = Date().timeIntervalSince(started) / Double(steps)
        let counts = try kill(killed, environment("killed"), lines: whole.linesLogged, step: step)
        print(
            "\(counts.all) kills, \(counts.early) before the first new line; \(counts.late) more after the last line; "
                + "\(steps) steps")
        #expect(try timeless(log(killed)) == timeless(log(whole)))
        #expect(try names(log(killed)) == names(log(whole)))
        for read in [table, events, wandb] {
            let (found, wanted) = (try read(killed), try read(whole))
            #expect(wanted.count > steps * 10)
            #expect(names(found) == names(wanted))
            #expect(timeless(found) == timeless(wanted))
        }
        // A server gets a line when it is covered: in no order that the other run's must have.
        let (sent, wanted) = (try mlflow("killed"), try mlflow("whole"))
        #expect(try names(sent).sorted() == names(log(whole)).sorted())
        #expect(names(wanted).sorted() == names(sent).sorted())
        #expect(timeless(sent).sorted() == timeless(wanted).sorted())
        #expect(try WandbFiles.numbers(killed.path + "/run/wandb").isWhole)
        for name in try FileManager.default.contentsOfDirectory(atPath: whole.path + "/run/diagnosis")
        where name != "sample.json" {  // which names the data's path
            #expect(try killed.read("run/diagnosis/" + name) == whole.read("run/diagnosis/" + name), "\(name)")
        }
        // The page is that of the finished run.
        let page = killed.path + "/page.html"
        #expect(try TuttiProcess.run("report", killed.path + "/run", "--output", page).code == 0)
        #expect(try killed.read("page.html") == killed.read("run/report.html"))
        #expect(try killed.read("run/final/model.safetensors") == whole.read("run/final/model.safetensors"))
        try check(killed)
    }

    /// Kills the run until it has been often enough, then lets it end.
    private func kill(
        _ workshop: Workshop, _ environment: [String: String], lines: Int, step: Double
    ) throws -> (all: Int, early: Int, late: Int) {
        var counts = (all: 0, early: 0, late: 0)
        let command = ["train", workshop.path + "/run.yaml"]
        var most = 0
        while counts.all < Self.kills {
            let products = workshop.exists("run/tutti_run.json") ? [] : ["--gemm", "tutti"]
            let process = try TuttiProcess.start(
                command + products, output: Self.nowhere, errors: Self.nowhere, environment: environment)
            let before = workshop.linesLogged
            // One time in four by the clock alone; else after new lines, or after the last one.
            let latest = counts.all % 4 == 3 ? Date(timeIntervalSinceNow: .random(in: 0..<1)) : .distantFuture
            let line = min(most + .random(in: 1...4), lines)
            while process.isRunning, workshop.linesLogged < line, Date() < latest { usleep(300) }
            Thread.sleep(forTimeInterval: .random(in: 0..<step))
            guard process.isRunning else { break }
            Foundation.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            counts.all += 1
            most = max(most, workshop.linesLogged)
            if workshop.linesLogged <= before { counts.early += 1 }
        }
        #expect(counts.all >= Self.kills * 3 / 4, "\(counts.all) kills prove too little")
        // And while it ends: after the closing line reports are finished, and the run is marked so.
        for _ in 0...Self.kills / 10 {
            let process = try TuttiProcess.start(
                command, output: Self.nowhere, errors: Self.nowhere, environment: environment)
            while process.isRunning, workshop.linesLogged == lines { usleep(200) }  // of the one that was killed
            while process.isRunning, workshop.linesLogged < lines { usleep(200) }
            usleep(.random(in: 0..<30_000))
            guard process.isRunning else { break }
            Foundation.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            counts.late += 1
        }
        let last = try TuttiProcess.run(command, environment: environment)
        #expect(last.code == 0, "\(last.errors)")
        return counts
    }

    /// Takes what nobody reads.
    private static var nowhere: Pipe {
        let pipe = Pipe()
        pipe.fileHandleForReading.readabilityHandler = { handle in
            if handle.availableData.isEmpty { handle.readabilityHandler = nil }
        }
        return pipe
    }

    // MARK: What reports say, as "step key value"

    private func log(_ workshop: Workshop) throws -> [String] {
        try MLflowStandIn.numbers(inMetrics: workshop.path + "/run/metrics.jsonl")
    }

    private func table(_ workshop: Workshop) throws -> [String] {
        let rows = String(decoding: try workshop.read("run/metrics.csv"), as: UTF8.self).split(separator: "\n").map {
            $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        }
        let header = try #require(rows.first)
        return rows.dropFirst().flatMap { row in
            zip(header, row).filter { !$0.1.isEmpty }.map { "\(row[0]) \($0.0) \($0.1)" }
        }
    }

    private func events(_ workshop: Workshop) throws -> [String] {
        try EventFiles.numbers(workshop.path + "/run/runs")
    }

    private func wandb(_ workshop: Workshop) throws -> [String] {
        try WandbFiles.numbers(workshop.path + "/run/wandb").numbers
    }

    /// Steps and keys.
    private func names(_ values: [String]) -> [String] {
        values.map { value in value.split(separator: " ").dropLast().joined(separator: " ") }
    }

    /// The values that do not depend on the clock or the machine.
    private func timeless(_ values: [String]) -> [String] {
        values.filter { value in
            !["second", "runtime", "timestamp", "balance", "share_of_peak", "memory"].contains { value.contains($0) }
        }
    }

    // MARK: Servers and readers

    @Test func everyReportHasEveryValueOnce() throws {
        let servers = ["whole": try MLflowStandIn(), "killed": try MLflowStandIn()]
        try compare({ servers[$0]?.environment ?? [:] }, mlflow: { try servers[$0]?.metrics() ?? [] })
        let state = try #require(try servers["killed"]?.state())
        #expect(state["runs"]?.object?.count == 1 && state["artifacts"]?.object?.count == 3)
        #expect(state["runs"]?.object?.values.first?["info"]?["status"] == .string("FINISHED"))
    }

    /// The same with a server of MLflow itself; TensorBoard and wandb themselves find the same numbers as these tests.
    @Test(.enabled(if: RealMLflow.isThere && Reference.isThere, "launch/test --real has MLflow, TensorBoard and wandb"))
    func realServersAndReadersFindEveryValueOnce() throws {
        let folder = try TemporaryDirectory()
        let server = try RealMLflow(in: folder.path)
        func mlflow(_ name: String) throws -> [String] {
            let runs = try server.runs(of: name)
            #expect(runs.count == 1 && runs.first?["info"]?["status"] == .string("FINISHED"))
            return try server.numbers(of: try #require(runs.first))
        }
        try compare(
            { ["MLFLOW_TRACKING_URI": server.address, "MLFLOW_EXPERIMENT_NAME": $0] }, mlflow: mlflow
        ) { killed in
            let peer = ProcessInfo.processInfo.environment["TUTTI_PEER"] ?? ""
            let events = try read("tensorboard", killed.path + "/run/runs", by: peer + "/bin/python")
            // Python prints the fraction of a Float to more digits.
            func rounded(_ value: String) -> String {
                let parts = value.split(separator: " ")
                return parts.dropLast().joined(separator: " ") + " \(Float(parts.last ?? "") ?? 0)"
            }
            #expect(try events.map(rounded).sorted() == self.events(killed).map(rounded).sorted())
            guard let python = ProcessInfo.processInfo.environment["TUTTI_WANDB"] else { return }
            let path = try #require(WandbFiles.paths(killed.path + "/run/wandb").first)
            let lines = try read("wandb", path, by: python)
            func exact(_ value: String) -> String {
                let parts = value.split(separator: " ")
                return parts.dropLast().joined(separator: " ") + " \(Double(parts.last ?? "") ?? 0)"
            }
            #expect(try lines.map(exact).sorted() == wandb(killed).map(exact).sorted())
        }
    }

    /// What read_reports.py prints.
    private func read(_ kind: String, _ path: String, by python: String) throws -> [String] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [TuttiProcess.root + "/Tests/Golden/read_reports.py", kind, path]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
