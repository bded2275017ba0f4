// The transformer shape that benchmarks use: from a model folder, or by its dimensions (default: MiniLM's).
//
// Legend: T packed tokens, D hidden, F inner, H heads.

import ArgumentParser
import TuttiEncoders
import TuttiFormats
import TuttiModels

/// Options that choose the model of a benchmark.
struct ShapeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Model folder or hub id (default: a model of the shape below).", valueName: "path"))
    var model: String?

    @Option(help: ArgumentHelp("Hidden size.", valueName: "n"))
    var hidden = 384

    @Option(help: ArgumentHelp("Inner size of the feed-forward block.", valueName: "n"))
    var inner = 1536

    @Option(help: ArgumentHelp("Layers.", valueName: "n"))
    var layers = 6

    @Option(help: ArgumentHelp("Attention heads.", valueName: "n"))
    var heads = 12

    @Option(help: ArgumentHelp("Vocabulary size.", valueName: "n"))
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
        if let model { return ModelShape(plan: try SentenceEncoder.load(model).encoder.plan) }
        return try ModelShape(hidden: hidden, inner: inner, layers: layers, heads: heads, vocabulary: vocabulary)
    }
}

/// The dimensions of a transformer whose layers all have the same shape.
struct ModelShape {
    let plan: EncoderPlan

    /// One weight matrix [outputs, inputs] of a layer.
    struct Product {
        let name: String
        let inputs: Int
        let outputs: Int
        /// Whether dX is added to the residual stream, not assigned.
        let accumulatesInputGradient: Bool
    }

    /// The dense products of one layer; each is computed forward, for dX and for dW.
    var products: [Product] {
        plan.productsOfLayer.map {
            Product(
                name: $0.name, inputs: $0.linear.inputs, outputs: $0.linear.outputs,
                accumulatesInputGradient: $0.readsStream)
        }
    }

    var hidden: Int { plan.hiddenSize }
    var layers: Int { plan.layerCount }
    var vocabulary: Int { plan.vocabularySize }

    var heads: Int { plan.heads }
    /// For the feed-forward branch, whose products come last.
    var inner: Int { products.last?.inputs ?? 0 }
}

extension ModelShape {
    /// A BERT of these dimensions.
    /// - Throws: if the kernels do not support it.
    init(hidden: Int, inner: Int, layers: Int, heads: Int, vocabulary: Int) throws {
        let shape = TransformerShape(
            vocabularySize: vocabulary, hiddenSize: hidden, layers: layers, heads: heads, innerSize: inner,
            maximumPositions: 512)
        self.init(plan: try BERT(shape).plan())
    }
}
