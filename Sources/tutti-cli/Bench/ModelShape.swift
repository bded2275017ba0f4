// The shape of a transformer, as benchmarks are told it: of a model's folder, or by its dimensions (default: MiniLM's).
//
// Legend: T packed tokens, D hidden, F inner, H heads.

import ArgumentParser
import TuttiEncoders
import TuttiFormats
import TuttiModels

/// Options that say what model a benchmark is about.
struct ShapeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Model folder or hub id; otherwise a model of the shape below.", valueName: "path"))
    var model: String?

    @Option(help: ArgumentHelp("Hidden width of the model.", valueName: "n"))
    var hidden = 384

    @Option(help: ArgumentHelp("Inner width of the feed-forward half.", valueName: "n"))
    var inner = 1536

    @Option(help: ArgumentHelp("Layers.", valueName: "n"))
    var layers = 6

    @Option(help: ArgumentHelp("Attention heads.", valueName: "n"))
    var heads = 12

    @Option(help: ArgumentHelp("Tokens of the vocabulary.", valueName: "n"))
    var vocabulary = 30_522

    func validate() throws {
        for (name, value) in [
            ("--hidden", hidden), ("--inner", inner), ("--layers", layers), ("--heads", heads),
        ] where value < 1 {
            throw ValidationError("\(name) must be positive")
        }
        guard hidden % 16 == 0 else { throw ValidationError("--hidden must be a multiple of 16") }
        guard hidden % heads == 0, hidden / heads % 8 == 0, hidden / heads <= 128 else {
            throw ValidationError("--hidden / --heads must be a multiple of 8, at most 128")
        }
        guard vocabulary >= 256 else { throw ValidationError("--vocabulary must be at least 256") }
    }

    /// The shape that the options give.
    /// - Throws: what loading the model throws.
    func shape() throws -> ModelShape {
        if let model { return ModelShape(try SentenceEncoder.load(model).encoder.configuration) }
        return ModelShape(hidden: hidden, inner: inner, layers: layers, heads: heads, vocabulary: vocabulary)
    }
}

/// The dimensions of a transformer.
struct ModelShape {
    var hidden: Int
    var inner: Int
    var layers: Int
    var heads: Int
    var vocabulary: Int

    /// One weight matrix [outputs, inputs] of a layer.
    struct Product {
        let name: String
        let inputs: Int
        let outputs: Int
        /// Whether dX is added to the residual stream instead of assigned.
        let accumulatesInputGradient: Bool
    }

    /// The dense products of one layer; each is computed forward, for dX and for dW.
    var products: [Product] {
        [
            Product(name: "qkv", inputs: hidden, outputs: 3 * hidden, accumulatesInputGradient: true),
            Product(name: "attention_output", inputs: hidden, outputs: hidden, accumulatesInputGradient: false),
            Product(name: "inner", inputs: hidden, outputs: inner, accumulatesInputGradient: true),
            Product(name: "output", inputs: inner, outputs: hidden, accumulatesInputGradient: false),
        ]
    }

    /// Parameters in the dense products of all layers.
    var denseParameters: Int { layers * products.reduce(0) { $0 + $1.inputs * $1.outputs } }

    /// FLOPs of a training step: 6 * dense parameters * T (2 forward, 4 backward), and attention's two products of
    /// 2 L^2 D forward and four backward: 12 L^2 D a layer. What is computed a second time is not counted.
    func trainingFLOPs(tokens: Double, squaredLengths: Double) -> Double {
        6 * Double(denseParameters) * tokens + 12 * Double(layers * hidden) * squaredLengths
    }
}

extension ModelShape {
    /// The shape of an encoder.
    init(_ configuration: EncoderConfiguration) {
        self.init(
            hidden: configuration.hiddenSize, inner: configuration.intermediateSize, layers: configuration.layers,
            heads: configuration.heads, vocabulary: configuration.vocabularySize)
    }
}
