// The facts that a model card tells, as plain values: training fills in what it knows, the rest stays empty.

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
        package var name = ""
        /// Its id on the hub; empty for none.
        package var id = ""
        /// Rows; nil where they are not known, or there are none.
        package var rowCount: Int?
        /// The columns in the order of the data.
        package var columns: [Column] = []
        /// The loss's class name.
        package var lossName = ""
        /// The loss's options; nil for a loss without any.
        package var lossConfiguration: JSONObject?

        /// No data set yet.
        package init() {}
    }

    /// A column of a data set.
    package struct Column: Sendable {
        /// Its name.
        package var name: String
        /// What Python calls the type of its values: string, int, float or list.
        package var type = ""
        /// What is known of its values: smallest, mean, largest, or the share of each.
        package var details: [(String, String)] = []
        /// The first values as a table shows them; as many in all columns of a data set.
        package var examples: [String] = []

        /// A column of which only the name is known.
        package init(name: String) { self.name = name }
    }

    /// Texts to try the model with on its page.
    package struct WidgetExample: Sendable {
        /// The text that others are compared with.
        package var source: String
        /// The others.
        package var sentences: [String]

        /// A text and others.
        package init(source: String, sentences: [String]) {
            self.source = source
            self.sentences = sentences
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
        "semantic textual similarity, semantic search, paraphrase mining, classification, clustering, and more"
    /// The path or hub id that training started from; empty for unknown.
    package var baseModel = ""
    /// The commit of it that training started from; empty for unknown.
    package var baseRevision = ""
    /// Languages, such as "en".
    package var languages: [String] = []
    /// The licence, such as "apache-2.0".
    package var license = ""
    /// Tags beside those that follow from the facts, in place of those of every such model.
    package var tags: [String] = []
    /// Width of the embeddings.
    package var dimension = 0
    /// Tokens that texts are cut to; nil = texts are not cut.
    package var maximumLength: Int? = 0
    /// "cosine", "dot", "euclidean" or "manhattan".
    package var similarity = "cosine"
    /// The modules, one line each.
    package var architecture: [String] = []
    /// The texts of the code that uses the model.
    package var usage = CardUsage()
    /// Texts to try the model with.
    package var widget: [WidgetExample] = []
    /// Evaluations in order, the last results of each.
    package var evaluations: [Evaluation] = []
    /// Training data.
    package var trainDatasets: [Dataset] = []
    /// The class names of the losses, each once: those of the data sets, then those inside them.
    package var losses: [String] = []
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
    /// Seconds of the run, and those of its evaluations among them; nil without a run.
    package var time: (total: Double, evaluation: Double)?
    /// Names and versions of what the model was trained with.
    package var versions: [(name: String, version: String)] = [("Tutti", tuttiVersion)]
    /// Citations by the names of the losses, in the order of `losses`.
    package var citations: [(name: String, bibtex: String)] = []

    /// No facts at all.
    package init() {}
}
