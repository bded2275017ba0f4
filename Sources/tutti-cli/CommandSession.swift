// How a subcommand runs: ranks are started, threads set, errors told once, exit codes kept.
//
// Only rank zero prints. An error that all ranks throw together (`onRoot`, `together`) ends in order; an error that
// one rank meets alone is told with its rank and ends the whole job. Ranks meet before any of them ends, even where the
// command line is wrong: mpirun kills the others as soon as one ends with an error, rank zero perhaps before it has
// spoken.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiEnsembleMPI
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiTraining

/// A subcommand that may run on several ranks.
protocol RankedCommand: ParsableCommand {
    /// Does the work; every rank calls it.
    func run(on ensemble: any Ensemble) throws
}

/// Options of commands that compute.
struct ComputeOptions: ParsableArguments {
    @Option(
        name: .long, help: ArgumentHelp("Threads of this rank for matrix products and row kernels.", valueName: "n"))
    var threads: Int?

    @Option(
        help: ArgumentHelp(
            "Who computes matrix products; auto measures and takes the fastest.",
            valueName: GemmOption.allCases.map(\.rawValue).joined(separator: "|")))
    var gemm = GemmOption.auto
}

enum CommandSession {
    /// Parses the command line, runs the subcommand, exits.
    static func main() -> Never {
        CoreTypeRestart.applyOnce()
        setenv("OMP_WAIT_POLICY", "passive", 0)  // oneDNN's idle threads leave their cores to the row kernels
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)  // a file-size limit is an error of the write, not the end of the process
        let parsed = Result { try TuttiCommand.parseAsRoot() }
        do {
            try CommandSignals.listen(for: parsed)
            if concernsRanks(parsed) { runOnRanks(parsed) }
            var command = try parsed.get()
            try command.run()
            exit(0)
        } catch {
            report(error)
            exit(exitCode(of: error))
        }
    }

    /// Whether all ranks meet for this command line: one that computes, or any that a launcher started several times.
    private static func concernsRanks(_ parsed: Result<any ParsableCommand, any Error>) -> Bool {
        if case .success(let command) = parsed {
            if command is any RankedCommand { return true }
            if command is LaunchCommand, !LaunchCommand.isInsideMPI { return false }
        }
        return MPIEnsemble.isLaunched
    }

    private static func runOnRanks(_ parsed: Result<any ParsableCommand, any Error>) -> Never {
        let world: MPIEnsemble?
        do {
            world = try MPIEnsemble.startIfLaunched()
        } catch {
            report(error)
            exit(exitCode(of: error))
        }
        let ensemble: any Ensemble = world ?? LocalEnsemble.single()
        LaunchCommand.tellReady(ensemble)
        var code: Int32 = 0
        do {
            let command = try agreed(parsed, ensemble)
            if let ranked = command as? any RankedCommand {
                try ranked.run(on: ensemble)
            } else {
                try onRoot(command, ensemble)
            }
        } catch let end as CommandEnd {
            code = end.code
            if ensemble.isRoot { end.show() }
        } catch let error as ArgumentParser.ExitCode {
            code = error.rawValue
        } catch let error as TuttiError where error.isShared {
            code = error.kind.rawValue
            if ensemble.isRoot { report(error) }
        } catch {
            code = exitCode(of: error)
            if ensemble.size > 1 { ensemble.abort(code: code, message: "\(error)") }
            report(error)
        }
        world?.finalize()
        exit(code)
    }

    /// The command that every rank has read from its command line.
    ///
    /// - Throws: `CommandEnd`, on every rank, if one of them has read none.
    private static func agreed(
        _ parsed: Result<any ParsableCommand, any Error>, _ ensemble: any Ensemble
    ) throws -> any ParsableCommand {
        var own: [UInt8] = []
        if case .failure(let error) = parsed { own = [UInt8](try JSONEncoder().encode(CommandEnd(error))) }
        let ends = try ensemble.gather(own)
        if let end = ends.first(where: { !$0.isEmpty }) {
            throw try JSONDecoder().decode(CommandEnd.self, from: Data(end))
        }
        return try parsed.get()
    }

    /// Runs a command that needs no ranks on rank zero.
    ///
    /// - Throws: `CommandEnd`, on every rank, whether the command succeeds or fails.
    private static func onRoot(_ command: any ParsableCommand, _ ensemble: any Ensemble) throws {
        throw try ensemble.onRoot { () -> CommandEnd in
            var command = command
            do { try command.run() } catch { return CommandEnd(error) }
            return CommandEnd(code: 0, text: "")
        }
    }

    /// Says an error on standard error, in one line.
    private static func report(_ error: any Error) { CommandEnd(error).show() }

    fileprivate static func exitCode(of error: any Error) -> Int32 {
        if let error = error as? TuttiError { return error.kind.rawValue }
        return TuttiCommand.exitCode(for: error).rawValue
    }
}

/// How a command ends: its exit code and what is said about it.
private struct CommandEnd: Error, Codable {
    var code: Int32
    /// An error in one line, or the help that was asked for.
    var text: String

    init(code: Int32, text: String) {
        self.code = code
        self.text = text
    }

    init(_ error: any Error) {
        code = CommandSession.exitCode(of: error)
        let isOurs = error is TuttiError
        text = isOurs ? "tutti: error: \(error)" : TuttiCommand.fullMessage(for: error)
    }

    /// Prints the text: help on standard output, an error on standard error.
    func show() {
        if !text.isEmpty { Output.show(text + "\n", on: code == 0 ? STDOUT_FILENO : STDERR_FILENO) }
    }
}
