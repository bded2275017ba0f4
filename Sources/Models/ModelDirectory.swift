// A model folder of the sentence-transformers layout, read without its weights.
//
// What: modules.json says which modules there are and where; without it the folder is a plain Hugging Face encoder and,
// as in the reference, mean pooling is put on top, or that of the last token if it is a causal language model. Both the older layout (limits in sentence_bert_config.json) and the
// newer one (limit in tokenizer_config.json) are read, and folders of modules without weights may be missing.
// Decisions that a user should know of are collected as notices, never printed here.
//
//   modules.json                       module classes and folders, in order
//   config.json ...                    the first module's own files (InputDirectory.swift)
//   config_sentence_transformers.json  prompts, default_prompt_name, similarity_fn_name, truncate_dim
//   1_Pooling/config.json ...          one folder a module
//   router_config.json                 of a Router, whose modules have folders of their own
//
// Reference: sentence_transformers/base/model.py (_load_config_modules).

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround

/// What a model folder says about its model, weights apart.
package struct ModelDirectory: Sendable {
    /// The folder.
    package let path: String
    /// The first modules of all routes, each once.
    package let inputs: [InputDirectory]
    /// The modules as they are listed.
    private(set) var list: ModuleList
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

    /// The modules of each route; most models have one.
    package var routes: [RouteModules] { list.routes }
    /// Which route encodes a text.
    package var routing: Routing { list.router?.file.routing ?? .single }

    /// The modules of all routes after the first ones, each once.
    package var modules: [PlacedModule] {
        routes.flatMap(\.modules).reduce(into: []) { all, placed in
            if !all.contains(where: { $0.folder == placed.folder }) { all.append(placed) }
        }
    }

    /// The similarity functions that a model may name.
    package static let similarities = ["cosine", "dot", "euclidean", "manhattan"]

    /// A model whose modules a run makes, the first of them too.
    ///
    /// Throws: as the files that it is made of.
    init(making changes: ModelChanges) throws(TuttiError) {
        guard let request = changes.modules?.first, request.makesInput else {
            preconditionFailure("ModelDirectory: no first module")
        }
        for (key, isGiven) in [
            ("config_overrides", changes.overrides?.isEmpty == false), ("keep_layers", changes.keptLayers != nil),
        ] where isGiven {
            throw TuttiError(
                .usage, "make the model", key, "the model is made by modules and has no config.json",
                hint: "Remove the key.")
        }
        var notices: [String] = []
        let input = try InputDirectory.made(request, notices: &notices)
        path = input.path
        inputs = [input]
        list = ModuleList(input: ModuleList.Input(kind: input.input, folder: "", scope: ""), modules: [])
        prompts = []
        defaultPromptName = nil
        similarity = "cosine"
        truncatedDimension = nil
        self.notices = notices
    }

    /// The same with the modules of `list`.
    func with(_ list: ModuleList) -> ModelDirectory {
        var other = self
        other.list = list
        return other
    }

    /// Reads the folder `path` as a run changes it.
    ///
    /// Throws: `.missingFile` naming what is not there; `.data` naming file and key; `.usage` for an unknown override.
    package init(path: String, changes: ModelChanges = ModelChanges()) throws(TuttiError) {
        let overrides = changes.overrides
        var notices: [String] = []
        self.path = path
        let listed = try ModuleList(path)
        var inputs: [InputDirectory] = []
        for input in listed?.inputs ?? [ModuleList.Input(kind: .transformer, folder: "", scope: "")] {
            inputs.append(
                try InputDirectory(
                    input.kind, path: input.folder.isEmpty ? path : path + "/" + input.folder, scope: input.scope,
                    overrides: overrides, keptLayers: changes.keptLayers,
                    needsLayers: changes.modules?.contains { $0.needsLayers } ?? false))
        }
        if let listed {
            list = listed
        } else {
            let mode = try ModelDirectory.defaultPooling(inputs[0].configurationFile)
            list = ModuleList(pooling: mode)
            let name = mode == .mean ? "mean pooling" : "pooling of the last token"
            notices.append("\(path) has no modules.json: it is taken as a plain encoder, with \(name) on top")
        }
        self.inputs = inputs
        let isTransformer = inputs.contains(where: \.input.hasConfiguration)
        if let overrides, !overrides.isEmpty, !isTransformer {
            throw TuttiError(
                .usage, "override model configuration", "config_overrides", "the model has no config.json to override",
                hint: "Remove the key.")
        }
        if changes.keptLayers != nil, !isTransformer || list.router != nil {
            throw TuttiError(
                .usage, "choose layers", "keep_layers",
                list.router != nil ? "the model has a Router" : "the model has no layers", hint: "Remove the key.")
        }
        if changes.modules != nil, list.router != nil {
            throw TuttiError(
                .usage, "make the modules", "modules", "the model has a Router, whose modules cannot be replaced",
                hint: "Remove the key.")
        }

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
}
