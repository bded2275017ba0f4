// Signals and deaths under `tutti launch`: every end has a code of the contract, and what can be saved is saved.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct LaunchSignalTests {
    private let folder: TemporaryDirectory
    private let workshop: Workshop

    init() throws {
        folder = try TemporaryDirectory()
        workshop = try Workshop(folder.path)
        try workshop.configure(args: "  max_steps: 1000000\n  save_strategy: \"no\"")
    }

    private func launch(holdingSignals: Bool = false) throws -> LaunchedJob {
        try LaunchedJob(
            ["launch", "-np", "2", "--threads", "1", "--bind", "none", "--quiet", "train", workshop.path + "/run.yaml"]
                + ["--gemm", "tutti"], in: folder.path, holdingSignals: holdingSignals)
    }

    /// Waits until the job has trained some steps.
    private func train(_ job: LaunchedJob) throws {
        let isTraining = try job.wait {
            guard workshop.exists("run/metrics.jsonl") else { return false }
            return try workshop.read("run/metrics.jsonl").count > 2000
        }
        #expect(isTraining, "\(job.errors)")
    }

    private var checkpoints: [String] {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: workshop.path + "/run").filter {
                $0.hasPrefix("checkpoint-")
            }
        }
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGUSR2, SIGHUP])
    func theFirstSignalSavesAndStops(_ signal: Int32) throws {
        let job = try launch()
        try train(job)
        job.signal(signal)
        #expect(job.code() == 85, "\(job.errors)")
        #expect(job.output.contains("Stopped by a signal after step"))
        let saved = try checkpoints
        #expect(saved.count == 1 && saved.allSatisfy { !$0.hasSuffix(".tmp") })
        guard signal == SIGTERM else { return }
        let next = try launch()
        #expect(next.wait { next.output.contains("Resuming after step") })
        next.signal(SIGTERM)
        #expect(next.code() == 85, "\(next.errors)")
    }

    @Test func savingOnDemandGoesOn() throws {
        let job = try launch()
        try train(job)
        job.signal(SIGUSR1)
        #expect(try job.wait { try !checkpoints.isEmpty })
        job.signal(SIGUSR2)
        #expect(job.code() == 85)
    }

    /// A rank that does not answer any more cannot save: the second signal kills all the same.
    @Test(arguments: [(SIGTERM, 143), (SIGINT, 130), (SIGUSR2, 140)] as [(Int32, Int32)])
    func theSecondSignalKills(_ signal: Int32, _ code: Int32) throws {
        let job = try launch()
        try train(job)
        kill(try #require(try job.descendants(named: "tutti").last), SIGSTOP)
        job.signal(signal)
        Thread.sleep(forTimeInterval: 0.5)
        job.signal(signal)
        #expect(job.code(within: 15) == code)
        #expect(job.errors.contains("a second signal kills"))
        // mpirun wakes a stopped rank before it ends it, and a tiny model is saved by then: whole, or under another name.
        for name in try checkpoints where !name.hasSuffix(".tmp") {
            #expect(FileManager.default.fileExists(atPath: "\(workshop.path)/run/\(name)/tutti_state.json"))
        }
    }

    /// From the first instruction on, before which launch/tutti-run holds the signals: 85, whether or not there was
    /// anything to save.
    @Test(arguments: [0.1, 0.15, 0.2, 0.3, 0.4, 0.6])
    func signalsBeforeTheFirstStepAre85(_ delay: Double) throws {
        let job = try launch(holdingSignals: true)
        Thread.sleep(forTimeInterval: delay)
        job.signal(delay < 0.25 ? SIGUSR1 : SIGHUP)
        job.signal(SIGUSR2)
        #expect(job.code() == 85, "\(job.errors)")
    }

    @Test(arguments: [(SIGKILL, "SIGKILL"), (SIGSEGV, "SIGSEGV"), (SIGTRAP, "SIGTRAP"), (SIGBUS, "SIGBUS")])
    func aDeadRankIs75AndNamed(_ signal: Int32, _ name: String) throws {
        let job = try launch()
        try train(job)
        kill(try #require(try job.descendants(named: "tutti").last), signal)
        #expect(job.code(within: 20) == 75)
        let lines = job.errors.split(separator: "\n").filter { $0.hasPrefix("tutti launch: ") }
        #expect(lines.count == 1)
        let line = String(try #require(lines.first))
        #expect(line.contains("rank 0 on ") || line.contains("rank 1 on "))
        #expect(line.contains("was killed by \(name)"), "\(line)")
        #expect(!job.errors.contains("----------"), "mpirun's own report")
    }

    /// Nobody would end a job whose launcher SIGKILL has ended.
    @Test func aKilledLauncherTakesTheJobAlong() throws {
        let job = try launch()
        try train(job)
        job.signal(SIGKILL)
        #expect(job.code() == 137)
        try expectNothingRuns()
        try FileManager.default.removeItem(atPath: workshop.path + "/run/metrics.jsonl")  // of the job before
        let next = try launch()
        try train(next)
        next.signal(SIGTERM)
        #expect(next.code() == 85, "\(next.errors)")
    }

    /// A stopped mpirun does not hear of it: the guard wakes it.
    @Test func aKilledLauncherTakesAStoppedMpirunAlong() throws {
        let job = try launch()
        try train(job)
        let mpirun = try job.descendants(named: "mpirun") + job.descendants(named: "mpirun.openmpi")
        kill(try #require(mpirun.first), SIGSTOP)
        job.signal(SIGKILL)
        #expect(job.code() == 137)
        try expectNothingRuns()
    }

    /// Whatever instant SIGKILL hits, also that in which mpirun starts: a rank that loses mpirun ends by itself.
    @Test(arguments: [0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.7])
    func aLauncherKilledEarlyLeavesNoRank(_ delay: Double) throws {
        let job = try launch()
        Thread.sleep(forTimeInterval: delay)
        job.signal(SIGKILL)
        #expect(job.code() == 137)
        try expectNothingRuns()
    }

    /// No process that names this test's folder is left after a while.
    private func expectNothingRuns() throws {
        let end = Date() + 15
        while try LaunchedJob.runs(folder.path), Date() < end { Thread.sleep(forTimeInterval: 0.05) }
        #expect(try !LaunchedJob.runs(folder.path))
    }

    /// 4 MB of shared memory a rank and a session folder stay behind, and the next start clears them.
    @Test func whatAKilledMpirunLeavesIsCleared() throws {
        let temporary = folder.path + "/tmp"
        try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        func launch(_ words: [String]) throws -> LaunchedJob {
            try LaunchedJob(
                ["launch", "-np", "2", "--threads", "1", "--bind", "none"] + words, in: folder.path,
                environment: ["TMPDIR": temporary])
        }
        func left() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: temporary).filter { $0.hasPrefix("ompi.") }
        }
        let job = try launch(["train", workshop.path + "/run.yaml", "--gemm", "tutti"])
        try train(job)
        let mpirun = try job.descendants(named: "mpirun") + job.descendants(named: "mpirun.openmpi")
        kill(try #require(mpirun.first), SIGKILL)
        #expect(job.code(within: 20) == 75)
        #expect(job.errors.contains("mpirun was killed by SIGKILL"))
        #expect(try left().count == 1)
        let next = try launch(["--", "true"])
        #expect(next.code() == 0)
        #expect(next.errors.contains("removed leftovers of a killed mpirun"), "\(next.errors)")
        #expect(try left().isEmpty)
        let third = try launch(["--", "true"])
        #expect(third.code() == 0)
        #expect(!third.errors.contains("cleared"))
    }

    /// Programs that are not ours get what is sent: TERM ends them, with the shell's code.
    @Test func otherProgramsEndAsTheyDo() throws {
        func launch(_ script: String) throws -> LaunchedJob {
            try LaunchedJob(
                ["launch", "-np", "2", "--bind", "none", "--quiet", "--", "/bin/sh", "-c", script], in: folder.path)
        }
        let sleeping = try launch("echo up; exec sleep 60")
        #expect(sleeping.wait { sleeping.output.split(separator: "\n").count == 2 })
        sleeping.signal(SIGTERM)
        #expect(sleeping.code(within: 15) == 143)
        let trapping = try launch("trap 'echo heard; exit 85' USR2; echo up; while :; do sleep 0.05; done")
        #expect(trapping.wait { trapping.output.split(separator: "\n").count == 2 })
        trapping.signal(SIGUSR2)
        #expect(trapping.code(within: 15) == 85)
        #expect(try launch("exit 65").code() == 65)
        #expect(try launch("exit 3").code() == 3)
        #expect(try launch("kill -KILL $$").code() == 75)
    }
}
