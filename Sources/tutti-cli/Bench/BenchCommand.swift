// `tutti bench`: the cost of each part of Tutti on this machine, as a fraction of its bound.
//
// Bounds are measured in the same run, between the measurements that they bound, since the speed of a shared machine
// drifts. Every figure is a median of repetitions, with the minimum and maximum.

import ArgumentParser
import TuttiEnsemble

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure kernels, a training step, the tokenizer, the collectives or scaling.",
        discussion: """
            Every figure is the median of several repetitions; --json prints one object per result, with the minimum \
            and maximum under NAME_min and NAME_max. Bounds (FMA peak, memory bandwidth, memcpy) are measured in \
            the same run.
            """,
        subcommands: [
            KernelsBenchCommand.self, StepBenchCommand.self, TokenizerBenchCommand.self, CollectivesBenchCommand.self,
            ScaleBenchCommand.self,
        ])
}

/// Options shared by all benchmarks.
struct BenchOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Repetitions per figure.", valueName: "n"))
    var repetitions = 7

    @Flag(help: "Print one JSON object per result.")
    var json = false

    @OptionGroup var compute: ComputeOptions

    func validate() throws {
        guard repetitions > 0 else { throw ValidationError("--repetitions must be positive") }
    }

    /// Sets threads, prints the rank layout, and returns the report that takes results. Collective.
    func begin(_ bench: String, on ensemble: any Ensemble) throws -> BenchReport {
        let layout = try RankLayout.apply(compute, ensemble: ensemble)
        let report = BenchReport(bench, json: json, ensemble: ensemble)
        try report.note(layout.description)
        return report
    }
}
