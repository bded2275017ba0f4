// How a subcommand runs: ranks are started, threads set, errors told once, exit codes kept.
//
// Only rank zero prints. An error that all ranks throw together (`onRoot`, `together`) ends in order; an error that
// one rank meets alone is told with its rank and ends the whole job.

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
        setenv("OMP_WAIT_POLICY", "passive", 0)  // oneDNN's idle threads leave their cores to the row kernels
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)  // a file-size limit is an error of the write, not the end of the process
        do {
            var command = try TuttiCommand.parseAsRoot()
            if let ranked = command as? any RankedCommand { run(ranked) }
            try command.run()
            exit(0)
        } catch {
            let code = exitCode(of: error)
            if !isRankZeroByEnvironment {
                // mpirun kills the others as soon as one rank ends with an error: let rank zero speak first.
                if code != 0 { sleep(2) }
                exit(code)
            }
            report(error)
            exit(code)
        }
    }

    private static func run(_ command: any RankedCommand) -> Never {
        let world: MPIEnsemble?
        do {
            world = try MPIEnsemble.startIfLaunched()
        } catch {
            report(error)
            exit(exitCode(of: error))
        }
        let ensemble: any Ensemble = world ?? LocalEnsemble.single()
        var code: Int32 = 0
        do {
            try command.run(on: ensemble)
        } catch let error as ArgumentParser.ExitCode {
            code = error.rawValue
        } catch let failure as RootFailure {
            code = failure.code
            if ensemble.isRoot { report(failure) }
        } catch {
            code = exitCode(of: error)
            if ensemble.size > 1 { ensemble.abort(code: code, message: "\(error)") }
            report(error)
        }
        world?.finalize()
        exit(code)
    }

    /// Says an error on standard error, in one line.
    private static func report(_ error: any Error) {
        if error is TuttiError || error is EnsembleError || error is RootFailure {
            Output.show("tutti: error: \(error)\n", on: STDERR_FILENO)
            return
        }
        let text = TuttiCommand.fullMessage(for: error)
        let descriptor = exitCode(of: error) == 0 ? STDOUT_FILENO : STDERR_FILENO
        if !text.isEmpty { Output.show(text + "\n", on: descriptor) }
    }

    private static func exitCode(of error: any Error) -> Int32 {
        if let error = error as? TuttiError { return error.kind.rawValue }
        if error is EnsembleError || error is RootFailure { return TuttiEnsemble.ExitCode.of(error) }
        return TuttiCommand.exitCode(for: error).rawValue
    }

    /// Rank zero as the launcher's variables tell it, before MPI has started.
    private static var isRankZeroByEnvironment: Bool {
        let environment = ProcessInfo.processInfo.environment
        let rank = environment["OMPI_COMM_WORLD_RANK"] ?? environment["PMIX_RANK"] ?? environment["PMI_RANK"]
        return rank.map { $0 == "0" } ?? true
    }
}
