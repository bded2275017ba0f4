// `tutti export`: a model's folder written anew, with an adapter merged into the weights if asked for.

import ArgumentParser
import Foundation
import TuttiFormats
import TuttiGround
import TuttiModels

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a model's folder anew; --merge makes its adapter a part of the weights.",
        discussion: """
            The folder is in the layout of sentence-transformers, with weights in single precision. A model with an adapter \
            (LoRA) needs its base model wherever it is used; merged, it is a model like any other and encodes faster.
            """)

    @Argument(help: ArgumentHelp("Model: a folder or a hub id.", valueName: "model"))
    var model: String

    @Option(help: ArgumentHelp("The folder to make.", valueName: "folder"))
    var output: String

    @Flag(help: "Add the adapter's products to the weights.")
    var merge = false

    func run() throws {
        guard !FileManager.default.fileExists(atPath: output) else {
            throw TuttiError(
                .usage, "export a model", output, "is there already", hint: "Choose another folder, or remove it.")
        }
        let loaded = try SentenceEncoder.load(model)
        if merge { try loaded.mergeAdapter() }
        try AtomicWrite.directory(finalPath: output) { folder in try loaded.save(to: folder, card: nil) }
        try Output.line("\(output): \(loaded.adapter == nil ? "all weights" : "an adapter of its base model")")
    }
}
