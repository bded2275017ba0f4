// `model_card:` of a configuration: what its author says of the model, which the model card repeats.
//
// The keys are those of SentenceTransformerModelCardData, and base_model, which it finds out by asking the hub.

import TuttiFormats
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

    /// The keys and what they are for.
    public static let keys: [(name: String, words: String, meaning: String)] = [
        ("language", "a string or a list of strings", "languages, such as en"),
        ("license", "a string", "the licence, such as apache-2.0"),
        ("model_name", "a string", "the title of the card"),
        ("model_id", "a hub id", "where the model will be found, for the code in the card"),
        ("base_model", "a hub id", "the model that training starts from, where its path does not say"),
        ("task_name", "a string", "what the model is for, in words"),
        ("tags", "a string or a list of strings", "tags beside those that follow from the run"),
    ]
    private static let known = keys.map(\.name)
    private static let withoutEffect = [
        "train_datasets": "data sets are called by their names in train_dataset",
        "eval_datasets": "data sets are called by their names in eval_dataset",
        "local_files_only": "the hub is never asked", "generate_widget_examples": "cards here have no widget",
    ]

    /// Reads the section.
    ///
    /// Throws: `.usage` for an unknown key, with the nearest one, and for a value of another type.
    init(_ section: ConfigurationSection, notice: (String) -> Void) throws(TuttiError) {
        for (key, value) in section.object {
            if let reason = Self.withoutEffect[key] {
                if value != .null { notice("model_card.\(key) is accepted and has no effect: \(reason).") }
            } else if !Self.known.contains(key) {
                throw section.error(key, "unknown key", hint: TuttiError.hint(unknown: key, known: Self.known))
            }
        }
        func texts(_ key: String) throws(TuttiError) -> [String] {
            if let text = section.object[key]?.string { return [text] }
            return try section.strings(key) ?? []
        }
        languages = try texts("language")
        license = try section.string("license")
        modelName = try section.string("model_name")
        modelID = try section.string("model_id")
        baseModel = try section.string("base_model")
        taskName = try section.string("task_name")
        tags = try texts("tags")
        if let modelID, modelID.count(where: { $0 == "/" }) != 1 {
            throw section.error(
                "model_id", "\"\(modelID)\" is not a hub id", hint: "Write organization/name, or use model_name.")
        }
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
