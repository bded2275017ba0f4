// `tutti train CONFIG`: fine-tunes a model from a configuration.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiReports
import TuttiTraining

/// Options of commands that read the configuration of a run.
struct RunOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("Configuration file, YAML or JSON.", valueName: "config"))
    var config: String

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp("Override a key, as in --set args.max_steps=100.", valueName: "key=value"))
    var settings: [String] = []

    /// The configuration, read by every rank; `notice` gets what a user should know, on rank zero. Collective.
    func configuration(
        on ensemble: any Ensemble, notice: @escaping (String) -> Void
    ) throws -> TrainingConfiguration {
        let (config, settings) = (config, settings)
        return try ensemble.together("read the configuration") {
            let file = try YAMLConfiguration(path: config, settings: settings)
            return try TrainingConfiguration(file.root, places: file.keyPlaces, purpose: .training) { text in
                if ensemble.isRoot { notice(text) }
            }
        }
    }
}

struct TrainCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Fine-tune a model from a configuration.",
        discussion: """
            The same configuration with the same output_dir resumes an unfinished run; a finished one is reported. \
            The trained model is output_dir/final; output_dir/metrics.jsonl has one JSON object per logged step. \
            SIGUSR1 saves and continues; SIGUSR2, SIGTERM, SIGINT (Ctrl-C) and SIGHUP save and stop with exit code \
            85, a second one ends the process.
            """)

    @OptionGroup var options: RunOptions

    @Flag(help: "Only say what the run would do and what it needs, as `tutti explain` does.")
    var dryRun = false

    @Flag(help: "Delete the run in output_dir and start over.")
    var overwrite = false

    @Flag(help: "Print the lines of metrics.jsonl instead of the progress display.")
    var json = false

    @OptionGroup var compute: ComputeOptions
    @OptionGroup var lock: LockOptions

    func run(on ensemble: any Ensemble) throws {
        if dryRun {
            return try ExplainCommand.explain(
                options, overwrite: overwrite, json: json, compute: compute, on: ensemble)
        }
        let layout = try RankLayout.apply(compute, ensemble: ensemble)
        let report: any Report = json ? JSONLines() : ProgressDisplay()
        if ensemble.isRoot, !json { report.notice(layout.description) }
        let configuration = try options.configuration(on: ensemble, notice: report.notice)
        var inputs = try TrainingInputs(
            configuration, ensemble: ensemble, overwrite: overwrite, notice: report.notice)
        inputs.stop = CommandSignals.stop
        inputs.lockTimes = try lock.times
        inputs.gemmIsAutomatic = compute.gemm == .auto
        let choice = try compute.chooseGemm(for: inputs.model, ensemble: ensemble, notice: report.notice)
        if ensemble.isRoot { report.notice("Matrix products: \(choice)") }
        if ensemble.isRoot { inputs.model.notices.forEach(report.notice) }
        let trainer = try ensemble.together("prepare the run") {
            try Trainer(inputs, ensemble: ensemble, reports: [report])
        }
        switch try trainer.train() {
        case .finished: break
        case .alreadyFinished:
            if ensemble.isRoot {
                report.notice("\(configuration.outputDirectory) holds this run, finished; --overwrite starts over.")
            }
        case .preempted(let step):
            if ensemble.isRoot {
                report.notice("Stopped by a signal after step \(step), saved. To resume: \(CommandSignals.commandLine)")
            }
            throw ArgumentParser.ExitCode(TuttiError.Kind.preempted.rawValue)
        }
    }
}

/// Prints logged lines as JSON lines, and everything else to standard error.
private final class JSONLines: Report {
    func logged(_ line: LogLine) { Output.show(JSONValue.object(line.values).serialized() + "\n", on: STDOUT_FILENO) }
    func saved(_ path: String) { notice("Saved \(path)") }
    func notice(_ text: String) { Output.show(text + "\n", on: STDERR_FILENO) }
}
