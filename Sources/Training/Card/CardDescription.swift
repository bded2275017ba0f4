// `model_card:` of a configuration: what its author says of the model, which the model card repeats.
//
// The keys are those of SentenceTransformerModelCardData, and base_model, which it finds out by asking the hub.

import TuttiGround
import TuttiModels

/// What a run's author says of the model.
public struct CardDescription: Sendable, Equatable {
    /// A data set as a reader finds it.
    public struct Dataset: Sendable, Equatable {
        /// What it is called.
        public var name: String
        /// Where the hub has it, "organization/name"; empty for nowhere.
        public var id: String

        /// A data set's name, which by default is its id.
        public init(name: String = "", id: String = "") {
            self.name = name.isEmpty ? id : name
            self.id = id
        }
    }

    /// Languages, such as "en".
    public var languages: [String] = []
    /// The licence, such as "apache-2.0".
    public var license: String?
    /// The title of the card.
    public var modelName: String?
    /// The hub id under which the model will be found, "organization/name".
    public var modelID: String?
    /// The hub id of the model that training starts from, where its path does not say.
    public var baseModel: String?
    /// What the model is for, in words.
    public var taskName: String?
    /// Tags beside those that follow from the run, in place of those of every such model.
    public var tags: [String] = []
    /// The training data, in their order; empty for the names that the run has for them.
    public var trainDatasets: [Dataset] = []
    /// The evaluation data, in their order; empty for the names that the run has for them.
    public var evalDatasets: [Dataset] = []
    /// Whether the similarities of an example are computed.
    public var generatesExamples = true

    /// Nothing said.
    public init() {}

    /// The keys that the card takes.
    package static let options = OptionList<CardDescription>([
        Option("language", \.languages, "languages, such as en", words: listWords),
        Option("license", \.license, "the licence, such as apache-2.0"),
        Option("model_name", \.modelName, "the title of the card"),
        Option(
            "model_id", \.modelID, "where the model will be found, for the code in the card", words: "a hub id",
            check: OptionCheck("organization/name") {
                $0.count(where: { $0 == "/" }) == 1
                    ? nil : "\"\($0)\" is not a hub id: write organization/name, or use model_name"
            }),
        Option(
            "base_model", \.baseModel, "the model that training starts from, where its path does not say",
            words: "a hub id"),
        Option("task_name", \.taskName, "what the model is for, in words"),
        Option(
            "tags", \.tags,
            "tags beside those that follow from the run, in place of sentence-transformers and the like",
            words: listWords),
        Option(
            "train_datasets", \.trainDatasets, "names and hub ids of the training data, in their order",
            words: datasetWords),
        Option(
            "eval_datasets", \.evalDatasets, "names and hub ids of the evaluation data, in their order",
            words: datasetWords),
        Option(
            "generate_widget_examples", \.generatesExamples,
            "compute the similarities of an example for the code in the card"),
    ])
    private static let datasetWords = "a list of {name: ..., id: organization/name}"
    private static let listWords = "a string or a list of strings"

    /// The keys that are accepted without effect, and why they have none.
    package static let withoutEffect = ["local_files_only": "the hub is never asked"]

    /// Reads the section.
    ///
    /// Throws: a problem at an unknown key, with the nearest one, and at a value of another type.
    init(_ section: JSONObject, notice: (String) -> Void) throws(OptionProblem) {
        var object = section
        for (key, value) in section {
            guard let reason = Self.withoutEffect[key] else { continue }
            if !value.isNull { notice("model_card.\(key) is accepted and has no effect: \(reason).") }
            object[key] = nil
        }
        try Self.options.checkKeys(of: object)
        try Self.options.read(object, into: &self)
    }

    /// Puts what was said into a card's facts.
    func describe(_ facts: inout ModelCardFacts) {
        facts.languages = languages
        facts.license = license ?? ""
        facts.modelName = modelName ?? ""
        facts.modelID = modelID ?? ""
        facts.tags = tags
        if let baseModel { facts.baseModel = baseModel }
        if let taskName { facts.taskName = taskName }
        CardDescription.name(&facts.trainDatasets, trainDatasets)
        CardDescription.name(&facts.evalDatasets, evalDatasets)
    }

    /// Calls data sets as their author does.
    private static func name(_ datasets: inout [ModelCardFacts.Dataset], _ names: [Dataset]) {
        for (place, dataset) in zip(datasets.indices, names) {
            datasets[place].name = dataset.name
            datasets[place].id = dataset.id
        }
    }

    /// Refuses names for another number of data sets than there are.
    ///
    /// Throws: a problem at the key.
    func check(train: Int, eval: Int) throws(OptionProblem) {
        for (key, names, count) in [
            ("train_datasets", trainDatasets.count, train), ("eval_datasets", evalDatasets.count, eval),
        ] where names > 0 && names != count {
            throw OptionProblem(
                "names \(names) data sets, and the run has \(count)", hint: "Name all of them, in their order.", at: key
            )
        }
    }
}

extension CardDescription.Dataset: OptionValue {
    /// What a configuration writes, in words.
    public static var words: String { "{name: ..., id: organization/name}, or a hub id" }

    private static let options = OptionList<Self>([
        Option("name", \.name, "what it is called"), Option("id", \.id, "where the hub has it"),
    ])

    /// Reads the value as a configuration writes it.
    public init(option json: JSONValue) throws(OptionProblem) {
        if let id = json.string {
            self.init(id: id)
            return
        }
        guard let object = json.object else { throw .expected(Self.words, found: json) }
        try Self.options.checkKeys(of: object)
        var read = Self()
        try Self.options.read(object, into: &read)
        self.init(name: read.name, id: read.id)
        guard !name.isEmpty else { throw OptionProblem("has neither a name nor an id", hint: "Write \(Self.words).") }
    }

    /// The value as a configuration writes it.
    public var optionJSON: JSONValue {
        id.isEmpty ? .object(["name": .string(name)]) : .object(["name": .string(name), "id": .string(id)])
    }
}
