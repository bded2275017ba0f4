// The command `tutti`: training, evaluation and inspection of sentence encoders.

import ArgumentParser
import Foundation
import TuttiGround

/// The root command; one file a subcommand.
struct TuttiCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tutti",
        abstract: "Trains sentence-embedding models on CPU clusters.",
        discussion: """
            Run it alone or under mpirun or srun; tutti launch plans ranks, threads and binding for this machine.
            Exit codes: 0 done, 64 usage or configuration, 65 bad data or model, 66 missing file, 70 diverged, \
            75 failed but may be retried, 85 stopped by a signal after saving.
            """,
        version: tuttiVersion,
        subcommands: [
            TrainCommand.self, ExplainCommand.self, SweepCommand.self, CompareCommand.self, ReportCommand.self,
            LaunchCommand.self,
            EvaluateCommand.self,
            EncodeCommand.self, SearchCommand.self,
            TokenizeCommand.self, InitCommand.self, SplitCommand.self,
            MineNegativesCommand.self, ArgsCommand.self, LossesCommand.self, EvaluatorsCommand.self,
            InspectCommand.self, ExportCommand.self, DownloadCommand.self, PushCommand.self, NewModelCommand.self,
            NewStaticCommand.self,
            DoctorCommand.self, BenchCommand.self, LaunchSweepCommand.self,
            LaunchProbeCommand.self, LaunchLinksCommand.self,
        ])
}
