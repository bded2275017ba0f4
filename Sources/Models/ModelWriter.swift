// A model as a folder that sentence-transformers 3 to 6 read.
//
// What: the layout of sentence-transformers 5. config.json keeps its bytes unless something in it changed, tokenizer
// files are copied, tensors keep names and order, and tensors that the encoder does not use keep their bytes, so that
// loading and saving a single-precision model gives the same tensors byte for byte. Parameters are written in single
// precision: a config.json that names another type would make the reference cast them, and is corrected.
//
// Reference: sentence_transformers/base/model.py (save), version 5.1.

import Foundation
import TuttiFormats
import TuttiGround

/// Writes the folder of a model.
struct ModelWriter {
    let model: SentenceEncoder

    /// What was read of the model's folder.
    private var source: ModelDirectory { model.directory }

    /// Writes the model's files into the existing folder `directory`, with `card` as README.md.
    ///
    /// Throws: `.retryable` naming the file that cannot be written.
    func write(to directory: String, card: String) throws(TuttiError) {
        try write(modulesText, to: directory + "/modules.json")
        try write(modelSettingsText, to: directory + "/config_sentence_transformers.json")
        if source.input.hasConfiguration {
            try write(transformerSettingsText, to: directory + "/sentence_bert_config.json")
            try AtomicWrite.file(path: directory + "/config.json", bytes: transformerConfigurationBytes())
        }
        for (name, bytes) in model.tokenizer.files { try AtomicWrite.file(path: directory + "/" + name, bytes: bytes) }
        for placed in source.modules {
            let folder = directory + "/" + placed.folder
            try makeFolder(folder)
            if let text = placed.module.configurationText(hiddenSize: model.encoder.plan.hiddenSize) {
                try write(text, to: folder + "/config.json")
            }
        }
        try model.weights.save(to: directory, from: model.encoder.parameters)
        try write(card, to: directory + "/README.md")
    }

    /// The bytes of config.json as they were, or its text with overrides, and the type of the weights and the class of the
    /// model corrected.
    private func transformerConfigurationBytes() -> [UInt8] {
        var configuration = source.transformerConfiguration
        var isChanged = source.isOverridden
        for key in ["torch_dtype", "dtype"] {
            guard let type = configuration[key]?.string, type != "float32" else { continue }
            configuration.set(key, .string("float32"))
            isChanged = true
        }
        // What is saved of a larger class is the encoder.
        if model.weights.parts.first?.isOfLargerClass ?? false,
            let name = configuration["model_type"]?.string.flatMap({ type(of: model.family).encoderClasses[$0] })
        {
            configuration.set("architectures", .array([.string(name)]))
            isChanged = true
        }
        guard isChanged else { return source.transformerConfigurationBytes }
        return Array((JSONValue.object(configuration).serialized(indent: 2) + "\n").utf8)
    }

    private var modulesText: String {
        let classes = model.moduleNames
        let folders = [""] + source.modules.map(\.folder)
        let modules = zip(classes, folders).enumerated().map { index, module in
            JSONValue.object([
                "idx": .integer(Int64(index)), "name": .string("\(index)"), "path": .string(module.1),
                "type": .string("sentence_transformers.models.\(module.0)"),
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

    private var transformerSettingsText: String {
        JSONValue.object([
            "max_seq_length": .integer(Int64(model.maximumLength)), "do_lower_case": .bool(source.lowercases),
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
