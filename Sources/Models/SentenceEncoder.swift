// A sentence encoder with everything that its folder says: tokenizer, transformer, heads, prompts, similarity.
//
// What: the one object that the command, training and evaluation share. `load` reads a folder of the
// sentence-transformers layout; `save` (ModelWriter.swift) writes one that sentence-transformers 3 to 6
// read; `encode` (TextEncoding.swift) turns texts into embeddings. Parameters live in `encoder.parameters`
// and are trained in place.
//
// Reference: sentence_transformers/sentence_transformer/model.py, base/model.py.

import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiText

/// A model that turns texts into embeddings.
public final class SentenceEncoder: SentenceEncoding {
    /// The first modules of all routes: most models have one.
    package private(set) var inputs: [TextInput]
    /// The modules of each route with their parameters: most models have one route. Freezing replaces it.
    package internal(set) var encoder: RoutedEncoder
    /// What the model's folder says, weights apart.
    package let directory: ModelDirectory
    /// Texts are cut to this number of tokens, special ones included; at most `encoder.longestSequence`.
    ///
    /// Of a model with several first modules, the largest limit; a new one holds for each that has a limit, as far as it
    /// has positions.
    public var maximumLength: Int {
        get { inputs.map(\.maximumLength).filter { $0 < EncoderPlan.unlimitedLength }.max() ?? inputs[0].maximumLength }
        set {
            precondition(
                (max(1, templateCount)...encoder.longestSequence).contains(newValue),
                "a maximum length of \(newValue) tokens")
            for place in inputs.indices where inputs.count == 1 || inputs[place].hasLimit {
                inputs[place].maximumLength = min(newValue, inputs[place].longestText)
            }
        }
    }
    /// Prompts by name.
    public var prompts: [String: String]
    /// The name of the prompt that `encode` puts before texts when none is given.
    public var defaultPromptName: String?
    /// "cosine", "dot", "euclidean" or "manhattan".
    public var similarity: String
    /// Whether encoding should be given up: asked between batches, on all ranks or on none. Nil = never.
    package var isInterrupted: (@Sendable () -> Bool)?
    /// Lines that a user should read once: what was assumed or changed while loading.
    public let notices: [String]
    /// What the model was loaded from, as the user called it.
    package let sourceDescription: String
    let weights: ModelWeights
    /// The adapter that is trained in place of the encoder's own weights, if it has one.
    package internal(set) var adapter: ModelAdapter?
    /// The parameters that were computed of texts, and the digest of the texts: their last bits are those of a machine.
    package private(set) var computed: (names: Set<String>, texts: String) = ([], "")
    /// Whether those parameters were not computed, and are to come from a checkpoint.
    package private(set) var awaitsCheckpoint = false

    /// Loads the model that `path` names: a folder, or a hub id, which is downloaded unless the local cache holds it:
    /// "org/name", "org/name@revision".
    ///
    /// `configOverrides` replaces members of config.json, such as hidden_dropout_prob.
    /// Throws: `.missingFile` (66) naming what is not there; `.data` (65) naming file and key or tensor for anything
    /// that cannot be used; `.usage` (64) for an unknown override.
    public static func load(_ path: String, configOverrides: JSONObject? = nil) throws(TuttiError) -> SentenceEncoder {
        try load(path, changes: ModelChanges(overrides: configOverrides))
    }

    /// Loads the model that `path` names as a run changes it; with a first module among the changes no folder is read.
    ///
    /// Throws: also `.usage` for modules and layers that do not fit.
    package static func load(_ path: String, changes: ModelChanges) throws(TuttiError) -> SentenceEncoder {
        if changes.makesInput {
            let directory = try ModelDirectory(making: changes)
            return try SentenceEncoder(directory, changes, source: directory.path)
        }
        let folder = try ModelHub.resolve(path)
        let directory = try ModelDirectory(path: folder, changes: changes)
        return try SentenceEncoder(directory, changes, source: ModelHub.title(of: path))
    }

