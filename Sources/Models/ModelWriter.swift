// A model as a folder that sentence-transformers 3 to 6 read.
//
// What: the layout of sentence-transformers 5. config.json keeps its bytes unless something in it changed, tokenizer
// files are copied, tensors keep names and order, and tensors that the encoder does not use keep their bytes, so that
// loading and saving a single-precision model gives the same tensors byte for byte. Parameters are written in single
// precision: a config.json that names another type would make the reference cast them, and is corrected.
//
// Reference: sentence_transformers/base/model.py (save), version 5.1.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround

/// Writes the folder of a model.
struct ModelWriter {
    let model: SentenceEncoder
    /// The values to write, in the layout of the model's own.
    let parameters: ParameterStore
    /// A folder of the same model: tokenizer files that hold the same become hard links to its own.
    let earlier: String?

    /// The values that are written: of what is trained, and of what is not.
    private var stores: [ParameterStore] { [parameters, model.encoder.fixed] }
    /// What was read of the model's folder.
    private var source: ModelDirectory { model.directory }

    /// Writes the model's files into the existing folder `directory`, with `card` as README.md.
    ///
    /// Throws: `.retryable` naming the file that cannot be written.
    func write(to directory: String, card: String) throws(TuttiError) {
        try write(modulesText, to: directory + "/modules.json")
        try write(modelSettingsText, to: directory + "/config_sentence_transformers.json")
        if let (file, folder) = source.list.router {
            let path = folder.isEmpty ? directory : directory + "/" + folder
            try makeFolder(path)
            try write(file.text, to: path + "/router_config.json")
        }
        for input in model.inputs {
            let scope = input.directory.savedFolder
            let folder = scope.isEmpty ? directory : directory + "/" + scope
            try makeFolder(folder)
            try write(input, to: folder, scope: scope)
        }
        var written: Set<String> = []
        for (route, plan) in zip(source.routes, model.encoder.plans) {
            for placed in route.modules where written.insert(placed.folder).inserted {
                let folder = directory + "/" + placed.folder
                try makeFolder(folder)
                let text = placed.module.configurationText(hiddenSize: plan.pooledWidth) { name in
                    guard let values = ModelWeights.values(name, in: stores) else {
                        preconditionFailure("ModelWriter: no parameter '\(name)'")
                    }
                    return values
                }
                if let text { try write(text, to: folder + "/" + placed.module.settingsName) }
            }
        }
        try model.weights.save(to: directory, from: stores, withInput: model.adapter == nil)
        try model.adapter?.save(to: directory, from: parameters)
        try write(card, to: directory + "/README.md")
    }

    /// Writes the files of a first module, weights apart.
    private func write(_ input: TextInput, to folder: String, scope: String) throws(TuttiError) {
        if input.directory.input.hasConfiguration {
            try write(settingsText(input), to: folder + "/sentence_bert_config.json")
            if model.adapter == nil {
                try AtomicWrite.file(path: folder + "/config.json", bytes: configurationBytes(input))
            }
        } else if let name = input.directory.input.settingsName {
            try AtomicWrite.file(path: folder + "/" + name, bytes: settingsBytes(input))
        }
        let before = earlier.map { scope.isEmpty ? $0 : $0 + "/" + scope }
        for (name, bytes) in input.tokenizer.files {
            try AtomicWrite.file(path: folder + "/" + name, bytes: bytes, sameAs: before.map { $0 + "/" + name })
        }
    }

    /// The bytes of the settings of a module that reads words, with the length in use.
    private func settingsBytes(_ input: TextInput) -> [UInt8] {
        guard input.directory.input.keepsLength, input.maximumLength != input.directory.maximumLength else {
            return input.directory.configurationBytes
        }
        var settings = input.directory.configuration
        settings.set("max_seq_length", .integer(Int64(input.maximumLength)))
        return Array(JSONValue.object(settings).serialized(indent: 4).utf8)
    }

    /// The bytes of config.json as they were, or its text with overrides, and the type of the weights and the class of the
    /// model corrected.
    private func configurationBytes(_ text: TextInput) -> [UInt8] {
        let input = text.directory
        var configuration = input.configuration
        var isChanged = input.isOverridden
        for key in ["torch_dtype", "dtype"] {
            guard let type = configuration[key]?.string, type != "float32" else { continue }
            configuration.set(key, .string("float32"))
            isChanged = true
        }
        // What is saved of a larger class is the encoder.
        let part = model.weights.parts.first { $0.folder == input.scope }
        if part?.isOfLargerClass ?? false,
            let name = configuration["model_type"]?.string.flatMap({ type(of: text.family).encoderClasses[$0] })
        {
            configuration.set("architectures", .array([.string(name)]))
            isChanged = true
        }
        guard isChanged else { return input.configurationBytes }
        return Array((JSONValue.object(configuration).serialized(indent: 2) + "\n").utf8)
    }

    private var modulesText: String {
        let modules = source.list.entries.enumerated().map { index, entry in
            let isInput = index == 0 && source.list.router?.folder != entry.folder
            return JSONValue.object([
                "idx": .integer(Int64(index)), "name": .string("\(index)"),
                "path": .string(isInput ? model.inputs[0].directory.savedFolder : entry.folder),
                "type": .string("sentence_transformers.models.\(entry.className)"),
            ])
        }
        return JSONValue.array(modules).serialized(indent: 2)
    }

    private var modelSettingsText: String {
        var named = JSONObject()
        for name in ["query", "document"] { named.set(name, .string(model.prompts[name] ?? "")) }
        for (name, _) in source.prompts { if let text = model.prompts[name] { named.set(name, .string(text)) } }
        for name in model.prompts.keys.sorted() { named.set(name, .string(model.prompts[name] ?? "")) }
        var settings: JSONObject = [
            "model_type": .string("SentenceTransformer"),
            "__version__": .object(["sentence_transformers": .string("3.0.0"), "tutti": .string(tuttiVersion)]),
            "prompts": .object(named), "default_prompt_name": model.defaultPromptName.map { .string($0) } ?? .null,
            "similarity_fn_name": .string(model.similarity),
        ]
        if let width = source.truncatedDimension { settings.set("truncate_dim", .integer(Int64(width))) }
        return JSONValue.object(settings).serialized(indent: 2)
    }

    private func settingsText(_ input: TextInput) -> String {
        JSONValue.object([
            "max_seq_length": .integer(Int64(input.maximumLength)), "do_lower_case": .bool(input.directory.lowercases),
        ])
        .serialized(indent: 4)
    }

    private func write(_ text: String, to path: String) throws(TuttiError) {
        try AtomicWrite.file(path: path, text: text)
    }

    private func makeFolder(_ path: String) throws(TuttiError) {
        var status = stat()
        if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK {
            throw TuttiError(
                .usage, "save model", path, "is a link, and a model is not written through links",
                hint: "Save into an empty folder.")
        }
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw TuttiError(.retryable, "save model", path, "cannot be made: \(error.localizedDescription)")
        }
    }
}
