// `tutti sweep CONFIG`: trains a configuration with many values of some of its keys, and says which are best.

import ArgumentParser
import Foundation
import TuttiFormats
import TuttiGround
import TuttiLaunch
import TuttiReports
import TuttiTraining

struct SweepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep", abstract: "Search hyper-parameters: train a configuration with many values of some keys.",
        discussion: """
            The configuration has a section `sweep` with `parameters`, each a key with a list of values or {min, max, \
            log, integer}. Trials are runs of `tutti train` in output_dir/trial-N, some at a time, and share the cores. \
            The same command goes on with a stopped sweep: finished trials are not repeated. output_dir/sweep.jsonl has \
            a line for each trial, output_dir/best.yaml the best one's configuration, trained in full by `tutti train`.
            """)

    @OptionGroup var options: RunOptions

    @Option(help: ArgumentHelp("Trials at a time (default: as many as there are cores for).", valueName: "n"))
    var parallel: Int?

    @Option(help: ArgumentHelp("Ranks of each trial.", valueName: "n"))
    var ranks = 1

    @Flag(help: "Delete the trials that are there and start over.")
    var overwrite = false

    @Flag(help: "Print the trials with their values, and run none.")
    var dryRun = false

    @Flag(help: "Print a JSON object per trial instead of a table.")
    var json = false

    func validate() throws {
        guard ranks > 0 else { throw ValidationError("--ranks must be positive") }
        guard parallel.map({ $0 > 0 }) ?? true else { throw ValidationError("--parallel must be positive") }
    }

    func run() throws {
        var signals = SignalQueue.hold()
        let sweep = try Sweep(options)
        let first = sweep.plan.first
        if dryRun { return try show(first.map { ($0, nil) }, sweep) }
        let cores = try Machine(root: ProcessInfo.processInfo.environment["TUTTI_MACHINE_ROOT"] ?? "").usableCores
        let width = parallel ?? max(1, cores / ranks)
        let threads = max(1, cores / (width * ranks))
        try Output.makeFolder(sweep.folder)
        var all: [(trial: Trial, metric: Double?)] = []
        var trials = first
        var round = 0
        while !trials.isEmpty {
            let results = try run(trials, of: sweep, width: width, threads: threads, signals: &signals)
            all += results
            try AtomicWrite.file(
                path: sweep.folder + "/sweep.jsonl",
                text: all.map { JSONValue.object(sweep.line($0, $1)).serialized() + "\n" }.joined())
            round += 1
            trials = sweep.plan.next(round, after: results, greaterIsBetter: sweep.greaterIsBetter)
            if trials.isEmpty { try finish(results, all, sweep) }
        }
    }

    /// Runs the trials of a round.
    private func run(
        _ trials: [Trial], of sweep: Sweep, width: Int, threads: Int, signals: inout SignalQueue
    ) throws -> [(trial: Trial, metric: Double?)] {
        let program = try LaunchCommand.ownPath()
        let launch = ["launch", "-np", "\(ranks)", "--threads", "\(threads)", "--bind", "none", "--quiet", "train"]
        let jobs = try trials.map { trial in
            let file = "\(sweep.path(of: trial)).yaml"
            try AtomicWrite.file(path: file, text: try sweep.configuration(of: trial).serialized(indent: 2) + "\n")
            let words = [program] + (ranks > 1 ? launch + [file] : ["train", file, "--threads", "\(threads)"])
            return CommandPool.Job(words + (overwrite ? ["--overwrite"] : []), log: sweep.path(of: trial) + ".log")
        }
        var results: [(trial: Trial, metric: Double?)] = trials.map { ($0, nil) }
        let pool = CommandPool(width: width, environment: ProcessInfo.processInfo.environment)
        var done = 0
        var isPreempted = false
        let stopped = try pool.run(jobs, signals: &signals) { place, code in
            let trial = trials[place]
            done += 1
            switch code {
            case 0:
                results[place].metric = try sweep.metric(of: trial)
                let told = results[place].metric.map { "\(sweep.metricKey) \($0)" } ?? ""
                Output.say("Trial \(trial.number), \(done) of \(trials.count): \(told)")
            case TuttiError.Kind.diverged.rawValue:
                Output.say("Trial \(trial.number), \(done) of \(trials.count): diverged")
            case TuttiError.Kind.preempted.rawValue, 128 + SIGINT, 128 + SIGTERM, 128 + SIGHUP, 128 + SIGUSR2:
                isPreempted = true
            default:
                throw TuttiError(
                    TuttiError.Kind(rawValue: code) ?? .retryable, "run trial \(trial.number)", jobs[place].log,
                    Self.lastLine(of: jobs[place].log), hint: "The whole sweep stops; the same command goes on with it."
                )
            }
        }
        guard stopped == nil, !isPreempted else {
            Output.say("Stopped; the same command goes on with the sweep.")
            throw ArgumentParser.ExitCode(TuttiError.Kind.preempted.rawValue)
        }
        return results
    }

    private static func lastLine(of log: String) -> String {
        let text = String(decoding: FileManager.default.contents(atPath: log) ?? Data(), as: UTF8.self)
        return text.split(separator: "\n").last.map(String.init) ?? "ended without a word"
    }

    /// Prints all trials, and writes the configuration of the best one of the last round.
    private func finish(
        _ last: [(trial: Trial, metric: Double?)], _ all: [(trial: Trial, metric: Double?)], _ sweep: Sweep
    ) throws {
        try show(all, sweep)
        guard let best = SweepPlan.ranked(last, greaterIsBetter: sweep.greaterIsBetter).first else {
            throw TuttiError(
                .diverged, "search", sweep.folder, "every trial diverged", hint: "Try smaller learning rates.")
        }
        let file = sweep.folder + "/best.yaml"
        try AtomicWrite.file(path: file, text: try sweep.best(best.trial).serialized(indent: 2) + "\n")
        if !json { try Output.line("\nBest: trial \(best.trial.number), \(sweep.metricKey) \(best.metric). \(file)") }
    }

    /// Prints trials, the best first.
    private func show(_ results: [(trial: Trial, metric: Double?)], _ sweep: Sweep) throws {
        let ranked = SweepPlan.ranked(results, greaterIsBetter: sweep.greaterIsBetter)
        let failed = results.filter { $0.metric == nil }
        let ordered: [(Trial, Double?)] = ranked.map { ($0.trial, $0.metric) } + failed.map { ($0.trial, nil) }
        if json {
            for (trial, metric) in ordered { try Output.line(JSONValue.object(sweep.line(trial, metric)).serialized()) }
            return
        }
        let keys = results.first?.trial.values.keys ?? []
        var rows = [["trial"] + keys + ["share of the run", sweep.metricKey]]
        for (trial, metric) in ordered {
            rows.append(
                ["\(trial.number)"] + keys.map { trial.values[$0].map(ConfigurationReference.spelled) ?? "" }
                    + ["\((trial.share * 1000).rounded() / 1000)", metric.map { "\($0)" } ?? "-"])
        }
        try Output.write(CatalogueEntry.aligned(rows))
    }
}