    private init(_ folder: ModelDirectory, _ changes: ModelChanges, source: String) throws(TuttiError) {
        var directory = folder
        let file = directory.list.router.map { ConfigurationFile(path: $0.file.path, object: JSONObject()) }
        var (first, families, plans) = ([TensorFile](), [any EncoderFamily](), [EncoderPlan]())
        for input in directory.inputs {
            let weights = try input.openWeights()
            let family = try input.family(of: weights)
            plans.append(
                try EncoderSettings.known(input.configurationFile) { () throws(TuttiError) in try family.plan() })
            first.append(weights)
            families.append(family)
        }
        if let requests = changes.modules {
            let tokenizer = requests.contains(where: \.needsWords) ? try directory.inputs[0].tokenizer() : nil
            directory = directory.with(
                try ModuleList(making: requests, on: directory.list.inputs[0], plans[0]) {
                    tokenizer?.token(Int32($0)) ?? ""
                })
        }
        try SentenceEncoder.checkModules(directory)
        let routes = directory.routes.map { route in
            RoutePlan(
                name: route.name, plan: plans[route.input], heads: directory.heads(of: route),
                scope: directory.inputs[route.input].scope)
        }
        let encoder = try EncoderSettings.known(file ?? directory.inputs[0].configurationFile) {
            () throws(TuttiError) in try RoutedEncoder(routes)
        }
        for route in directory.routes {
            try SentenceEncoder.checkPooling(
                route, directory, hiddenSize: plans[route.input].hiddenSize)
        }
        let (path, seed) = (directory.path, changes.seed)
        weights = try ModelWeights(
            directory, first: first, modules: directory.modules, families: families.map { type(of: $0) },
            layouts: encoder.stores.map(\.layout)
        ) { (placed) throws(TuttiError) in
            // Like the reference, WordWeights are what their settings say.
            let isMade = placed.isMade || placed.module.overTokens?.tensorsAreSettings == true
            return isMade
                ? try placed.beginning(seed: seed) : try TensorFile.open(directory: path + "/" + placed.folder)
        }
        try weights.load(into: encoder.stores)

        let adapted = try SentenceEncoder.adapt(encoder, directory, families.map { type(of: $0) })
        adapter = adapted?.adapter
        var notices = directory.notices
        var inputs: [TextInput] = []
        for (place, input) in directory.inputs.enumerated() {
            let read = try TextInput(input, family: families[place], plan: plans[place], notices: &notices)
            inputs.append(read)
        }
        self.notices = notices
        self.directory = directory
        self.inputs = inputs
        self.encoder = adapted?.encoder ?? encoder
        prompts = Dictionary(directory.prompts.map { ($0.name, $0.text) }) { _, last in last }
        defaultPromptName = directory.defaultPromptName
        similarity = directory.similarity
        sourceDescription = source
    }

    /// The tokenizer, of the first route.
    package var tokenizer: Tokenizer { inputs[0].tokenizer }

    /// Special tokens around a text, of the route that has most.
    package var templateCount: Int { inputs.map(\.tokenizer.templateCount).max() ?? 0 }

    /// The embeddings of `texts` in their order, computed without dropout.
    ///
    /// `prompt` is put before every text; nil stands for the default prompt of the model, "" for none.
    /// Throws: `.diverged` for embeddings that are not finite, on every rank; `.preempted` when any rank was asked to give
    /// up; the error of another rank.
    /// Collective: with an ensemble every rank must call with the same texts, and every rank gets all rows.
    public func encode(
        _ texts: [String], prompt: String? = nil, tokensPerBatch: Int = 8192, ensemble: (any Ensemble)? = nil
    ) throws -> Embeddings {
        try encode(texts, prompt: prompt, task: nil, tokensPerBatch: tokensPerBatch, ensemble: ensemble)
    }

    /// The same by the route that a Router has for texts with this `task`, such as "query" or "document"; nil = its
    /// default route. Other models take no notice of it. Collective.
    ///
    /// Throws: also `.usage` for a task without a route.
    public func encode(
        _ texts: [String], prompt: String?, task: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?
    ) throws -> Embeddings {
        try encode(texts, prompt: prompt, task: task, tokensPerBatch: tokensPerBatch, ensemble: ensemble) { _, _ in }
    }

