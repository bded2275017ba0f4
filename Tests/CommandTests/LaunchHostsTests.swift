// `tutti launch` over hosts that do not exist: a remote shell and an mpirun that do as they are told. Real hosts are
// cluster/testbed's.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct LaunchHostsTests {
    private let folder: TemporaryDirectory
    private var host: String { ProcessInfo.processInfo.hostName }

    init() throws { folder = try TemporaryDirectory() }

    private func writeProgram(_ name: String, _ text: String) throws -> String {
        let path = folder.path + "/" + name
        try Data("#!/bin/sh\n\(text)\n".utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return path
    }

    private func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Outcome {
        let job = try LaunchedJob(["launch"] + arguments, in: folder.path, environment: environment)
        return Outcome(code: job.code(within: 60), output: job.output, errors: job.errors)
    }

    /// An mpirun of ours in front of the real one.
    private func mpirun(_ text: String) throws -> [String: String] {
        _ = try writeProgram("mpirun.openmpi", text)
        return ["PATH": folder.path + ":/usr/bin:/bin"]
    }

    private static let ready = #"printf '\033_tutti ready\033\\' >&2"#

    @Test func hostsAreLookedAtBeforeTheyStart() throws {
        let shell = try writeProgram(
            "fake-ssh",
            """
            case $1 in
                gone) echo "ssh: connect to host gone port 22: No route to host" >&2; exit 255 ;;
                bare) echo "sh: 1: tutti: not found" >&2; exit 127 ;;
                twin) shift; exec /bin/sh -c "$*" ;;
            esac
            """)
        func outcome(_ hosts: String, _ more: String...) throws -> Outcome {
            try run(
                ["--host", hosts] + more + ["--", "true"], environment: ["OMPI_MCA_plm_rsh_agent": shell])
        }
        let gone = try outcome("gone:1,bare:2")
        #expect(gone.code == 75 && gone.errors.contains("gone: cannot be reached: ssh: connect to host gone port 22"))
        #expect(gone.errors.contains("bare: cannot run tutti: sh: 1: tutti: not found. Install it"))
        #expect(try outcome("bare:1").code == 66)
        let twin = try outcome("twin:1,localhost:1")
        #expect(
            twin.code == 64 && twin.errors.contains("localhost: it and twin are the same machine"), "\(twin.errors)")
        let doctor = try LaunchedJob(
            ["doctor", "--hosts", "gone:1,localhost:3", "--json"], in: folder.path,
            environment: ["OMPI_MCA_plm_rsh_agent": shell])
        #expect(doctor.code() == 75)
        #expect(doctor.output.contains("\"answers\": false") && doctor.output.contains("\"answers\": true"))
        #expect(doctor.output.contains("\"ranks\": 3") && doctor.errors.contains("gone: cannot be reached"))
    }

    /// Where a batch system cannot start its daemons, mpirun has been seen to return 0.
    @Test func successIsNotMpirunsCode() throws {
        let nothing = try run(["-np", "2", "doctor"], environment: try mpirun("exit 0"))
        #expect(nothing.code == 75 && nothing.errors.contains("mpirun ended with code 0 and started no rank"))
        let half = try run(["-np", "2", "doctor"], environment: try mpirun("\(Self.ready); exit 0"))
        #expect(half.code == 75 && half.errors.contains("before rank zero had ended"))
        let whole = try run(
            ["-np", "2", "doctor"],
            environment: try mpirun(#"printf '\033_tutti ready\033\\\033_tutti end 0\033\\' >&2; exit 0"#))
        #expect(whole.code == 0 && !whole.errors.contains("tutti launch: mpirun"), "\(whole.errors)")
        #expect(!whole.errors.contains("\u{1B}"))
    }

    /// A daemon that somebody has stopped keeps mpirun waiting for ever.
    @Test func mpirunThatDoesNotEndIsEnded() throws {
        let stuck = try mpirun(#"trap '' TERM; printf '\033_tutti ready\033\\\033_tutti end 85\033\\' >&2; sleep 300"#)
        let ended = try run(["-np", "2", "doctor"], environment: stuck)
        #expect(ended.code == 85 && ended.errors.contains("the ranks had ended, and mpirun did not"))
        let deaf = try mpirun("trap '' TERM; trap 'echo heard >&2' USR2; \(Self.ready); while :; do sleep 0.1; done")
        let job = try LaunchedJob(
            ["launch", "-np", "2", "--patience", "1", "doctor"], in: folder.path, environment: deaf)
        #expect(job.wait { FileManager.default.fileExists(atPath: "/proc/\(job.id)") && job.errors.contains("rank") })
        Thread.sleep(forTimeInterval: 1)
        job.signal(SIGTERM)
        #expect(job.code(within: 20) == 75)
        #expect(job.errors.contains("heard") && job.errors.contains("did not stop within 1 s"), "\(job.errors)")
    }

    @Test func failedJobsStartAgain() throws {
        let marker = folder.path + "/tried"
        let second = try run(
            [
                "-np", "1", "--quiet", "--restarts", "3", "--", "/bin/sh", "-c",
                "test -e \(marker) || { touch \(marker); exit 75; }",
            ])
        #expect(second.code == 0)
        #expect(
            second.errors.contains("attempt 1 on 1 rank: code 75")
                && second.errors.contains("attempt 2 on 1 rank: code 0"))
        let never = try run(["-np", "1", "--quiet", "--restarts", "1", "--", "/bin/sh", "-c", "exit 75"])
        #expect(never.code == 75 && never.errors.components(separatedBy: ": code 75").count == 3, "\(never.errors)")
        for code in [64, 70, 85] as [Int32] {
            let once = try run(["-np", "1", "--quiet", "--restarts", "3", "--", "/bin/sh", "-c", "exit \(code)"])
            #expect(once.code == code && once.errors.components(separatedBy: "attempt ").count == 2, "\(once.errors)")
        }
        let job = try LaunchedJob(
            ["launch", "-np", "1", "--quiet", "--restarts", "9", "--", "/bin/sh", "-c", "exit 75"], in: folder.path)
        #expect(job.wait { job.errors.contains("attempt 3 starts in 2 s") })
        job.signal(SIGTERM)
        #expect(job.code(within: 10) == 85 && job.errors.contains("stopped between two attempts"), "\(job.errors)")
    }

    /// Fewer ranks go on with the global batch of the first start, though the configuration names rows a rank.
    @Test func fewerRanksKeepTheGlobalBatch() throws {
        let workshop = try Workshop(folder.path)
        try workshop.write(
            "run.yaml",
            """
            model: \(folder.path)/model
            train_dataset: {path: \(folder.path)/rows.jsonl}
            loss: {name: MultipleNegativesRankingLoss}
            config_overrides: {hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0}
            args: {max_steps: 60, per_device_train_batch_size: 4, logging_steps: 1, save_strategy: "no"}
            """)
        func job(_ ranks: Int, _ name: String, _ more: String...) throws -> LaunchedJob {
            try LaunchedJob(
                ["launch", "-np", "\(ranks)", "--bind", "none", "--threads", "1", "train", folder.path + "/run.yaml"]
                    + ["--set", "output_dir=\(folder.path)/\(name)", "--gemm", "tutti", "--json"] + more,
                in: folder.path)
        }
        func losses(_ text: String) -> [Double] {
            text.split(separator: "\n").compactMap { line in
                line.firstRange(of: "\"loss\":").flatMap {
                    Double(line[$0.upperBound...].drop { $0 == " " }.prefix { $0 != "," && $0 != "}" })
                }
            }
        }
        let whole = try job(2, "whole")
        #expect(whole.code(within: 60) == 0, "\(whole.errors)")
        let first = try job(2, "parts")
        #expect(first.wait { losses(first.output).count >= 5 }, "\(first.errors)")
        first.signal(SIGUSR2)
        #expect(first.code() == 85, "\(first.errors)")
        let rest = try job(1, "parts")
        #expect(rest.code(within: 60) == 0, "\(rest.errors)")
        #expect(
            rest.errors.contains("began on 2 ranks and goes on with 1: global batches stay 8 rows"), "\(rest.errors)")
        let (all, parts) = (losses(whole.output), losses(first.output) + losses(rest.output))
        #expect(all.count >= 60 && all.count == parts.count)
        for (one, other) in zip(all, parts) { #expect(abs(one - other) <= 1e-4 * max(1, abs(one))) }
    }
}
