// The modules that follow the transformer in a model folder: pooling, normalisation, dense layers and their like.
//
// What: one entry of modules.json with the configuration of its folder, as written by sentence-transformers 2 to 6.
// Older folders spell pooling as booleans (pooling_mode_mean_tokens ...) and class paths as
// sentence_transformers.models.X; newer ones as pooling_mode: "mean" | [...] and ...modules.pooling.Pooling. Classes
// are matched by the last component of their path. What is written is the older spelling, which all of these versions
// read.
//
// Reference: sentence_transformers/sentence_transformer/modules/pooling.py, base/modules/dense.py.

import Foundation
import TuttiFormats
import TuttiGround

/// A module after the transformer as its folder spells it; `HeadConfiguration` is what the encoder computes of it.
package enum ModelModule: Sendable, Equatable {
    /// Token embeddings to one embedding a sequence; several modes are concatenated in their order.
    case pooling(modes: [String], width: Int, includePrompt: Bool)
    /// Scaling to unit length.
    case normalize
    /// A linear layer with an activation, named by its torch class path.
    case dense(inputWidth: Int, outputWidth: Int, bias: Bool, activation: String)
    /// Layer normalisation of the embedding.
    case layerNorm(width: Int)
    /// Dropout of the embedding while training.
    case dropout(probability: Double)

    /// The class name in modules.json.
    package var className: String {
        switch self {
        case .pooling: "Pooling"
        case .normalize: "Normalize"
        case .dense: "Dense"
        case .layerNorm: "LayerNorm"
        case .dropout: "Dropout"
        }
    }

    /// The class names that can be read.
    package static let knownClassNames = ["Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout"]

    /// The modes of pooling, in the order in which the boolean spelling concatenates them, with their boolean keys.
    package static let poolingModes: [(name: String, key: String)] = [
        ("cls", "pooling_mode_cls_token"), ("max", "pooling_mode_max_tokens"), ("mean", "pooling_mode_mean_tokens"),
        ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"),
        ("weightedmean", "pooling_mode_weightedmean_tokens"),
        ("lasttoken", "pooling_mode_lasttoken"),
    ]

    /// The most modes that one pooling may put side by side.
    private static let poolingLimit = 64

    /// Activations of Dense by the last component of their torch class path.
    package static let activations = ["Tanh", "Identity", "ReLU", "GELU", "SiLU", "Sigmoid"]
}

/// A module with the folder that holds it.
package struct PlacedModule: Sendable, Equatable {
    /// The folder's name inside the model folder, such as "1_Pooling"; also the prefix of its parameters.
    package let folder: String
    /// The module.
    package let module: ModelModule
}

extension ModelModule {
    /// Reads the module of class `className` from its folder inside the model folder `root`.
    ///
    /// Throws: `.missingFile` for a missing configuration, `.data` naming file and key for anything wrong in it.
    static func read(className: String, folder: String, root: String, place: String) throws(TuttiError) -> ModelModule {
        let directory = root + "/" + folder
        switch className {
        case "Pooling": return try readPooling(ConfigurationFile(path: directory + "/config.json"))
        case "Normalize":
            if let file = try ConfigurationFile.ifPresent("config.json", in: directory) {
                try refuseOtherFeatures(file)
            }
            return .normalize
        case "Dense": return try readDense(ConfigurationFile(path: directory + "/config.json"))
        case "LayerNorm":
            return .layerNorm(width: try ConfigurationFile(path: directory + "/config.json").requiredInt("dimension"))
        case "Dropout":
            let file = try ConfigurationFile(path: directory + "/config.json")
            let probability = try file.double("dropout") ?? 0.2
            guard probability >= 0, probability < 1 else {
                throw file.error("dropout", "is \(probability), which must be in [0, 1)")
            }
            return .dropout(probability: probability)
        default:
            throw TuttiError(
                .data, "read model", place, "the module class '\(className)' is not known",
                hint: TuttiError.hint(unknown: className, known: knownClassNames))
        }
    }

