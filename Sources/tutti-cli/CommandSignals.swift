// What signals do to the command.
//
// `train` saves: SIGUSR1 saves and continues; SIGUSR2, SIGTERM, SIGINT and SIGHUP save and stop with exit code 85.
// Before there is anything to save they exit with 85 at once, so that a scheduler restarts it. The other commands
// have nothing to save: SIGUSR2 ends them with 85, the other signals as usual. Files are written whole or not at all
// (AtomicWrite), so that a process can end at any instant.

import ArgumentParser
import Foundation
import TuttiFormats
import TuttiGround
import TuttiLaunch
import TuttiTraining

enum CommandSignals {
    /// Signal requests to a run.
    static let stop = StopRequest()

    /// Starts taking signals, as the command needs it. They have been blocked since the first instruction (CTuttiSignals).
    static func listen(for parsed: Result<any ParsableCommand, any Error>) throws(TuttiError) {
        var command: (any ParsableCommand)?
        if case .success(let known) = parsed { command = known }
        if command is LaunchCommand || command is SweepCommand { return }  // they handle them themselves (SignalQueue)
        let started: Bool
        if command is TrainCommand {
            let signals = StopSignals(stop)
            started = SignalThread.start { signal in
                signals.take(signal, unheard: leave, second: { SignalThread.die(of: $0) })
            }
        } else {
            started = SignalThread.start { signal in
                if signal == SIGUSR2 { leave(signal) }
                if signal != SIGUSR1 { SignalThread.die(of: signal) }
            }
        }
        if !started {
            throw TuttiError(.retryable, "start", "the signal thread", "the system refuses another thread")
        }
    }

    /// The command line that restarts this process, quoted for a shell; without `--overwrite`, which would delete what
    /// a stopped run has saved.
    static var commandLine: String {
        let words = CommandLine.arguments.filter { $0 != "--overwrite" }.map(quoted)
        // Ranks were started by a launcher, which passes its own command line.
        let launcher = ProcessInfo.processInfo.environment[Mpirun.marker] ?? ""
        return (launcher.isEmpty ? words : [launcher] + words.dropFirst()).joined(separator: " ")
    }

    /// Exits with 85: there is nothing to save.
    private static func leave(_ signal: Int32) {
        if isRankZero {
            Output.say(
                "Stopped by \(SignalThread.name(signal)) before there was anything to save. To restart: "
                    + commandLine)
        }
        _exit(TuttiError.Kind.preempted.rawValue)
    }

    /// Whether this is rank zero by the launcher's variables: MPI may not have started.
    private static var isRankZero: Bool {
        let environment = ProcessInfo.processInfo.environment
        let rank = environment["OMPI_COMM_WORLD_RANK"] ?? environment["PMIX_RANK"] ?? environment["PMI_RANK"]
        return rank.map { $0 == "0" } ?? true
    }

    private static func quoted(_ argument: String) -> String {
        let plain = argument.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: byte >= 0x80 || "-_=./,:@%+".utf8.contains(byte)
            }
        }
        if plain, !argument.isEmpty { return argument }
        return "'" + argument.replacing("'", with: "'\\''") + "'"
    }
}
