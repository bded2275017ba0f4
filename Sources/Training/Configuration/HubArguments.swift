// Whether and how a run pushes its model to the hub.
//
// Reference: TrainingArguments of transformers, and Trainer._push_from_checkpoint.

import TuttiGround
import TuttiHub

/// What is pushed, and when.
public enum HubStrategy: String, Sendable, CaseIterable {
    /// The final model.
    case end
    /// The model of every checkpoint as well.
    case everySave = "every_save"
    /// Also the newest checkpoint, to go on from, in the folder last-checkpoint.
    case checkpoint
    /// Also every checkpoint, in a folder of its name.
    case allCheckpoints = "all_checkpoints"
}

/// How a run pushes its model to the hub.
public struct HubArguments: Sendable, Equatable {
    /// Whether it does.
    public var isWanted = false
    /// "organization/name"; nil for the name of the output directory, in the user's own account.
    public var modelID: String?
    /// What is pushed, and when.
    public var strategy = HubStrategy.everySave
    /// Whether the repository is private if it is made; nil leaves it to the organization.
    public var isPrivate: Bool?
    /// The access token; nil for that of the environment. It is kept nowhere.
    public var token: String?
    /// The branch; nil for main.
    public var revision: String?
    /// Whether a checkpoint is pushed too when an earlier one is still under way.
    public var alwaysPushes = false

    /// The reference's defaults: nothing is pushed.
    public init() {}

    /// Their keys.
    static let options: [Option<TrainingArguments>] = [
        Option("push_to_hub", \.hub.isWanted, "push the model to the Hugging Face hub, beside training"),
        Option(
            "hub_model_id", \.hub.modelID,
            "organization/name; by default a repository of one's own called as output_dir",
            check: OptionCheck("an id of the hub") { (id: String?) in
                id.map(HubRepository.isID) ?? true
                    ? nil : "\"\(id ?? "")\" is not an id of the hub: write organization/name"
            }),
        Option(
            "hub_strategy", \.hub.strategy,
            "what is pushed: end, the final model; every_save, that of every checkpoint too; checkpoint, also the newest "
                + "checkpoint, in last-checkpoint; all_checkpoints, every one in its folder"),
        Option("hub_private_repo", \.hub.isPrivate, "whether the repository is private, if it is made"),
        Option(
            "hub_token", words: "a text", "the access token; that of HF_TOKEN or of a login if not given",
            read: { (json, arguments) throws(OptionProblem) in
                let token = json.isNull ? "" : try String(option: json)
                arguments.hub.token = ["", "<HUB_TOKEN>"].contains(token) ? nil : token
            }, write: { $0.hub.token == nil ? .null : .string("<HUB_TOKEN>") }),
        Option("hub_revision", \.hub.revision, "the branch that is pushed to; main if not given"),
        Option(
            "hub_always_push", \.hub.alwaysPushes,
            "push a checkpoint too while an earlier one is still under way; it is left out otherwise"),
    ]
}

extension HubStrategy: OptionChoice {}
