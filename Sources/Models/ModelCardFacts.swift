// The facts that a model card tells, as plain values: training fills in what it knows, the rest stays empty.

import TuttiEncoders
import TuttiFormats
import TuttiGround

/// Everything a model card can say.
package struct ModelCardFacts: Sendable {
    /// An evaluation's results.
    package struct Evaluation: Sendable {
        /// The heading, such as "Information Retrieval".
        package var title: String
        /// The evaluator's class name.
        package var className: String
        /// The name of the data; empty for none.
        package var dataset: String
        /// The options that differ from their defaults.
        package var configuration: JSONObject
        /// Keys without the data's name, and values.
        package var metrics: [(key: String, value: Double)]
        /// The key, among them, by which models are compared.
        package var primaryMetric: String

        /// An evaluation's results.
        package init(
            title: String, className: String, dataset: String, configuration: JSONObject = JSONObject(),
            metrics: [(key: String, value: Double)], primaryMetric: String
        ) {
            self.title = title
            self.className = className
            self.dataset = dataset
            self.configuration = configuration
            self.metrics = metrics
            self.primaryMetric = primaryMetric
        }
    }

    /// A data set that was trained or evaluated on.
    package struct Dataset: Sendable {
        /// Its name; empty for an unnamed one.
        package var name: String
        /// Rows.
        package var rowCount: Int
        /// Column names in the order of use, the label last.
        package var columns: [String]
        /// The loss's class name.
        package var lossName: String
        /// The loss's options.
        package var lossOptions: JSONObject
        /// The class names of the losses inside it, which are tags too.
        package var innerLosses: [String] = []

        /// A data set with its loss.
        package init(
            name: String = "", rowCount: Int, columns: [String], lossName: String,
            lossOptions: JSONObject = JSONObject()
        ) {
            self.name = name
            self.rowCount = rowCount
            self.columns = columns
            self.lossName = lossName
            self.lossOptions = lossOptions
        }
    }

    /// A row of the table of training logs: a step and the values known at it.
    package struct LogLine: Sendable {
        /// The epoch as a fraction.
        package var epoch: Double
        /// The optimizer step.
        package var step: Int
        /// Column names, such as "Training Loss", with values.
        package var values: [(column: String, value: Double)]

        /// A row of the table.
        package init(epoch: Double, step: Int, values: [(column: String, value: Double)]) {
            self.epoch = epoch
            self.step = step
            self.values = values
        }
    }

    /// The title; empty for one made of the base model.
    package var modelName = ""
    /// The hub id under which the model will be found; empty for none.
    package var modelID = ""
    /// What the model is for.
    package var taskName =
        "semantic textual similarity, semantic search, paraphrase mining, text classification, clustering, and more"
    /// The path or hub id that training started from; empty for unknown.
    package var baseModel = ""
    /// Languages, such as "en".
    package var languages: [String] = []
    /// The licence, such as "apache-2.0".
    package var license = ""
    /// Tags beside those that follow from the facts.
    package var tags: [String] = []
    /// Width of the embeddings.
    package var dimension = 0
    /// Tokens that texts are cut to; nil = texts are not cut.
    package var maximumLength: Int? = 0
    /// "cosine", "dot", "euclidean" or "manhattan".
    package var similarity = "cosine"
    /// The modules, one line each.
    package var architecture: [String] = []
    /// Evaluations in order, the last results of each.
    package var evaluations: [Evaluation] = []
    /// Training data.
    package var trainDatasets: [Dataset] = []
    /// Evaluation data with a loss.
    package var evalDatasets: [Dataset] = []
    /// Training arguments that differ from their defaults, as they are spelled in a configuration.
    package var changedArguments: [(name: String, value: String)] = []
    /// All training arguments.
    package var allArguments: [(name: String, value: String)] = []
    /// The training log.
    package var log: [LogLine] = []
    /// The step whose weights were kept, printed in bold.
    package var bestStep: Int?
    /// Names and versions of what the model was trained with.
    package var versions: [(name: String, version: String)] = [("Tutti", tuttiVersion)]
    /// Citations by the names of the losses.
    package var citations: [(name: String, bibtex: String)] = []

    /// No facts at all.
    package init() {}
}