    private static func readPooling(_ file: ConfigurationFile) throws(TuttiError) -> ModelModule {
        let widthKey =
            file.object.contains(key: "embedding_dimension") ? "embedding_dimension" : "word_embedding_dimension"
        let width = try file.requiredInt(widthKey)
        var modes: [String] = []
        switch file.object["pooling_mode"] {
        case .string(let mode): modes = [mode]
        case .array(let list):
            for value in list {
                guard let mode = value.string else { throw file.mismatch("pooling_mode", value, "a list of strings") }
                modes.append(mode)
            }
        case .none, .null:
            for mode in poolingModes where try file.bool(mode.key) ?? false { modes.append(mode.name) }
            if modes.isEmpty { modes = ["mean"] }
        case .some(let value): throw file.mismatch("pooling_mode", value, "a string or a list of strings")
        }
        let known = poolingModes.map(\.name)
        guard modes.count <= poolingLimit else {
            throw file.error("pooling_mode", "names \(modes.count) modes; at most \(poolingLimit) are read")
        }
        for mode in modes where !known.contains(mode) {
            throw file.error(
                "pooling_mode", "the pooling mode '\(mode)' is not known",
                hint: TuttiError.hint(unknown: mode, known: known))
        }
        let knownKeys = poolingModes.map(\.key)
        for key in file.object.keys where key.hasPrefix("pooling_mode_") && !knownKeys.contains(key) {
            guard try file.bool(key) ?? false else { continue }
            throw file.error(key, "is not a pooling mode", hint: TuttiError.hint(unknown: key, known: knownKeys))
        }
        guard !modes.isEmpty else {
            throw file.error("pooling_mode", "names no mode", hint: "Known: \(known.joined(separator: ", ")).")
        }
        return .pooling(modes: modes, width: width, includePrompt: try file.bool("include_prompt") ?? true)
    }

    private static func readDense(_ file: ConfigurationFile) throws(TuttiError) -> ModelModule {
        try refuseOtherFeatures(file)
        if try file.bool("use_residual") ?? false {
            throw file.error("use_residual", "dense layers with a residual connection cannot be read")
        }
        let path = try file.string("activation_function") ?? "torch.nn.modules.activation.Tanh"
        let name = path.split(separator: ".").last.map(String.init) ?? path
        guard activations.contains(name) else {
            throw file.error(
                "activation_function", "the activation '\(path)' is not known",
                hint: TuttiError.hint(unknown: name, known: activations))
        }
        return .dense(
            inputWidth: try file.requiredInt("in_features"), outputWidth: try file.requiredInt("out_features"),
            bias: try file.bool("bias") ?? true, activation: path)
    }

    /// Refuses modules that work on anything but the sentence embedding.
    private static func refuseOtherFeatures(_ file: ConfigurationFile) throws(TuttiError) {
        for key in ["module_input_name", "module_output_name"] {
            guard let name = try file.string(key), name != "sentence_embedding" else { continue }
            throw file.error(key, "is '\(name)', where only 'sentence_embedding' can be used")
        }
    }
}

extension ModelModule {
    /// The text of the module's config.json in the spelling that sentence-transformers 3 to 6 read, nil for none.
    var configurationText: String? {
        var object = JSONObject()
        switch self {
        case .normalize: return nil
        case .pooling(let modes, let width, let includePrompt):
            object.set("word_embedding_dimension", .integer(Int64(width)))
            let inBooleanOrder = ModelModule.poolingModes.map(\.name).filter(modes.contains) == modes
            if inBooleanOrder {
                for name in ["cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] {
                    let key = ModelModule.poolingModes.first { $0.name == name }?.key ?? name
                    object.set(key, .bool(modes.contains(name)))
                }
            } else {
                object.set("pooling_mode", .array(modes.map { .string($0) }))
            }
            object.set("include_prompt", .bool(includePrompt))
        case .dense(let inputWidth, let outputWidth, let bias, let activation):
            object.set("in_features", .integer(Int64(inputWidth)))
            object.set("out_features", .integer(Int64(outputWidth)))
            object.set("bias", .bool(bias))
            object.set("activation_function", .string(activation))
        case .layerNorm(let width): object.set("dimension", .integer(Int64(width)))
        case .dropout(let probability): object.set("dropout", .number(probability))
        }
        return JSONValue.object(object).serialized(indent: 4)
    }
}
