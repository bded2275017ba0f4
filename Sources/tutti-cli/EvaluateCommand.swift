// `tutti evaluate`: runs the evaluators of a configuration on a model.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiReports
import TuttiTraining

struct EvaluateCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Run the evaluators of a configuration on a model.",
        discussion: "Runs `evaluators` and `test_evaluators`, and prints metrics under the reference's keys.")

    @Option(help: ArgumentHelp("Configuration that names the evaluators.", valueName: "file"))
    var config: String

    @Option(help: ArgumentHelp("Model folder or hub id (default: the configuration's `model`).", valueName: "path"))
    var model: String?

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp("Override a key, as in --set evaluators.0.path=dev.csv.", valueName: "key=value"))
    var settings: [String] = []

    @Option(help: ArgumentHelp("Folder for the eval/*.csv files.", valueName: "folder"))
    var output: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var encoding: EncodingOptions
    @OptionGroup var compute: ComputeOptions

    func run(on ensemble: any Ensemble) throws {
        _ = try RankLayout.apply(compute, ensemble: ensemble)
        let (config, settings, model, operands) = (config, settings, model, encoding.operands)
        let configuration = try ensemble.together("read the configuration") {
            let file = try YAMLConfiguration(path: config, settings: settings)
            return try TrainingConfiguration(file.root, places: file.keyPlaces, purpose: .evaluation) { _ in }
        }
        let named = configuration.modelNames
        let names = model.map { [$0] + named.filter { $0 != configuration.model } } ?? named
        try ModelHub.fetch(names, among: ensemble)
        let (encoder, evaluators) = try ensemble.together("load the evaluation") {
            guard model != nil || !configuration.model.isEmpty || configuration.modules != nil else {
                throw TuttiError(
                    .usage, "evaluate", config, "no model is given", hint: "Pass --model DIR or set `model:`.")
            }
            let encoder = try loadModel(configuration, path: model)
            if ensemble.isRoot { encoder.notices.forEach(TableOptions.notice) }
            let (evaluators, testEvaluators) = try configuration.makeEvaluators(
                model: encoder, compute: operands
            ) {
                if ensemble.isRoot { TableOptions.notice($0) }
            }
            return (encoder, evaluators + testEvaluators)
        }
        if model == nil { try configuration.fillComponents(of: encoder, tables: [], ensemble: ensemble) }
        try compute.chooseGemm(for: encoder, ensemble: ensemble)
        try encoding.apply(to: encoder, ensemble: ensemble)
        let context = EvaluationContext(outputDirectory: output)
        let display = ensemble.isRoot ? ProgressDisplay() : nil
        var metrics = JSONObject()
        for evaluator in evaluators {
            let observed = ObservedEncoding(encoder) { done, total in
                display?.worked(TaskProgress(evaluator.task, done: done, of: total))
            }
            for (key, value) in try evaluator.evaluate(model: observed, ensemble: ensemble, context: context) {
                metrics[key] = .number(value)
            }
        }
        guard ensemble.isRoot else { return }
        if json {
            try Output.line(JSONValue.object(metrics).serialized())
        } else {
            let width = metrics.keys.map(\.count).max() ?? 0
            for (key, value) in metrics {
                let name = key.padding(toLength: width, withPad: " ", startingAt: 0)
                try Output.line("\(name) \(value.double.map { "\($0)" } ?? "NaN")")
            }
        }
    }
}
