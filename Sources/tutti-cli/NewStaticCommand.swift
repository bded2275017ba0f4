// `tutti new-static`: a folder with a static embedding model that is not trained yet.

import ArgumentParser
import Foundation
import TuttiGround
import TuttiModels

struct NewStaticCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new-static", abstract: "Make a static embedding model with random vectors, to be trained.",
        discussion: """
            A static model is a table of one vector a token; an embedding is the mean of a text's vectors. Training from \
            random vectors takes millions of pairs, large batches and a learning rate of about 0.2: \
            launch/recipes/static.yaml.
            """)

    @Option(help: ArgumentHelp("A tokenizer.json, or a model folder that holds one.", valueName: "path"))
    var tokenizer: String

    @Option(help: ArgumentHelp("Width of the embeddings.", valueName: "n"))
    var dimension: Int = 1024

    @Option(help: ArgumentHelp("Seed of the vectors.", valueName: "n"))
    var seed: UInt64 = 42

    @Option(help: ArgumentHelp("The folder to make.", valueName: "folder"))
    var output: String

    func validate() throws {
        guard (1...65536).contains(dimension) else {
            throw ValidationError("--dimension is \(dimension), expected 1 to 65536.")
        }
    }

    func run() throws {
        let rows = try StaticModel.make(output, tokenizer: tokenizer, dimension: dimension, seed: seed)
        try Output.line("\(output): \(rows) tokens x \(dimension) random numbers")
    }
}
