// `tutti launch` and launch/tutti-run on made-up machines, and ranks whose command line is wrong.

import Foundation
import TestSupport
import Testing

@Suite struct LaunchCommandTests {
    private let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    private func run(
        _ arguments: [String], program: String? = nil, environment: [String: String] = [:]
    ) throws -> Outcome {
        let job = try LaunchedJob(arguments, in: folder.path, program: program, environment: environment)
        let code = job.code()
        return Outcome(code: code, output: job.output, errors: job.errors)
    }

    private var script: String { TuttiProcess.root + "/launch/tutti-run" }
    private var handingOver: [String: String] { get throws { ["TUTTI": try TuttiProcess.executable] } }

    private func write(_ name: String, _ text: String) throws {
        let path = folder.path + "/" + name
        try FileManager.default.createDirectory(
            atPath: URL(fileURLWithPath: path).deletingLastPathComponent().path, withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    @Test func theScriptHandsOverToThePlan() throws {
        try write("proc/self/status", "Cpus_allowed_list:\t0-7\n")
        try write("proc/self/cgroup", "0::/\n")
        try write("proc/meminfo", "MemAvailable: 64000000 kB\n")
        try write("sys/devices/system/cpu/online", "0-7\n")
        try write("sys/fs/cgroup/cpu.max", "350000 100000\n")
        let machine = ["TUTTI_MACHINE_ROOT": folder.path]
        let plan = try run(
            ["--dry-run", "-x", "A=b c", "--", "true"], program: script,
            environment: try handingOver.merging(machine) { $1 })
        #expect(plan.code == 0)
        #expect(plan.errors.contains("3 ranks on ") && plan.errors.contains("1 thread per rank, not bound"))
        #expect(plan.errors.contains("8 physical cores in the affinity mask (8 CPUs of 8), CPU quota 3.50, 62500 MB"))
        #expect(plan.output.contains(" -np 3 ") && plan.output.hasSuffix("-x 'A=b c' true\n"))
        let direct = try run(["launch", "--dry-run", "-x", "A=b c", "--", "true"], environment: machine)
        #expect(direct.output == plan.output && direct.errors == plan.errors)
    }

    @Test func theScriptSaysWhatIsMissing() throws {
        let nowhere = try run(["train", "x"], program: script, environment: ["TUTTI": "/nowhere/tutti"])
        #expect(nowhere.code == 66)
        #expect(try nowhere.errorLine.contains("/nowhere/tutti"))
        #expect(try run(["--", "/nowhere/program"], program: script, environment: handingOver).code == 66)
        #expect(try run(["launch", "--hostfile", "/nowhere/hosts", "--", "true"]).code == 66)
    }

    /// A folder for PATH that holds the given programs of the system and nothing else.
    private func tools(_ names: [String]) throws -> String {
        let folder = folder.path + "/tools"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in names {
            let path = ["/usr/bin/", "/bin/"].map { $0 + name }.first { FileManager.default.fileExists(atPath: $0) }
            try FileManager.default.createSymbolicLink(
                atPath: folder + "/" + name, withDestinationPath: try #require(path))
        }
        return folder
    }

    private func writeProgram(_ name: String, _ text: String) throws {
        try write(name, "#!/bin/sh\n" + text)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.path + "/" + name)
    }

    private func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: folder.path + "/" + name) }

    /// A checkout in which nothing is built, and a compiler that does as it is told.
    private func checkout(swift: String) throws -> (script: String, environment: [String: String]) {
        let tools = try tools(["bash", "env", "dirname", "true"])
        let copy = folder.path + "/checkout/launch/tutti-run"
        try FileManager.default.createDirectory(
            atPath: folder.path + "/checkout/launch", withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: script, toPath: copy)
        try writeProgram("tools/swift", swift)
        return (copy, ["PATH": tools, "TUTTI": ""])
    }

    @Test func theScriptBuildsWhatIsMissing() throws {
        let built = folder.path + "/checkout/.build/release"
        let (script, environment) = try checkout(
            swift:
                "echo built >>\(folder.path)/calls; /bin/mkdir -p \(built); /bin/cp \(folder.path)/ready \(built)/tutti\n"
        )
        try writeProgram("ready", "echo \"$@\"\n")
        let first = try run(["-np", "2", "doctor"], program: script, environment: environment)
        #expect(first.code == 0 && first.output == "launch -np 2 doctor\n")
        #expect(try first.errorLine.contains("building it"))
        let second = try run(["--", "true"], program: script, environment: environment)
        #expect(second.code == 0 && second.output == "launch -- true\n" && second.errors.isEmpty)
        #expect(try String(contentsOfFile: folder.path + "/calls", encoding: .utf8) == "built\n", "once")
    }

    @Test func theScriptStopsBeforeAnythingRuns() throws {
        let (script, environment) = try checkout(swift: "echo up >\(folder.path)/up; exec /bin/sleep 60\n")
        let job = try LaunchedJob(["doctor"], in: folder.path, program: script, environment: environment)
        #expect(job.wait { exists("up") })
        job.signal(SIGUSR1)
        job.signal(SIGTERM)
        #expect(job.code(within: 10) == 85, "\(job.errors)")
    }

