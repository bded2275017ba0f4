// The files of the modules over tokens: CNN, LSTM, WeightedLayerPooling, WordWeights.
//
// Keys have been renamed over the versions; the older names are written, which all of them read.
//
// Reference: cnn.py, lstm.py, weighted_layer_pooling.py in sentence_transformers/sentence_transformer/modules.

import TuttiEncoders
import TuttiFormats
import TuttiGround

extension TokenModulePlan {
    /// The class names that can be read.
    static let classNames = ["WordWeights", "CNN", "LSTM", "WeightedLayerPooling"]

    /// The class name in modules.json.
    package var className: String {
        switch self {
        case .wordWeights: "WordWeights"
        case .convolution: "CNN"
        case .recurrence: "LSTM"
        case .layerMixture: "WeightedLayerPooling"
        }
    }

    /// Whether its tensors say no more than its settings.
    var tensorsAreSettings: Bool { if case .wordWeights = self { true } else { false } }

    /// The name of the file of its settings.
    var settingsName: String { TokenModulePlan.settingsName(className) }

    private static func settingsName(_ className: String) -> String {
        switch className {
        case "CNN": "cnn_config.json"
        case "LSTM": "lstm_config.json"
        default: "config.json"
        }
    }

    /// The most convolutions, layers, and tokens that a convolution sees.
    static let limit = 1024

    /// Reads the module of class `className` from `directory`, its folder called `folder` in the model's; nil for a class
    /// that is not over tokens.
    ///
    /// Throws: `.missingFile` for a missing configuration, `.data` naming file and key.
    static func read(
        className: String, folder: String, directory: String
    ) throws(TuttiError) -> TokenModulePlan? {
        guard classNames.contains(className) else { return nil }
        let file = try ConfigurationFile(path: directory + "/" + settingsName(className))
        switch className {
        case "WordWeights":
            let list = try WordList(file, isUnique: false)
            return .wordWeights(
                WordWeightsPlan(
                    name: folder, vocabulary: list.words, weights: list.weights, unknownWeight: list.unknownWeight))
        case "CNN": return .convolution(try convolution(folder, file))
        case "LSTM":
            let dropout: Float = try file.value("dropout", check: .within(0..<1)) ?? 0
            return .recurrence(
                RecurrencePlan(
                    name: folder, inputWidth: try width(file, ["word_embedding_dimension", "embedding_dimension"]),
                    cells: try file.required("hidden_dim", check: .atLeast(1)),
                    layers: try file.value("num_layers", check: .within(1...limit)) ?? 1,
                    isBidirectional: try file.value("bidirectional") ?? true, dropout: dropout))
        default:
            let layers = try file.value("num_hidden_layers", check: .within(1...limit)) ?? 12
            let start = try file.value("layer_start", check: .within(0...layers)) ?? 4
            return .layerMixture(
                LayerMixturePlan(
                    name: folder, width: try width(file, ["word_embedding_dimension", "embedding_dimension"]),
                    start: start, layers: layers))
        }
    }

    private static func convolution(
        _ folder: String, _ file: ConfigurationFile
    ) throws(TuttiError) -> ConvolutionPlan {
        let widths: [Int] = try file.value("kernel_sizes") ?? [1, 3, 5]
        guard (1...limit).contains(widths.count) else {
            throw file.error("kernel_sizes", "has \(widths.count) kernels, expected 1 to \(limit)")
        }
        guard let problem = kernelProblem(widths) else {
            let strides: [Int] = try file.value("stride_sizes") ?? widths.map { _ in 1 }
            guard strides == widths.map({ _ in 1 }) else {
                throw file.error(
                    "stride_sizes", "is \(strides), where only 1 for each kernel can be computed",
                    hint: "With another stride the reference pools padding, and an embedding depends on its batch.")
            }
            return ConvolutionPlan(
                name: folder,
                inputWidth: try width(file, ["in_word_embedding_dimension", "in_embedding_dimension"]),
                channels: try file.value("out_channels", check: .atLeast(1)) ?? 256, widths: widths)
        }
        throw file.error("kernel_sizes", problem)
    }

    /// What is wrong with the widths of convolutions.
    static func kernelProblem(_ widths: [Int]) -> String? {
        guard let odd = widths.first(where: { !(1...limit).contains($0) || $0 % 2 == 0 }) else { return nil }
        return odd % 2 == 0 && odd > 0
            ? "has the even kernel \(odd): it makes texts shorter, and in the reference their embeddings depend on the batch"
            : "has a kernel of \(odd) tokens, expected 1 to \(limit)"
    }

    private static func width(_ file: ConfigurationFile, _ keys: [String]) throws(TuttiError) -> Int {
        try file.required(keys.first { file.object.contains(key: $0) } ?? keys[0], check: .atLeast(1))
    }

    /// What its file says; of WordWeights nothing, which needs the values of its parameters.
    var settings: JSONObject {
        func number(_ value: Int) -> JSONValue { .integer(Int64(value)) }
        switch self {
        case .wordWeights: return JSONObject()
        case .convolution(let plan):
            return [
                "in_word_embedding_dimension": number(plan.inputWidth), "out_channels": number(plan.channels),
                "kernel_sizes": .array(plan.widths.map(number)),
                "stride_sizes": .array(plan.widths.map { _ in number(1) }),
            ]
        case .recurrence(let plan):
            return [
                "word_embedding_dimension": number(plan.inputWidth), "hidden_dim": number(plan.cells),
                "num_layers": number(plan.layers), "dropout": plan.dropout.optionJSON,
                "bidirectional": .bool(plan.isBidirectional),
            ]
        case .layerMixture(let plan):
            return [
                "word_embedding_dimension": number(plan.width), "layer_start": number(plan.start),
                "num_hidden_layers": number(plan.layers),
            ]
        }
    }

    /// Sizes that its file asks for, each with its key.
    var sizes: [(key: String, shape: [Int])] {
        switch self {
        case .wordWeights, .layerMixture: return []
        case .convolution(let plan):
            return plan.widths.map { ("kernel_sizes", [plan.inputWidth, plan.channels, $0]) }
        case .recurrence(let plan):
            return [
                ("hidden_dim", [plan.inputWidth, plan.cells, 4]), ("hidden_dim", [plan.cells, plan.cells, 4]),
                ("num_layers", [plan.layers, plan.cells]),
            ]
        }
    }
}
