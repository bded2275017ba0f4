// `tutti bench`: what each part of Tutti costs on this machine, as a share of its own bound.
//
// Bounds are measured in the same run, between the measurements that they bound, since a shared machine's speed
// wanders. Every figure is a median of repetitions with the smallest and the largest beside it.

import ArgumentParser
import TuttiEnsemble

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure kernels, a training step, the tokenizer or the collectives.",
        discussion: """
            Every figure is the median of several repetitions; --json prints one object a result, with the smallest \
            and the largest under NAME_min and NAME_max. Bounds (FMA peak, memory bandwidth, memcpy) are measured in \
            the same run.
            """,
        subcommands: [
            KernelsBenchCommand.self, StepBenchCommand.self, TokenizerBenchCommand.self, CollectivesBenchCommand.self,
        ])
}

/// Options of all benchmarks.
struct BenchOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Measurements of each figure.", valueName: "n"))
    var repetitions = 7

    @Flag(help: "Print one JSON object a result.")
    var json = false

    @OptionGroup var compute: ComputeOptions

    func validate() throws {
        guard repetitions > 0 else { throw ValidationError("--repetitions must be positive") }
    }

    /// Sets threads, says how the ranks lie, and gives what results are written to. Collective.
    func begin(_ bench: String, on ensemble: any Ensemble) throws -> BenchReport {
        let layout = try RankLayout.apply(compute, ensemble: ensemble)
        let report = BenchReport(bench, json: json, ensemble: ensemble)
        try report.note(layout.description)
        return report
    }
}