    /// The same, and `observe` gets the texts that are done, of all texts, from zero on: those of this rank's share as
    /// if the other ranks kept pace. Collective.
    package func encode(
        _ texts: [String], prompt: String?, task: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?,
        observe: (_ done: Int, _ total: Int) -> Void
    ) throws -> Embeddings {
        try TextEncoding(model: self, prompt: prompt, task: task, tokensPerBatch: tokensPerBatch)
            .embeddings(of: texts, ensemble: ensemble, observe: observe)
    }

    /// Writes the model's files into the existing folder `directory`; `card` becomes README.md, nil a card of the
    /// model's own facts. The caller makes the folder appear atomically.
    ///
    /// Throws: `.retryable` naming the file that cannot be written.
    public func save(to directory: String, card: String?) throws(TuttiError) {
        try save(to: directory, card: card ?? ModelCard(facts: modelCardFacts()).text, parameters: encoder.parameters)
    }

    /// The same with the values of `parameters`, a copy of the model's own, which are not touched; tokenizer files that are
    /// equal to those of `earlier`, a folder of the same model, become hard links.
    package func save(
        to directory: String, card: String, parameters: ParameterStore, earlier: String? = nil
    ) throws(TuttiError) {
        try ModelWriter(model: self, parameters: parameters, earlier: earlier).write(to: directory, card: card)
    }

    /// The bytes of a tokenizer file, by its path in the folder that `save` writes.
    package func tokenizerFile(_ path: String) -> [UInt8]? {
        for input in inputs {
            let scope = input.directory.scope.isEmpty ? "" : input.directory.scope + "/"
            if let file = input.tokenizer.files.first(where: { scope + $0.0 == path }) { return file.1 }
        }
        return nil
    }

    /// Replaces the parameters by those of the folder `path`, which must hold the same model.
    ///
    /// Throws: as `load`.
    package func restoreWeights(from path: String) throws(TuttiError) {
        defer { awaitsCheckpoint = false }
        if let adapter {
            let file = try TensorFile(path: path + "/" + ModelAdapter.weightsName)
            try adapter.load(file, into: encoder.parameters, family: type(of: inputs[0].family))
            return try weights.loadModules(of: path, into: encoder.stores)
        }
        let other = try ModelDirectory(path: path)
        guard other.inputs.map(\.scope) == directory.inputs.map(\.scope) else {
            throw TuttiError(.data, "read weights", path, "is a model of other modules")
        }
        var first: [TensorFile] = []
        for input in other.inputs { first.append(try input.openWeights()) }
        let weights = try ModelWeights(
            other, first: first, modules: directory.modules, families: inputs.map { type(of: $0.family) },
            layouts: [encoder.layout.withLossParameters([], alignment: 1), encoder.fixed.layout]
        ) { (placed) throws(TuttiError) in try TensorFile.open(directory: path + "/" + placed.folder) }
        try weights.load(into: encoder.stores)
    }

    /// Gives the weight of a made Dense, the module at `place` of the run's list, these numbers, computed of texts with the
    /// digest `texts`, or those of a checkpoint to come; its bias becomes zero.
    package func begin(module place: Int, with weight: [Float]?, of texts: String) throws(TuttiError) {
        awaitsCheckpoint = weight == nil
        let offset = directory.inputs[0].made == nil ? 0 : 1
        let module = directory.routes[0].modules[place - offset].module
        for tensor in module.tensors {
            guard let values = ModelWeights.values(tensor.name, in: encoder.stores) else { continue }
            if tensor.name.hasSuffix("linear.weight") {
                if let weight {
                    precondition(
                        values.count == weight.count, "SentenceEncoder: \(weight.count) numbers of \(values.count)")
                    _ = values.update(from: weight)
                }
                computed = ([tensor.name], texts)
            } else if tensor.name.hasSuffix("linear.bias") {
                values.update(repeating: 0)
            }
        }
    }

    /// A second encoder of the same kind, with parameters of its own that are still zero.
    package func makeTwin() throws(TuttiError) -> RoutedEncoder { try encoder.makeTwin() }

    /// The width of the embeddings that `encode` returns.
    public var dimension: Int { min(encoder.outputWidth, directory.truncatedDimension ?? encoder.outputWidth) }

