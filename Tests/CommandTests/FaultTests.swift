// Faults of ranks under `tutti launch`: each is noticed, named with rank and host, and ends with the contract's code.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite(.serialized) struct FaultTests {
    private let folder: TemporaryDirectory
    private let workshop: Workshop

    init() throws {
        folder = try TemporaryDirectory()
        workshop = try Workshop(folder.path)
        try workshop.configure(args: "  max_steps: 1000000\n  save_strategy: \"no\"")
    }

    private func launch(_ settings: [String] = [], ranks: Int = 2, _ environment: [String: String] = [:]) throws
        -> LaunchedJob
    {
        try LaunchedJob(
            ["launch", "-np", "\(ranks)", "--threads", "1", "--bind", "none", "--quiet", "train"]
                + [workshop.path + "/run.yaml", "--gemm", "tutti"] + settings.flatMap { ["--set", $0] },
            in: folder.path, environment: environment)
    }

    /// Waits until the job has trained some steps.
    private func train(_ job: LaunchedJob, lines: Int = 5) throws {
        #expect(job.wait { workshop.linesLogged >= lines }, "\(job.errors)")
    }

    /// The process of a rank.
    private func process(of rank: Int, _ job: LaunchedJob) throws -> pid_t {
        let ranks = try job.descendants(named: "tutti").filter { process in
            let environment = FileManager.default.contents(atPath: "/proc/\(process)/environ") ?? Data()
            return String(decoding: environment, as: UTF8.self).split(separator: "\0")
                .contains("OMPI_COMM_WORLD_RANK=\(rank)")
        }
        return try #require(ranks.first)
    }

    // MARK: A rank that stops

    /// Within 15 seconds by default, whichever rank it is.
    @Test(arguments: [(1, "10"), (0, "3")])
    func aStoppedRankIsNamedAndEndsTheJob(_ rank: Int, _ limit: String) throws {
        let job = try launch([], ["TUTTI_HEARTBEAT": limit])
        try train(job)
        Thread.sleep(forTimeInterval: 2)  // the last beat is at most a second old, and of a step
        let stopped = Date()
        kill(try process(of: rank, job), SIGSTOP)
        #expect(job.code(within: 30) == 75, "\(job.errors)")
        #expect(Date().timeIntervalSince(stopped) < 15)
        let line = try #require(job.errors.split(separator: "\n").first { $0.contains("does not answer since") })
        #expect(line.hasPrefix("rank \(rank) on "), "\(line)")
        #expect(line.contains("step "), "\(line)")
        #expect(try !LaunchedJob.runs(folder.path))
    }

    /// Not noticed without the heartbeat: that it is what notices.
    @Test func withoutHeartbeatAStoppedRankIsWaitedFor() throws {
        let job = try launch([], ["TUTTI_HEARTBEAT": "0"])
        try train(job)
        let stopped = try process(of: 1, job)
        kill(stopped, SIGSTOP)
        #expect(job.code(within: 6) == -1)
        kill(stopped, SIGCONT)
        job.signal(SIGTERM)
        #expect(job.code() == 85, "\(job.errors)")
    }

    /// A rank that is stopped for a while, or all of them for longer than any limit: the run goes on, and to the bit.
    @Test func aShortStopAndALongOneOfAllChangeNothing() throws {
        let settings = ["args.max_steps=3000"]
        let whole = try launch(settings)
        #expect(whole.code(within: 120) == 0, "\(whole.errors)")
        let expected = try workshop.read("run/final/model.safetensors")
        try FileManager.default.removeItem(atPath: workshop.path + "/run")
        let job = try launch(settings, ["TUTTI_HEARTBEAT": "6"])
        try train(job)
        let one = try process(of: 1, job)
        kill(one, SIGSTOP)
        Thread.sleep(forTimeInterval: 3)
        kill(one, SIGCONT)
        let all = try (0...1).map { try process(of: $0, job) }
        for process in all { kill(process, SIGSTOP) }
        Thread.sleep(forTimeInterval: 8)
        for process in all { kill(process, SIGCONT) }
        #expect(job.code(within: 120) == 0, "\(job.errors)")
        #expect(!job.errors.contains("does not answer"), "\(job.errors)")
        #expect(try workshop.read("run/final/model.safetensors") == expected)
    }

    // MARK: Numbers that go wrong

    @Test(arguments: ["private", "shared"])
    func theRankWhoseGradientIsNotFiniteIsNamedWithItsRows(_ memory: String) throws {
        let job = try launch(
            ["args.max_steps=20"], ["TUTTI_FAULT": "rank=1,step=7,kind=nan", "TUTTI_NODE_MEMORY": memory])
        #expect(job.code() == 70, "\(job.errors)")
        let line = try #require(job.errors.split(separator: "\n").first { $0.contains("not finite") })
        #expect(line.contains("rank 1 on ") && line.contains("rows.jsonl"), "\(line)")
        #expect(line.contains("step 7: the gradient is not finite: first in this rank's gradient, rows "), "\(line)")
    }

    /// Three ranks: the majority is right. Two: both are named. The run goes on from its checkpoint, to the same bits.
    @Test(arguments: [3, 2])
    func aFlippedBitIsNamedAndTheRunResumes(_ ranks: Int) throws {
        let settings = ["args.max_steps=20", "args.save_strategy=steps", "args.save_steps=5"]
        let memory = ["TUTTI_NODE_MEMORY": "private"]
        let whole = try launch(settings, ranks: ranks, memory)
        #expect(whole.code() == 0, "\(whole.errors)")
        let expected = try workshop.read("run/final/model.safetensors")
        try FileManager.default.removeItem(atPath: workshop.path + "/run")
        let job = try launch(
            settings, ranks: ranks, memory.merging(["TUTTI_FAULT": "rank=1,step=7,kind=flip"]) { $1 })
        #expect(job.code() == 75, "\(job.errors)")
        let line = try #require(job.errors.split(separator: "\n").first { $0.contains("weights") })
        // Before the checkpoint of step 10, which a drifted model must not become.
        #expect(line.contains("step 10: "), "\(line)")
        #expect(!workshop.exists("run/checkpoint-10") && workshop.exists("run/checkpoint-5"))
        if ranks == 3 {
            #expect(line.contains("rank 1 on ") && line.contains("holds other weights than the 2 others"), "\(line)")
        } else {
            #expect(line.contains("rank 0 on ") && line.contains("rank 1 on "), "\(line)")
            #expect(line.contains("no majority"), "\(line)")
        }
        #expect(line.contains("the first difference is in encoder."), "\(line)")
        let next = try launch(settings, ranks: ranks, memory)
        #expect(next.code() == 0, "\(next.errors)")
        #expect(try workshop.read("run/final/model.safetensors") == expected)
    }

    @Test func copiesAreComparedBetweenCheckpointsToo() throws {
        let fault = ["TUTTI_NODE_MEMORY": "private", "TUTTI_FAULT": "rank=0,step=7,kind=flip"]
        let job = try launch(["args.max_steps=20", "args.replica_check_steps=4"], fault)
        #expect(job.code() == 75 && job.errors.contains("step 8: "), "\(job.errors)")
        // Without the check nothing tells.
        let unchecked = try launch(["args.max_steps=20", "args.replica_check_steps=0"], fault)
        #expect(unchecked.code() == 0, "\(unchecked.errors)")
    }

    // MARK: Balance

    @Test func aLineTellsHowEvenlyTheRanksCompute() throws {
        let job = try launch(["args.max_steps=3"])
        #expect(job.code() == 0, "\(job.errors)")
        let text = String(decoding: try workshop.read("run/metrics.jsonl"), as: UTF8.self)
        let lines = try text.split(separator: "\n").map { try JSONValue.parse(String($0)).object }
        let balances = lines.compactMap { $0?["balance"]?.double }
        #expect(balances.count == 3 && balances.allSatisfy { (0.5...1).contains($0) }, "\(balances)")
    }
}
