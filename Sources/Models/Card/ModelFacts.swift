// What a model knows of itself for its card: where it comes from, sizes, and its modules as the reference prints them.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround

extension ModelCardFacts {
    /// The hub id that `model` is; nil for a folder.
    package static func hubID(_ model: String) -> String? {
        ModelHub.isHubID(model) && !FileManager.default.fileExists(atPath: model) ? model : nil
    }
}

extension SentenceEncoder {
    /// What the model itself knows for its card; training adds the rest.
    package func modelCardFacts() -> ModelCardFacts {
        var facts = ModelCardFacts()
        let isMade = directory.inputs.contains { $0.made != nil }
        if !isMade, let id = ModelCardFacts.hubID(sourceDescription) {
            facts.baseModel = id
            facts.baseRevision = snapshot
        }
        facts.dimension = dimension
        // As the reference says it: the largest of the routes' limits.
        facts.maximumLength = inputs.map(\.maximumLength).max().flatMap {
            $0 < EncoderPlan.unlimitedLength ? $0 : nil
        }
        facts.similarity = similarity
        facts.architecture = moduleDescriptions
        facts.usage.isRetrieval = isMadeForRetrieval
        return facts
    }

    /// The commit in the path of a snapshot of the hub's cache.
    private var snapshot: String {
        let parts = directory.path.split(separator: "/").map(String.init)
        guard let place = parts.lastIndex(of: "snapshots"), place + 1 < parts.count else { return "" }
        return parts[place + 1]
    }

    /// Whether the model tells queries from documents: by routes or by prompts.
    private var isMadeForRetrieval: Bool {
        directory.list.router != nil
            || ["query", "document", "passage", "corpus"].contains { !(prompts[$0] ?? "").isEmpty }
    }

    /// The modules of the top level; a Router's with those of its routes.
    private var moduleDescriptions: [String] {
        let router = directory.list.router
        return directory.list.entries.enumerated().map { index, entry in
            if let router, entry.folder == router.folder, entry.className == "Router" {
                return description(of: router.file)
            }
            // The same on every route: the number of modules before it, counted on the first.
            return description(of: directory.routes[0].places.firstIndex(of: "\(index).") ?? 0, on: 0)
        }
    }

    private func description(of router: RouterFile) -> String {
        let routes = zip(router.structure, directory.routes.indices).map { structure, route in
            let first = directory.routes[route].places.firstIndex { $0.contains("sub_modules") } ?? 0
            let own = (first..<first + structure.ids.count).map { description(of: $0, on: route) }
            return "      (\(structure.route)): Sequential(\n"
                + own.enumerated().map { "        (\($0)): \($1)\n" }.joined() + "      )\n"
        }
        var settings: [String] = []
        if let route = router.routing.defaultRoute.map({ router.structure[$0].route }) {
            settings.append("default_route=\(pythonRepresentation(of: route))")
        }
        if let mappings = router.parameters["route_mappings"]?.object, !mappings.isEmpty {
            let pairs = mappings.map { "\($0.key): \(pythonSpelling(of: .array([$0.value])).dropFirst().dropLast())" }
            settings.append("route_mappings={\(pairs.joined(separator: ", "))}")
        }
        return "Router(\n" + (settings.isEmpty ? "" : "    \(settings.joined(separator: ", "))\n")
            + "    (sub_modules): ModuleDict(\n\(routes.joined())    )\n  )"
    }

    /// The module at `place` of a route, the first module being 0.
    private func description(of place: Int, on route: Int) -> String {
        let (pooledWidth, modules) = (encoder.plans[route].pooledWidth, directory.routes[route].modules)
        guard place > 0 else { return description(of: inputs[directory.routes[route].input]) }
        let module = modules[place - 1].module
        let text = pythonSpelling(of: .object(settings(of: module, pooledWidth: pooledWidth)))
        guard case .pooling = module else { return "\(module.className)(\(text))" }
        return "Pooling(\(text.replacing("[", with: "(").replacing("]", with: ")")))"  // several modes are a tuple
    }

    private func description(of input: TextInput) -> String {
        let className: String
        var settings = JSONObject()
        switch input.directory.input {
        case .transformer:
            className = "Transformer"
            let family = input.directory.configuration["model_type"]?.string ?? ""
            settings = [
                "transformer_task": .string("feature-extraction"),
                "modality_config": .object([
                    "text": .object([
                        "method": .string("forward"), "method_output_name": .string("last_hidden_state"),
                    ])
                ]),
                "module_output_name": .string("token_embeddings"),
                "architecture": .string(type(of: input.family).encoderClasses[family] ?? family),
            ]
        case .wordEmbeddings:
            className = "WordEmbeddings"
            for key in ["tokenizer_class", "update_embeddings", "max_seq_length"] {
                settings[key] = input.directory.configuration[key]
            }
        case .bagOfWords: className = "BoW"  // the reference lists the vocabulary here
        case .staticEmbedding: className = "StaticEmbedding"
        }
        return "\(className)(\(pythonSpelling(of: .object(settings))))"
    }

    /// The settings of a module under the reference's newest names; `pooledWidth` is that of the tokens.
    private func settings(of module: HeadConfiguration, pooledWidth: Int) -> JSONObject {
        let embedding = JSONValue.string("sentence_embedding")
        let features: JSONObject = ["module_input_name": embedding, "module_output_name": embedding]
        switch module {
        case .tokens(let module):
            var settings = JSONObject()
            for (key, value) in module.settings { settings[key.replacing("word_embedding", with: "embedding")] = value }
            return settings
        case .pooling(let modes, _, let includePrompt):
            return [
                "embedding_dimension": .integer(Int64(pooledWidth)),
                "pooling_mode": modes.count == 1 ? .string(modes[0].name) : .array(modes.map { .string($0.name) }),
                "include_prompt": .bool(includePrompt),
            ]
        case .normalize: return features
        case .dense(_, let inputWidth, let outputWidth, let bias, let activation, let hasResidual):
            let settings: JSONObject = [
                "in_features": .integer(Int64(inputWidth)), "out_features": .integer(Int64(outputWidth)),
                "bias": .bool(bias), "activation_function": .string(Activations.path(of: activation)),
            ]
            return settings.merging(features).merging(hasResidual ? ["use_residual": .bool(true)] : JSONObject())
        case .layerNorm(_, let width): return ["dimension": .integer(Int64(width))]
        case .dropout(let rate): return ["dropout": rate.optionJSON]
        }
    }
}