    @Test func theScriptSaysThatABuildFailed() throws {
        let (script, environment) = try checkout(swift: "echo 'error: no such thing' >&2; exit 1\n")
        let outcome = try run(["doctor"], program: script, environment: environment)
        #expect(outcome.code == 66)
        #expect(outcome.errors.contains("error: no such thing") && outcome.errors.contains("the build failed"))
    }

    /// Nothing but mpirun is asked before a run: with python3 out of reach the answer is the same.
    @Test func noPythonIsAsked() throws {
        let tools = try tools(["bash", "env", "dirname", "true", "mpirun"])
        func answer(_ environment: [String: String]) throws -> Substring {
            let outcome = try run(
                ["--dry-run", "--", "true"], program: script, environment: try handingOver.merging(environment) { $1 })
            #expect(outcome.code == 0, "\(outcome.errors)")
            return try #require(outcome.errors.split(separator: "\n").first { $0.contains("single-copy") }).suffix(30)
        }
        #expect(try answer(["PATH": tools]) == answer([:]))
    }

    @Test func mistakesAreToldBeforeAnyRankStarts() throws {
        for words in [["launch"], ["launch", "-np", "0", "train", "x"], ["launch", "--nosuch", "train", "x"]] {
            let outcome = try run(words)
            #expect(outcome.code == 64)
            _ = try outcome.errorLine
        }
        // A mpirun that leaves a trace if it is called.
        try writeProgram("bin/mpirun.openmpi", "touch \(folder.path)/called\n")
        let path = ["PATH": folder.path + "/bin:" + (ProcessInfo.processInfo.environment["PATH"] ?? "")]
        let wrong = try run(["launch", "-np", "2", "train", "x", "--nosuch"], environment: path)
        #expect(wrong.code == 64 && wrong.errors.contains("--nosuch"))
        let help = try run(["launch", "-np", "2", "train", "--help"], environment: path)
        #expect(help.code == 0 && help.output.hasPrefix("OVERVIEW"))
        let losses = try run(["launch", "-np", "2", "losses", "--json"], environment: path)
        #expect(try losses.output == TuttiProcess.run("losses", "--json").output, "it needs no ranks")
        #expect(!exists("called"))
        let empty = try run(["launch", "-np", "2", "--quiet", "doctor"], environment: path)
        #expect(empty.code == 75, "mpirun returned 0 and started no rank")
        #expect(exists("called"))
    }

    private func mpirun(_ arguments: [String]) throws -> Outcome {
        let root = geteuid() == 0 ? ["--allow-run-as-root"] : []
        let one = ["--oversubscribe", "--bind-to", "none", "--mca", "plm", "isolated", "--mca", "btl", "self,vader"]
        return try run(
            root + one + ["-np", "3", try TuttiProcess.executable] + arguments, program: "mpirun")
    }

    /// Every rank finds the same mistake; whichever is first, rank zero says it, and says it once.
    @Test func ranksUnderMpirunSayAMistakeOnce() throws {
        for _ in 0..<3 {
            let outcome = try mpirun(["train", "x", "--nosuch"])
            #expect(outcome.code == 64)
            #expect(outcome.errors.components(separatedBy: "Unknown option '--nosuch'").count == 2, "\(outcome.errors)")
        }
        let missing = try mpirun(["inspect", "/nowhere/model"])
        #expect(missing.code == 66)
        #expect(missing.errors.components(separatedBy: "tutti: error:").count == 2, "\(missing.errors)")
    }

    @Test func ranksUnderMpirunPrintOnce() throws {
        let version = try mpirun(["--version"])
        #expect(version.code == 0 && version.output.split(separator: "\n").count == 1)
        let losses = try mpirun(["losses", "--json"])
        #expect(losses.code == 0)
        #expect(try losses.output == TuttiProcess.run("losses", "--json").output)
    }

    @Test(arguments: [
        ["WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"], ["PMI_SIZE": "2", "PMI_RANK": "1"], ["SLURM_NTASKS": "2"],
    ])
    func anotherLauncherIsNoticed(_ environment: [String: String]) throws {
        let outcome = try run(["doctor"], environment: environment)
        #expect(outcome.code == 64)
        #expect(try outcome.errorLine.contains("mpirun"))
        let name = try #require(environment.keys.first { $0.hasSuffix("SIZE") || $0.hasSuffix("NTASKS") })
        #expect(try run(["doctor"], environment: [name: "1"]).code == 0)
        #expect(try run(["losses"], environment: environment).code == 0, "what needs no ranks is not refused")
    }

    @Test func launchDoesNotRunInsideMPI() throws {
        let nested = try mpirun(["launch", "--", "true"])
        #expect(nested.code == 64)
        #expect(nested.errors.components(separatedBy: "starts the ranks itself").count == 2, "\(nested.errors)")
        #expect(try run(["launch", "launch", "train"]).code == 64)
    }
}
