// `tutti explain CONFIG` = `tutti train CONFIG --dry-run`: what a run will do and need, before it starts.

import ArgumentParser
import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiTraining

struct ExplainCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say what a run would do and what it needs, without starting it.",
        discussion: """
            Loads model and data as `tutti train` does, so that every mistake is found now; says what the columns are to \
            the loss, how many batches, steps, evaluations and checkpoints there will be, tokens of a batch from a \
            sample, memory and files; and takes some steps, whose result is thrown away, to measure time and memory. \
            Nothing is written. Under `tutti launch` all of this is that of so many ranks.
            """)

    @OptionGroup var options: RunOptions

    @Flag(help: "Assume that the run in output_dir will be deleted.")
    var overwrite = false

    @Option(help: ArgumentHelp("Steps that are measured after two of warm-up; 0 measures none.", valueName: "n"))
    var steps = 3

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var compute: ComputeOptions

    func validate() throws {
        guard steps >= 0 else { throw ValidationError("--steps must not be negative") }
    }

    func run(on ensemble: any Ensemble) throws {
        try Self.explain(options, overwrite: overwrite, steps: steps, json: json, compute: compute, on: ensemble)
    }

    /// Prints what the run of a configuration would do. Collective.
    static func explain(
        _ options: RunOptions, overwrite: Bool, steps: Int = 3, json: Bool, compute: ComputeOptions,
        on ensemble: any Ensemble
    ) throws {
        let layout = try RankLayout.apply(compute, ensemble: ensemble)
        func notice(_ text: String) { if ensemble.isRoot { TableOptions.notice(text) } }
        let configuration = try options.configuration(on: ensemble, notice: notice)
        if try ensemble.onRoot({ configuration.trainDatasets.contains(where: \.isReadOnce) }) {
            throw TuttiError(
                .usage, "explain the run", "train_dataset", "is a pipe, whose rows the run itself would then miss",
                hint: "Explain the run with a file of some of its rows.")
        }
        var inputs = try TrainingInputs(configuration, ensemble: ensemble, overwrite: overwrite, notice: notice)
        inputs.arguments.reportTo = []
        inputs.model.notices.forEach(notice)
        let choice = try compute.chooseGemm(for: inputs.model, ensemble: ensemble, notice: notice)
        let trainer = try ensemble.together("prepare the run") { try Trainer(inputs, ensemble: ensemble) }
        let forecast = try RunForecast(trainer, ensemble: ensemble)
        var facts = forecast.facts
        facts["machine"] = .object([
            "layout": .string(layout.description), "matrix_products": .string("\(choice)"),
        ])
        if steps > 0 {
            facts["measured"] = .object(
                try measure(trainer, steps: steps, of: forecast.steps, ensemble: ensemble))
        }
        guard ensemble.isRoot else { return }
        if json {
            try Output.line(JSONValue.object(facts).serialized(indent: 2))
        } else {
            try Output.show(facts)
        }
    }

    /// Takes steps and says what they cost, and what all steps of the run would. Collective.
    private static func measure(
        _ trainer: Trainer, steps: Int, of total: Int, ensemble: any Ensemble
    ) throws -> JSONObject {
        let timer = StepTimer(trainer, ensemble: ensemble)
        try timer.time(2) { _ in }
        var seconds = Samples()
        var tokens = Samples()
        try timer.time(steps) { step in
            seconds.add(try ensemble.maxima([step.seconds])[0])
            tokens.add(try ensemble.sums([Double(step.tokens)])[0] / max(step.seconds, 1e-9))
        }
        let peak = try ensemble.maxima([Double(ProcessMemory.peakResident)])[0]
        func rounded(_ value: Double) -> JSONValue { .number((value * 1000).rounded() / 1000) }
        return [
            "steps": .integer(Int64(steps)), "step_seconds": rounded(seconds.median),
            "tokens_per_second": .number(tokens.median.rounded()),
            "training_seconds": .number((seconds.median * Double(total)).rounded()),
            "without": .string("evaluations, checkpoints and reading the data"),
            "peak_memory_bytes_a_rank": .integer(Int64(peak)),
        ]
    }
}