    /// The family of each first module: model_type of config.json, or the class of a module that has none.
    package var architectureName: String {
        directory.inputs.map { $0.configuration["model_type"]?.string ?? $0.input.rawValue }.joined(separator: " + ")
    }

    /// The class names of the modules in order.
    package var moduleNames: [String] { directory.list.entries.map(\.className) }

    /// The tokens that texts are cut to; nil for a model without a longest length.
    package var lengthLimit: Int? { maximumLength < EncoderPlan.unlimitedLength ? maximumLength : nil }

    /// The modes of pooling of all routes, by their names in sentence-transformers.
    package var poolingModes: [String] {
        var names: [String] = []
        for case .pooling(let modes, _, _) in encoder.plans.filter({ !$0.plan.countsWords }).flatMap(\.heads) {
            names += modes.map(\.name).filter { !names.contains($0) }
        }
        return names
    }

    /// The kind of the first route's tokenizer: "WordPiece" ...
    ///
    /// Throws: `.data` if its file is not JSON.
    package func tokenizerKind() throws(TuttiError) -> String {
        if tokenizer.isOfWords { return "WhitespaceTokenizer" }
        guard let file = tokenizer.files.first(where: { $0.name == "tokenizer.json" }) else { return "" }
        let document = try JSONValue.parse(file.bytes, source: file.name)
        return document["model"]?["type"]?.string ?? "WordPiece"
    }

    /// Numbers in the tensors that are kept and not trained (a pooler).
    package var unusedParameterCount: Int {
        weights.parts.reduce(0) { sum, part in
            part.file.tensors.reduce(sum) { sum, info in
                let isUsed = part.parameters[info.name] != nil || part.dropped.contains(info.name)
                return isUsed ? sum : sum + info.count
            }
        }
    }

    /// False when pooling leaves out the tokens of the prompt, on any route.
    package var includesPrompt: Bool { directory.routes.allSatisfy(\.includesPrompt) }

    /// How the texts of each route become tokens.
    package var readers: [TextReader] {
        directory.routes.map { inputs[$0.input].reader(excludesPrompt: !$0.includesPrompt) }
    }

    /// A collator for this model; `prompts` has one prompt a text column, and columns beyond it have none. `tasks` has the
    /// task of each column, which chooses its route; columns beyond it have none.
    ///
    /// Throws: `.usage` for a task that has no route.
    package func makeCollator(prompts: [String] = [], tasks: [String?] = []) throws(TuttiError) -> Collator {
        var routes: [Int] = []
        for column in 0..<max(1, prompts.count, tasks.count) {
            routes.append(try directory.routing.route(of: column < tasks.count ? tasks[column] : nil))
        }
        return Collator(readers: readers, prompts: prompts, routes: routes)
    }
}

extension SentenceEncoder {
    private static func checkPooling(
        _ route: RouteModules, _ directory: ModelDirectory, hiddenSize: Int
    ) throws(TuttiError) {
        var width = hiddenSize
        for placed in route.modules {
            if let module = placed.module.overTokens { width = module.outputWidth(from: width) }
            if case .tokens(.layerMixture) = placed.module {
                let file = directory.inputs[route.input].configurationFile
                guard file.object["output_hidden_states"] == .bool(true) else {
                    throw file.error(
                        "output_hidden_states", "is not true, and without it the reference skips WeightedLayerPooling")
                }
            }
            guard case .pooling(_, let own?, _) = placed.module, own != width else { continue }
            throw TuttiError(
                .data, "read model configuration",
                "\(directory.path)/\(placed.folder)/config.json: word_embedding_dimension",
                "is \(own), but the "
                    + (width == hiddenSize
                        ? "transformer's hidden_size is \(width)" : "module before outputs \(width)"))
        }
    }

    /// Compares the modules' sizes with the weight files' headers, before anything is made of them.
    private static func checkModules(_ directory: ModelDirectory) throws(TuttiError) {
        for placed in directory.modules where placed.module.hasWeights && !placed.isMade {
            if placed.module.overTokens?.tensorsAreSettings == true { continue }
            let weights = try TensorFile.open(directory: directory.path + "/" + placed.folder)
            try ModelSizes(weights).check(placed, root: directory.path)
        }
    }
}
