// How a subcommand runs: start ranks, set threads, report errors once, keep exit codes.
//
// Only rank zero prints. An error that all ranks throw together (`onRoot`, `together`) ends the job in order; an error
// on one rank alone is reported with its rank and ends the whole job. Ranks meet before any of them exits, even if the
// command line is wrong: mpirun kills the others as soon as one exits with an error, perhaps before rank zero has
// printed it.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiEnsembleMPI
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiTraining

/// A subcommand that may run on several ranks.
protocol RankedCommand: ParsableCommand {
    /// Does the work; every rank calls it.
    func run(on ensemble: any Ensemble) throws
}

/// Options of commands that compute.
struct ComputeOptions: ParsableArguments {
    @Option(
        name: .long, help: ArgumentHelp("Threads per rank.", valueName: "n"))
    var threads: Int?

    @Option(
        help: ArgumentHelp(
            "GEMM library; auto measures and takes the fastest.",
            valueName: GemmOption.allCases.map(\.rawValue).joined(separator: "|")))
    var gemm = GemmOption.auto
}

/// Options of commands that encode and do not train.
struct EncodingOptions: ParsableArguments {
    @Option(
        name: .customLong("compute"),
        help: ArgumentHelp(
            "What the operands of dense products are rounded to: faster where the processor multiplies such numbers.",
            valueName: FrozenCompute.allCases.map(\.rawValue).joined(separator: "|")))
    var operands = FrozenCompute.fp32

    /// Has `model` encode so; a note goes to standard error. Collective.
    func apply(to model: SentenceEncoder, ensemble: any Ensemble) throws {
        guard let line = try operands.apply(to: [model], among: ensemble), ensemble.isRoot else { return }
        Output.show("tutti: note: \(line)\n", on: STDERR_FILENO)
    }
}

extension FrozenCompute: ExpressibleByArgument {}

enum CommandSession {
    /// Parses the command line, runs the subcommand, exits.
    static func main() -> Never {
        OpenBLASRestart.applyOnce()
        setenv("OMP_WAIT_POLICY", "passive", 0)  // idle oneDNN threads leave their cores to the row kernels
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)  // a file-size limit fails the write, not the process
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

    /// Whether all ranks meet for this command line: one that computes, or any that a launcher started on several ranks.
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
        var heartbeat: Heartbeat?
        do {
            heartbeat = try Heartbeat.start(ensemble, doing: phase(of: parsed))
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
            if ensemble.isRoot { report(world.map { located(error, in: $0) } ?? error) }
        } catch {
            code = exitCode(of: error)
            if ensemble.size > 1 {
                var own = TuttiError(error)
                if own.rank == ensemble.rank { own.rank = nil }  // said with the host already
                ensemble.abort(code: code, message: "\(own)")
            }
            report(error)
        }
        heartbeat?.leave()
        world?.finalize()
        heartbeat?.stop()
        LaunchCommand.tellEnd(ensemble, code: code)
        exit(code)
    }

    /// The error with the host of its rank, where ranks run on several hosts.
    private static func located(_ error: TuttiError, in world: MPIEnsemble) -> TuttiError {
        let hosts = world.topology.places.map(\.host)
        var error = error
        if let rank = error.rank, hosts.indices.contains(rank), Set(hosts).count > 1 { error.host = hosts[rank] }
        return error
    }

    /// What a command does, for messages about ranks that are late or lost.
    private static func phase(of parsed: Result<any ParsableCommand, any Error>) -> StaticString {
        switch parsed {
        case .success(is TrainCommand): "preparing"
        case .success(is EvaluateCommand): "evaluation"
        case .success(is EncodeCommand): "encoding"
        case .success(is MineNegativesCommand): "mining"
        default: "the command"
        }
    }

    /// The command that every rank has parsed.
    ///
    /// - Throws: `CommandEnd`, on every rank, if one of them could not parse it.
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

    /// Prints an error to standard error, in one line.
    private static func report(_ error: any Error) { CommandEnd(error).show() }

    fileprivate static func exitCode(of error: any Error) -> Int32 {
        if let error = error as? TuttiError { return error.kind.rawValue }
        return TuttiCommand.exitCode(for: error).rawValue
    }
}

/// How a command ends: its exit code and message.
private struct CommandEnd: Error, Codable {
    var code: Int32
    /// An error in one line, or the requested help.
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

    /// Prints the text: help to standard output, an error to standard error.
    func show() {
        guard !text.isEmpty else { return }
        if code == 0 { Output.show(text + "\n", on: STDOUT_FILENO) } else { Output.say(text) }
    }
}
