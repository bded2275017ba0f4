// The modules that follow the first in a model folder: pooling, normalisation, dense layers and their like; those over
// tokens are in TokenModuleFiles.swift.
//
// What: one entry of modules.json with the configuration of its folder, as written by sentence-transformers 2 to 6.
// Older folders spell pooling as booleans (pooling_mode_mean_tokens ...) and class paths as
// sentence_transformers.models.X; newer ones as pooling_mode: "mean" | [...] and ...modules.pooling.Pooling. Classes
// are matched by the last component of their path. What is written is the older spelling, which all of these versions
// read.
//
// Reference: sentence_transformers/sentence_transformer/modules/pooling.py, base/modules/dense.py.

import TuttiEncoders
import TuttiFormats
import TuttiGround

/// A module with the folder that holds it.
package struct PlacedModule: Sendable, Equatable {
    /// The folder's name inside the model folder, such as "1_Pooling"; also the prefix of its parameters.
    package let folder: String
    /// The module.
    package let module: HeadConfiguration
    /// Whether a run makes it, so that the model's folder has no files of it.
    var isMade = false
}

extension HeadConfiguration {
    /// The class name in modules.json.
    package var className: String {
        switch self {
        case .tokens(let plan): plan.className
        case .pooling: "Pooling"
        case .normalize: "Normalize"
        case .dense: "Dense"
        case .layerNorm: "LayerNorm"
        case .dropout: "Dropout"
        }
    }

    /// True when the module's folder holds tensors.
    var hasWeights: Bool {
        switch self {
        case .tokens, .dense, .layerNorm: true
        case .pooling, .normalize, .dropout: false
        }
    }

    /// The class names that can be read.
    private static let knownClassNames =
        ["Pooling", "Normalize", "Dense", "LayerNorm", "Dropout"] + TokenModulePlan.classNames

    /// The most modes that one pooling may put side by side.
    private static let poolingLimit = 64
}

extension PoolingMode {
    /// The key of the older spelling: one flag a mode, concatenated in the order of `allCases`.
    fileprivate var key: String {
        switch self {
        case .cls: "pooling_mode_cls_token"
        case .max: "pooling_mode_max_tokens"
        case .mean: "pooling_mode_mean_tokens"
        case .meanSqrtLength: "pooling_mode_mean_sqrt_len_tokens"
        case .weightedMean: "pooling_mode_weightedmean_tokens"
        case .lastToken: "pooling_mode_lasttoken"
        }
    }
}

extension HeadConfiguration {
    /// Reads the module of class `className` from its folder inside the model folder `root`.
    ///
    /// Throws: `.missingFile` for a missing configuration, `.data` naming file and key for anything wrong in it.
    static func read(className: String, folder: String, root: String, place: String) throws(TuttiError)
        -> HeadConfiguration
    {
        let directory = root + "/" + folder
        switch className {
        case "Pooling": return try readPooling(ConfigurationFile(path: directory + "/config.json"))
        case "Normalize":
            if let file = try ConfigurationFile.ifPresent("config.json", in: directory) {
                try refuseOtherFeatures(file)
            }
            return .normalize
        case "Dense": return try readDense(folder, ConfigurationFile(path: directory + "/config.json"))
        case "LayerNorm":
            let file = try ConfigurationFile(path: directory + "/config.json")
            return .layerNorm(name: folder, width: try file.required("dimension", check: .atLeast(1)))
        case "Dropout":
            let file = try ConfigurationFile(path: directory + "/config.json")
            return .dropout(rate: try file.value("dropout", check: .within(0..<1)) ?? 0.2)
        default:
            if let plan = try TokenModulePlan.read(className: className, folder: folder, directory: directory) {
                return .tokens(plan)
            }
            throw TuttiError(
                .data, "read model", place, "the module class '\(className)' is not known",
                hint: TuttiError.hint(unknown: className, known: knownClassNames))
        }
    }

