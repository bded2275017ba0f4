// `tutti launch`: runs a subcommand, or any program, on several ranks with mpirun, planned from the machine.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiGround
import TuttiLaunch
import TuttiReports

struct LaunchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "launch", abstract: "Run a subcommand on several ranks, planned from this machine.",
        usage: """
            tutti launch [options] <subcommand> ...
            tutti launch [options] -- <program> ...
            """,
        discussion: """
            The exit code is the subcommand's; 75 if a rank or a host dies, for any reason; 64 if mpirun refuses. \
            mpirun's own reports are suppressed. The first INT, TERM, HUP or USR2 makes every rank save and stop (85), \
            a second one kills; USR1 makes them save and continue. Another program gets USR1 and USR2 unchanged; the \
            other signals end it.

              -np, -n, --ranks <n>   Ranks (default: the smallest of the physical cores
                                     in the affinity mask, the CPU quota and what memory
                                     allows; Slurm's tasks; the slots of the hosts).
              --threads <n>          Threads per rank (default: its physical cores).
              --hostfile <file>      Hosts, one `name slots=N` per line.
              --host <a:n,b:n>       Hosts and their slots.
              --bind <core|none>     Pin ranks to cores or not (default: core if this
                                     job has the machine to itself).
              --memory-per-rank <m>  Megabytes to plan per rank (default: 2048).
              -x <name[=value]>      Pass a variable to ranks on other hosts.
              --mca <key> <value>    Set an Open MPI parameter.
              --quiet                Do not print the layout.
              --dry-run              Only print the layout and the mpirun command.
            """)

    @Argument(parsing: .captureForPassthrough, help: .hidden)
    var arguments: [String] = []

    func run() throws {
        let signals = SignalQueue.hold()
        if Self.isInsideMPI {
            throw TuttiError(.usage, "", "launch", "starts the ranks itself", hint: "Run it without mpirun.")
        }
        let options = try LaunchOptions(arguments)
        if options.wantsHelp { return try Output.line(TuttiCommand.helpMessage(for: LaunchCommand.self)) }
        if var command = try Self.rankless(options.job) {
            signals.release()
            return try command.run()
        }
        let environment = ProcessInfo.processInfo.environment
        let (program, isTutti) = try Self.program(options.job, environment)
        let mpirun = try Self.mpirun(environment)
        let machine = try Machine(root: environment["TUTTI_MACHINE_ROOT"] ?? "")
        let plan = try MachinePlan(options, machine: machine, slurm: try SlurmJob(environment))
        let singleCopy = MachinePlan.probesSingleCopy()
        let command = Mpirun(
            mpirun, plan: plan, options: options, program: program, isTutti: isTutti,
            launcher: launcher(of: options), columns: isatty(STDERR_FILENO) == 1 ? Terminal.current?.columns : nil,
            showsOutput: isatty(STDOUT_FILENO) == 1, singleCopy: singleCopy, isRoot: geteuid() == 0,
            environment: environment)
        if !options.isQuiet || options.isDryRun {
            Self.say(plan.summary(hostName: Machine.hostName))
            Self.say(plan.host(singleCopy: singleCopy))
        }
        if options.isDryRun { return try Output.line(command.shellLine) }
        let cleared = Leftovers.own(environment).clear()
        if cleared.folders > 0, !options.isQuiet {
            let megabytes = String(format: "%.1f", Double(cleared.bytes) / 1_048_576)
            Self.say("removed leftovers of a killed mpirun: \(megabytes) MB of shared memory")
        }
        let supervisor = Supervisor(command, isTutti: isTutti) { Self.say($0) }
        let code = try supervisor.run(signals)
        throw ArgumentParser.ExitCode(code)
    }

    /// Whether Open MPI started this process.
    static var isInsideMPI: Bool { ProcessInfo.processInfo.environment["OMPI_COMM_WORLD_RANK"] != nil }

    /// Rank zero tells the launcher that all ranks handle signals.
    static func tellReady(_ ensemble: any Ensemble) {
        guard ensemble.isRoot, ProcessInfo.processInfo.environment[Mpirun.marker] != nil else { return }
        StandardStream.error.put(Mpirun.ready)  // unescaped: a code for the launcher
    }

    /// A subcommand that needs no ranks, including `--help`. Errors in the arguments of any subcommand are reported
    /// before a rank starts.
    private static func rankless(_ job: LaunchOptions.Job) throws -> (any ParsableCommand)? {
        guard case .subcommand(let words) = job else { return nil }
        let command = try TuttiCommand.parseAsRoot(words)
        if command is LaunchCommand { throw TuttiError(.usage, "", "launch", "cannot launch itself") }
        return command is any RankedCommand ? nil : command
    }

    /// What each rank runs, and whether it is a subcommand of ours.
    private static func program(
        _ job: LaunchOptions.Job, _ environment: [String: String]
    ) throws(TuttiError) -> (words: [String], isTutti: Bool) {
        switch job {
        case .subcommand(let words): return ([try ownPath()] + words, true)
        case .program(let words):
            if Mpirun.find(words[0], environment: environment) != nil { return (words, false) }
            throw TuttiError(.missingFile, "", words[0], "no such program")
        }
    }

    /// The command line up to the subcommand.
    private func launcher(of options: LaunchOptions) -> String {
        guard case .subcommand(let words) = options.job else { return "" }
        let own = arguments.dropLast(words.count)
        return Mpirun.shellLine([CommandLine.arguments[0], "launch"] + (own.last == "tutti" ? own.dropLast() : own))
    }

    private static func ownPath() throws(TuttiError) -> String {
        guard let path = Bundle.main.executablePath else {
            throw TuttiError(.missingFile, "", CommandLine.arguments[0], "the executable is not found")
        }
        return path
    }

    private static func mpirun(_ environment: [String: String]) throws(TuttiError) -> String {
        for name in ["mpirun.openmpi", "mpirun"] {
            if let path = Mpirun.find(name, environment: environment) { return path }
        }
        throw TuttiError(.missingFile, "", "mpirun", "not in PATH", hint: "launch/setup installs Open MPI.")
    }

    private static func say(_ text: String) { Output.say("tutti launch: \(text)") }
}
