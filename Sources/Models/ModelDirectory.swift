// A model folder of the sentence-transformers layout, read without its weights.
//
// What: modules.json says which modules there are and where; without it the folder is a plain Hugging Face encoder and,
// as in the reference, mean pooling is put on top, or that of the last token if it is a causal language model. Both the older layout (limits in sentence_bert_config.json) and the
// newer one (limit in tokenizer_config.json) are read, and folders of modules without weights may be missing.
// Decisions that a user should know of are collected as notices, never printed here.
//
//   modules.json                       module classes and folders, in order
//   config.json                        the transformer's architecture; a StaticEmbedding has none
//   sentence_bert_config.json          max_seq_length, do_lower_case (older layout; other names for other families)
//   config_sentence_transformers.json  prompts, default_prompt_name, similarity_fn_name, truncate_dim
//   1_Pooling/config.json ...          one folder a module
//
// Reference: sentence_transformers/base/model.py (_load_config_modules), base/modules/transformer.py (_load_config).

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround

/// What a model folder says about its model, weights apart.
package struct ModelDirectory: Sendable {
    /// The folder.
    package let path: String
    /// The kind of the first module.
    package let input: InputModule
    /// The folder of the first module: `path`, or a folder inside it.
    package let transformerPath: String
    /// config.json of the transformer, with overrides applied; empty where there is none.
    package let transformerConfiguration: JSONObject
    /// The bytes of config.json as found.
    package let transformerConfigurationBytes: [UInt8]
    /// True when overrides changed config.json.
    package let isOverridden: Bool
    /// The modules after the first.
    package let modules: [PlacedModule]
    /// max_seq_length of the older layout, if it is given.
    package let maximumLength: Int?
    /// do_lower_case of the older layout.
    package let lowercases: Bool
    /// Prompts by name; null prompts are left out.
    package let prompts: [(name: String, text: String)]
    /// The name of the prompt that plain encoding uses.
    package let defaultPromptName: String?
    /// "cosine", "dot", "euclidean" or "manhattan".
    package let similarity: String
    /// The number of leading dimensions that embeddings are cut to, if the model says so.
    package let truncatedDimension: Int?
    /// Lines that a user should read once.
    package let notices: [String]

    /// The file that a message about the architecture names.
    package var transformerConfigurationPath: String { transformerPath + "/config.json" }

    /// Names that sentence-transformers gave to sentence_bert_config.json over the years.
    static let transformerSettingsNames = [
        "sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json",
        "sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json",
        "sentence_xlnet_config.json",
    ]

    /// The similarity functions that a model may name.
    package static let similarities = ["cosine", "dot", "euclidean", "manhattan"]

    /// Reads the folder `path`; `overrides` replaces members of config.json.
    ///
    /// Throws: `.missingFile` naming what is not there; `.data` naming file and key; `.usage` for an unknown override.
    package init(path: String, overrides: JSONObject? = nil) throws(TuttiError) {
        var notices: [String] = []
        self.path = path
        let listed = try ModelDirectory.readModules(path)
        input = listed?.input ?? .transformer
        let folder = listed?.folder ?? ""
        transformerPath = folder.isEmpty ? path : path + "/" + folder

        let configurationPath = transformerPath + "/config.json"
        var configuration = ConfigurationFile(path: configurationPath, object: JSONObject())
        if input.hasConfiguration {
            transformerConfigurationBytes = try MappedFile(path: configurationPath).contents
            configuration = try ConfigurationFile(path: configurationPath)
        } else {
            transformerConfigurationBytes = []
        }
        isOverridden = try ModelDirectory.apply(overrides, to: &configuration)
        transformerConfiguration = configuration.object

        if let listed {
            modules = listed.modules
        } else {
            let mode = try ModelDirectory.defaultPooling(configuration)
            modules = [PlacedModule(folder: "1_Pooling", module: .pooling(modes: [mode]))]
            let name = mode == .mean ? "mean pooling" : "pooling of the last token"
            notices.append("\(path) has no modules.json: it is taken as a plain encoder, with \(name) on top")
        }

        var maximumLength: Int?
        var lowercases = false
        for name in ModelDirectory.transformerSettingsNames {
            guard let file = try ConfigurationFile.ifPresent(name, in: transformerPath) else { continue }
            maximumLength = try file.value("max_seq_length", check: .atLeast(1))
            lowercases = try file.value("do_lower_case") ?? false
            break
        }
        self.maximumLength = maximumLength
        self.lowercases = lowercases

        let settings = try ConfigurationFile.ifPresent("config_sentence_transformers.json", in: path)
        prompts = try ModelDirectory.readPrompts(settings)
        defaultPromptName = try settings?.value("default_prompt_name")
        if let settings, let name = defaultPromptName, !(prompts.map(\.name) + ["query", "document"]).contains(name) {
            throw settings.error(
                "default_prompt_name", "the prompt '\(name)' is not among the prompts",
                hint: TuttiError.hint(unknown: name, known: prompts.map(\.name)))
        }
        let similarity = try settings?.value("similarity_fn_name") ?? "cosine"
        guard ModelDirectory.similarities.contains(similarity) else {
            throw TuttiError(
                .data, "read model configuration", "\(path)/config_sentence_transformers.json: similarity_fn_name",
                "the similarity function '\(similarity)' is not known",
                hint: TuttiError.hint(unknown: similarity, known: ModelDirectory.similarities))
        }
        self.similarity = similarity
        truncatedDimension = try settings?.value("truncate_dim", check: .atLeast(1))
        self.notices = notices
    }
}