    private static func readPooling(_ file: ConfigurationFile) throws(TuttiError) -> HeadConfiguration {
        let widthKey =
            file.object.contains(key: "embedding_dimension") ? "embedding_dimension" : "word_embedding_dimension"
        let width = try file.required(widthKey, as: Int.self, check: .atLeast(1))
        var modes: [PoolingMode] = []
        if let named: [PoolingMode] = try file.value("pooling_mode") {
            modes = named
        } else {
            for mode in PoolingMode.allCases where try file.value(mode.key) ?? false { modes.append(mode) }
            if modes.isEmpty { modes = [.mean] }
        }
        guard modes.count <= poolingLimit else {
            throw file.error("pooling_mode", "names \(modes.count) modes; at most \(poolingLimit) are read")
        }
        let knownKeys = PoolingMode.allCases.map(\.key)
        for key in file.object.keys where key.hasPrefix("pooling_mode_") && !knownKeys.contains(key) {
            guard try file.value(key) ?? false else { continue }
            throw file.error(key, "is not a pooling mode", hint: TuttiError.hint(unknown: key, known: knownKeys))
        }
        guard !modes.isEmpty else { throw file.error("pooling_mode", "names no mode", hint: "\(PoolingMode.words).") }
        return .pooling(modes: modes, width: width, includePrompt: try file.value("include_prompt") ?? true)
    }

    private static func readDense(_ name: String, _ file: ConfigurationFile) throws(TuttiError) -> HeadConfiguration {
        try refuseOtherFeatures(file)
        let inputs = try file.required("in_features", as: Int.self, check: .atLeast(1))
        let outputs = try file.required("out_features", as: Int.self, check: .atLeast(1))
        let hasBias = try file.value("bias") ?? true
        let hasResidual = try file.value("use_residual") ?? false
        let path: String? = try file.value("activation_function")
        do throws(OptionProblem) {
            let activation = try Activations.module(path)
            return .dense(
                name: name, inputWidth: inputs, outputWidth: outputs, bias: hasBias, activation: activation,
                hasResidual: hasResidual)
        } catch let flaw {
            throw file.error(flaw.inside("activation_function"))
        }
    }

    /// Refuses modules that work on anything but the sentence embedding.
    private static func refuseOtherFeatures(_ file: ConfigurationFile) throws(TuttiError) {
        for key in ["module_input_name", "module_output_name"] {
            guard let name: String = try file.value(key), name != "sentence_embedding" else { continue }
            throw file.error(key, "is '\(name)', where only 'sentence_embedding' can be used")
        }
    }
}

extension HeadConfiguration {
    /// The name of the file of the module's settings.
    var settingsName: String { overTokens?.settingsName ?? "config.json" }

    /// The text of that file in the spelling that sentence-transformers 3 to 6 read, nil for none; `hiddenSize` is the width
    /// that pooling pools, and `values` finds the values of a parameter.
    func configurationText(
        hiddenSize: Int, values: (String) -> UnsafeMutableBufferPointer<Float>
    ) -> String? {
        var object = JSONObject()
        switch self {
        case .tokens(.wordWeights(let plan)): return plan.configurationText(values(plan.tensors[0].name))
        case .tokens(let plan): object = plan.settings
        case .normalize: return nil
        case .pooling(let modes, _, let includePrompt):
            object.set("word_embedding_dimension", .integer(Int64(hiddenSize)))
            if PoolingMode.allCases.filter(modes.contains) == modes {
                for mode: PoolingMode in [.cls, .mean, .max, .meanSqrtLength, .weightedMean, .lastToken] {
                    object.set(mode.key, .bool(modes.contains(mode)))
                }
            } else {
                object.set("pooling_mode", modes.optionJSON)
            }
            object.set("include_prompt", .bool(includePrompt))
        case .dense(_, let inputWidth, let outputWidth, let bias, let activation, let hasResidual):
            object.set("in_features", .integer(Int64(inputWidth)))
            object.set("out_features", .integer(Int64(outputWidth)))
            object.set("bias", .bool(bias))
            object.set("activation_function", .string(Activations.path(of: activation)))
            if hasResidual { object.set("use_residual", .bool(true)) }
        case .layerNorm(_, let width): object.set("dimension", .integer(Int64(width)))
        case .dropout(let rate): object.set("dropout", rate.optionJSON)
        }
        return JSONValue.object(object).serialized(indent: 4)
    }
}
