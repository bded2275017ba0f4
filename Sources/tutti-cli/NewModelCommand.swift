// `tutti new-model`: a folder with the model that a run of a configuration would start from.

import ArgumentParser
import Foundation
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiTraining

struct NewModelCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "new-model", abstract: "Write the model that a run of a configuration starts from.",
        discussion: """
            Of a configuration only `model`, `config_overrides`, `max_seq_length`, `similarity_fn_name`, `keep_layers`, \
            `modules` and `args.seed` count. So files of word vectors are read once, layers are left out, and the \
            dimensions of a model are reduced without a run.
            """)

    @Option(help: ArgumentHelp("Configuration that describes the model.", valueName: "file"))
    var config: String

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp("Override a key, as in --set args.seed=7.", valueName: "key=value"))
    var settings: [String] = []

    @Option(help: ArgumentHelp("The folder to make.", valueName: "folder"))
    var output: String

    @OptionGroup var compute: ComputeOptions

    func run(on ensemble: any Ensemble) throws {
        _ = try RankLayout.apply(compute, ensemble: ensemble)
        let (config, settings, output) = (config, settings, output)
        let (model, configuration) = try ensemble.together("make the model") {
            guard !FileManager.default.fileExists(atPath: output) else {
                throw TuttiError(
                    .usage, "make a model", output, "is there already", hint: "Choose another folder, or remove it.")
            }
            let file = try YAMLConfiguration(path: config, settings: settings)
            let configuration = try TrainingConfiguration(file.root, places: file.keyPlaces, purpose: .model) { _ in }
            guard !configuration.model.isEmpty || configuration.modules != nil else {
                throw TuttiError(.usage, "make a model", config, "neither model nor modules are given")
            }
            return (try loadModel(configuration), configuration)
        }
        if ensemble.isRoot { model.notices.forEach(TableOptions.notice) }
        try configuration.fillComponents(of: model, tables: [], ensemble: ensemble)
        try ensemble.onRoot {
            try AtomicWrite.directory(finalPath: output) { folder in try model.save(to: folder, card: nil) }
            try Output.line("\(output): \(model.moduleNames.joined(separator: ", ")); \(model.dimension) dimensions")
        }
    }
}