/// A configuration that is searched.
private struct Sweep {
    private let file: YAMLConfiguration
    /// The run that all trials vary.
    private let base: TrainingConfiguration
    let plan: SweepPlan
    /// The metric as the log names it.
    let metricKey: String
    let greaterIsBetter: Bool

    var folder: String { base.outputDirectory }

    init(_ options: RunOptions) throws {
        var file = try YAMLConfiguration(path: options.config, settings: options.settings)
        let settings = try SweepSettings(file.root, places: file.keyPlaces)
        file.remove(SweepSettings.key)
        self.file = file
        plan = try SweepPlan(settings)
        base = try TrainingConfiguration(file.root, places: file.keyPlaces, purpose: .training) { _ in }
        let name = settings.metric ?? base.arguments.bestMetricName
        metricKey = name.hasPrefix("eval_") ? name : "eval_" + name
        // What the run says of its own metric does not count for another.
        let ofTheRun = settings.metric == nil ? base.arguments.greaterIsBetter : nil
        greaterIsBetter = settings.greaterIsBetter ?? ofTheRun ?? largerIsBetter(name)
        guard base.arguments.evalStrategy != .no || base.arguments.evalOnStart else {
            throw TuttiError(
                .usage, "plan the sweep", options.config, "the run never evaluates, so nothing judges its trials",
                hint: "Set args.eval_strategy.")
        }
        for trial in plan.first {  // a key that does not exist is found before the first one trains
            _ = try TrainingConfiguration(
                try configuration(of: trial).object ?? JSONObject(), places: file.keyPlaces, purpose: .training
            ) { _ in }
        }
    }

    /// The trial's folder; its configuration and log stand beside it.
    func path(of trial: Trial) -> String { "\(folder)/trial-\(trial.number)" }

    /// The configuration of a trial.
    func configuration(of trial: Trial) throws -> JSONValue {
        try configuration(trial.values, share: trial.share, output: path(of: trial))
    }

    /// The configuration that trains the values of a trial in full.
    func best(_ trial: Trial) throws -> JSONValue {
        try configuration(trial.values, share: 1, output: folder + "/best")
    }

    private func configuration(_ values: JSONObject, share: Double, output: String) throws -> JSONValue {
        var file = file
        for (key, value) in values { try file.set(value, at: key) }
        try file.set(.string(output), at: "output_dir")
        if share < 1 {
            let arguments = base.arguments
            if arguments.maxSteps > 0 {
                let steps = max(1, Int((Double(arguments.maxSteps) * share).rounded()))
                try file.set(.integer(Int64(steps)), at: "args.max_steps")
            } else {
                try file.set(.number(arguments.numTrainEpochs * share), at: "args.num_train_epochs")
            }
        }
        return .object(file.root)
    }

    /// The best value of the metric in a trial's log.
    ///
    /// - Throws: a usage error if no evaluation gives it.
    func metric(of trial: Trial) throws(TuttiError) -> Double {
        let record = try RunRecord(path: path(of: trial))
        let values = (record.evaluations + (record.closing.map { [$0] } ?? [])).compactMap { $0[metricKey]?.double }
        guard let best = greaterIsBetter ? values.max() : values.min() else {
            let known = Set(record.evaluations.flatMap(\.keys)).filter { $0.hasPrefix("eval_") }.sorted()
            throw TuttiError(
                .usage, "judge a trial", path(of: trial), "no evaluation gives \(metricKey)",
                hint: TuttiError.hint(unknown: metricKey, known: known))
        }
        return best
    }

    /// The line of a trial in sweep.jsonl.
    func line(_ trial: Trial, _ metric: Double?) -> JSONObject {
        [
            "trial": .integer(Int64(trial.number)), "values": .object(trial.values), "share": .number(trial.share),
            metricKey: metric.map { .number($0) } ?? .null,
        ]
    }
}