extension SentenceEncoder {
    /// What the model itself knows for its card; training adds the rest.
    package func modelCardFacts() -> ModelCardFacts {
        var facts = ModelCardFacts()
        let isMade = directory.inputs.contains { $0.made != nil }
        facts.baseModel = !isMade && ModelHub.isHubID(sourceDescription) ? sourceDescription : ""
        facts.dimension = dimension
        facts.maximumLength = lengthLimit
        facts.similarity = similarity
        facts.architecture = moduleDescriptions
        return facts
    }

    /// The modules of the top level; a Router's with those of its routes.
    private var moduleDescriptions: [String] {
        let router = directory.list.router
        return directory.list.entries.enumerated().map { index, entry in
            if let router, entry.folder == router.folder, entry.className == "Router" {
                let routes = zip(router.file.structure, directory.routes.indices).map { structure, route in
                    let first = directory.routes[route].places.firstIndex { $0.contains("sub_modules") } ?? 0
                    let own = (first..<first + structure.ids.count).map { description(of: $0, on: route) }
                    return "    (\(structure.route)): Sequential(\n"
                        + own.enumerated().map { "      (\($0)): \($1)\n" }.joined() + "    )\n"
                }
                return "Router(\n\(routes.joined())  )"
            }
            // The same on every route: the number of modules before it, counted on the first.
            return description(of: directory.routes[0].places.firstIndex(of: "\(index).") ?? 0, on: 0)
        }
    }

    /// The module at `place` of a route, the first module being 0.
    private func description(of place: Int, on route: Int) -> String {
        func python(_ truth: Bool) -> String { truth ? "True" : "False" }
        let (pooledWidth, plan) = (encoder.plans[route].pooledWidth, encoder.plans[route].plan)
        let route = directory.routes[route]
        guard place > 0 else {
            let input = inputs[route.input]
            switch input.directory.input {
            case .transformer:
                let family = input.directory.configuration["model_type"]?.string ?? ""
                return "Transformer({'max_seq_length': \(input.maximumLength), "
                    + "'do_lower_case': \(python(input.directory.lowercases)), 'architecture': '\(family)'})"
            case .wordEmbeddings:
                return "WordEmbeddings(\n    (emb_layer): Embedding(\(plan.vocabularySize), \(plan.hiddenSize))\n  )"
            case .bagOfWords: return "BoW()"
            case .staticEmbedding:
                return "StaticEmbedding(\n    (embedding): EmbeddingBag(\(plan.vocabularySize), "
                    + "\(plan.hiddenSize), mode='mean')\n  )"
            }
        }
        switch route.modules[place - 1].module {
        case .tokens(let module):
            let settings = module.settings.map { "'\($0.key)': \($0.value.configurationText)" }
            return "\(module.className)(" + (settings.isEmpty ? ")" : "{\(settings.joined(separator: ", "))})")
        case .pooling(let modes, _, let includePrompt):
            return "Pooling({'word_embedding_dimension': \(pooledWidth), "
                + "'pooling_mode': '\(modes.map(\.name).joined(separator: "+"))', "
                + "'include_prompt': \(python(includePrompt))})"
        case .normalize: return "Normalize()"
        case .dense(_, let inputWidth, let outputWidth, let bias, let activation, let hasResidual):
            return "Dense({'in_features': \(inputWidth), 'out_features': \(outputWidth), 'bias': \(python(bias)), "
                + "'activation_function': '\(Activations.path(of: activation))'"
                + (hasResidual ? ", 'use_residual': True})" : "})")
        case .layerNorm(_, let width): return "LayerNorm({'dimension': \(width)})"
        case .dropout(let rate): return "Dropout({'dropout': \(rate)})"
        }
    }
}