extension ModelDirectory {
    /// The first module with its folder, and the modules after it; nil when the folder has no modules.json.
    private static func readModules(
        _ path: String
    ) throws(TuttiError) -> (input: InputModule, folder: String, modules: [PlacedModule])? {
        let file = path + "/modules.json"
        guard FileManager.default.fileExists(atPath: file) else { return nil }
        guard let list = try JSONValue.parse(file: file).array else {
            throw TuttiError(.data, "read model", file, "is not a list of modules")
        }
        var first: (input: InputModule, folder: String)?
        var modules: [PlacedModule] = []
        var owners: [String: Int] = [:]
        for (index, value) in list.enumerated() {
            let place = "\(file): [\(index)]"
            guard let type = value["type"]?.string, let text = value["path"]?.string else {
                throw TuttiError(.data, "read model", place, "needs the strings 'type' and 'path'")
            }
            let modulePath = try ModulePath(text, isFirst: index == 0, root: path, place: place)
            if let other = owners.updateValue(index, forKey: modulePath.identity(in: path)) {
                throw TuttiError(
                    .data, "read model", place, "the path '\(text)' is also that of module \(other)",
                    hint: "Each module needs a folder of its own.")
            }
            let folder = modulePath.folder
            let className = type.split(separator: ".").last.map(String.init) ?? type
            if index == 0 {
                first = (try InputModule(className: className, place: place), folder)
                continue
            }
            guard InputModule(rawValue: className) == nil else {
                throw TuttiError(
                    .data, "read model", place, "there is a second \(className), where only one can be read")
            }
            let module = try HeadConfiguration.read(className: className, folder: folder, root: path, place: place)
            modules.append(PlacedModule(folder: folder, module: module))
        }
        guard let first else { throw TuttiError(.data, "read model", file, "the list of modules is empty") }
        let isPooled = if case .pooling? = modules.first?.module { true } else { false }
        guard isPooled || first.input != .transformer else {
            throw TuttiError(
                .data, "read model", file, "the module after the Transformer is not Pooling",
                hint: "Tutti trains models of one transformer, one pooling and the heads after it.")
        }
        guard !isPooled || first.input == .transformer else {
            throw TuttiError(
                .data, "read model", file,
                "there is a Pooling after \(first.input.rawValue), which has no token vectors")
        }
        return (first.input, first.folder, modules)
    }

    /// The pooling of a folder without modules.json: of a causal language model the last token, unless it was made
    /// bidirectional.
    private static func defaultPooling(_ file: ConfigurationFile) throws(TuttiError) -> PoolingMode {
        let isCausal = try file.value("is_causal") ?? true
        let name = file.object["architectures"]?.array?.first?.string ?? ""
        return isCausal && name.hasSuffix("ForCausalLM") ? .lastToken : .mean
    }

    private static func readPrompts(_ file: ConfigurationFile?) throws(TuttiError) -> [(name: String, text: String)] {
        guard let file, let object = try file.value("prompts", as: JSONObject.self) else { return [] }
        var prompts: [(name: String, text: String)] = []
        for (name, value) in object where !value.isNull {
            guard let text = value.string else {
                throw file.error(.expected("a string", found: value, at: "prompts.\(name)"))
            }
            prompts.append((name, text))
        }
        return prompts
    }

    /// Replaces members of config.json; true when anything changed.
    private static func apply(_ overrides: JSONObject?, to file: inout ConfigurationFile) throws(TuttiError) -> Bool {
        guard let overrides else { return false }
        let before = file.object
        let known = file.object.keys + EncoderSettings.keys(file).filter { !file.object.contains(key: $0) }
        let names = Set(known)
        for (key, value) in overrides {
            guard names.contains(key) else {
                throw TuttiError(
                    .usage, "override model configuration", "config_overrides.\(key)", "is not a key of \(file.path)",
                    hint: nearestName(to: key, among: known).map { "Did you mean '\($0)'?" })
            }
            file.object.set(key, value)
        }
        return file.object != before
    }
}
