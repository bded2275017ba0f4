// `model_card:` of a configuration: what its author says of the model, which the model card repeats.
//
// The keys are those of SentenceTransformerModelCardData, and base_model, which it finds out by asking the hub.

import TuttiGround
import TuttiModels

/// What a run's author says of the model.
public struct CardDescription: Sendable, Equatable {
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
    /// Tags beside those that follow from the run.
    public var tags: [String] = []

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
        Option("tags", \.tags, "tags beside those that follow from the run", words: listWords),
    ])
    private static let listWords = "a string or a list of strings"

    /// The keys that are accepted without effect, and why they have none.
    package static let withoutEffect = [
        "train_datasets": "data sets are called by their names in train_dataset",
        "eval_datasets": "data sets are called by their names in eval_dataset",
        "local_files_only": "the hub is never asked", "generate_widget_examples": "cards here have no widget",
    ]

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
    }
}
