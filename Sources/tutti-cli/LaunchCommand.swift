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
            The exit code is the subcommand's, as rank zero says it; 75 if a rank or a host dies, for any reason; 64 if \
            mpirun refuses. \
            mpirun's own reports are suppressed. The first INT, TERM, HUP or USR2 makes every rank save and stop (85), \
            a second one kills; USR1 makes them save and continue. Another program gets USR1 and USR2 unchanged; the \
            other signals end it.

              -np, -n, --ranks <n>   Ranks (default: the smallest of the physical cores
                                     in the affinity mask, the CPU quota and what memory
                                     allows; Slurm's tasks; the slots of the hosts).
              --threads <n>          Threads per rank (default: its physical cores).
              --hostfile <file>      Hosts, one `name slots=N` per line (default: those of
                                     the Slurm or PBS job).
              --host <a:n,b:n>       Hosts and their slots.
              --bind <core|none>     Pin ranks to cores or not (default: core if this
                                     job has the machine, or the nodes of its batch
                                     job, to itself; none on hosts that are named).
              --memory-per-rank <m>  Megabytes to plan per rank (default: 2048).
              -x <name[=value]>      Pass a variable to ranks on other hosts; those of
                                     Tutti, the hub, BLAS and OpenMP go by themselves.
              --mca <key> <value>    Set an Open MPI parameter.
              --no-check             Start without looking at the hosts (same program and
                                     MPI, folder, names, clock, memory, network).
              --restarts <n>         After code 75 start again, at most n times, without
                                     hosts that do not answer (default: 0).
              --patience <s>         Seconds that ranks have to save and stop after the
                                     first signal before they are killed (default: 300).
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
        let launch = try JobLaunch(
            options, program: try Self.program(options.job, environment), mpirun: try Self.mpirun(environment),
            tutti: try Self.ownPath(), launcher: launcher(of: options), environment: environment)
        throw ArgumentParser.ExitCode(try launch.run(signals))
    }

    /// Whether Open MPI started this process.
    static var isInsideMPI: Bool { ProcessInfo.processInfo.environment["OMPI_COMM_WORLD_RANK"] != nil }

    /// Rank zero tells the launcher that all ranks handle signals.
    static func tellReady(_ ensemble: any Ensemble) {
        guard ensemble.isRoot, ProcessInfo.processInfo.environment[Mpirun.marker] != nil else { return }
        StandardStream.error.put(Mpirun.ready)  // unescaped: a code for the launcher
    }

    /// Rank zero's last word to the launcher: all ranks have ended their work, this one with exit code `code`.
    static func tellEnd(_ ensemble: any Ensemble, code: Int32) {
        guard ensemble.isRoot, ProcessInfo.processInfo.environment[Mpirun.marker] != nil else { return }
        StandardStream.error.put(Mpirun.end(code))
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

    /// The path of this program.
    static func ownPath() throws(TuttiError) -> String {
        guard let path = Bundle.main.executablePath else {
            throw TuttiError(.missingFile, "", CommandLine.arguments[0], "the executable is not found")
        }
        return path
    }

    /// The path of Open MPI's launcher.
    static func mpirun(_ environment: [String: String]) throws(TuttiError) -> String {
        for name in ["mpirun.openmpi", "mpirun"] {
            if let path = Mpirun.find(name, environment: environment) { return path }
        }
        throw TuttiError(.missingFile, "", "mpirun", "not in PATH", hint: "launch/setup installs Open MPI.")
    }
}
