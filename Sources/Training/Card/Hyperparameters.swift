// The training arguments as a model card lists them: those of the reference in its order and spelling, then Tutti's own.
//
// Reference: on_train_begin of BaseModelCardCallback in sentence_transformers/base/model_card.py; the order is that of
// transformers/training_args.py.

import TuttiFormats
import TuttiGround

extension TrainingArguments {
    /// Name and value of every argument that decides the model, and of those that differ from their default.
    func hyperparameters() -> (changed: [(name: String, value: String)], all: [(name: String, value: String)]) {
        func texts(_ values: [(name: String, value: JSONValue)]) -> [(name: String, value: String)] {
            func place(_ name: String) -> Int { Self.order.firstIndex(of: name) ?? Self.order.count }
            return values.filter { !Self.ignored.contains($0.name) }.enumerated()
                .sorted { (place($0.element.name), $0.offset) < (place($1.element.name), $1.offset) }
                .map { ($0.element.name, Self.spelling($0.element.name, $0.element.value)) }
        }
        let options = TrainingArguments.options
        return (texts(options.changes(of: self, from: TrainingArguments())), texts(options.values(of: self)))
    }

    /// A value as Python prints it; numbers that users write without a fraction have none.
    private static func spelling(_ name: String, _ value: JSONValue) -> String {
        if name == "lr_scheduler_kwargs", value.object?.isEmpty == true { return "None" }
        if name == "router_mapping", value.isNull { return "{}" }
        if ["num_train_epochs", "warmup_steps"].contains(name), let number = value.double,
            let whole = Int64(exactly: number)
        {
            return "\(whole)"
        }
        return pythonSpelling(of: value)
    }

    /// What says where and how often a run writes, not what it learns.
    private static let ignored: Set = [
        "logging_strategy", "logging_first_step", "logging_steps", "eval_strategy", "eval_steps", "eval_delay",
        "save_strategy", "save_steps", "save_total_limit", "metric_for_best_model", "greater_is_better", "report_to",
        "run_name", "hub_token",
    ]

    private static let order = [
        "per_device_train_batch_size", "num_train_epochs", "max_steps", "learning_rate", "lr_scheduler_type",
        "lr_scheduler_kwargs", "warmup_steps", "optim", "optim_args", "weight_decay", "adam_beta1", "adam_beta2",
        "adam_epsilon", "gradient_accumulation_steps", "max_grad_norm", "bf16", "fp16", "activation_checkpointing",
        "gradient_checkpointing", "neftune_noise_alpha", "auto_find_batch_size", "per_device_eval_batch_size",
        "eval_on_start", "save_only_model", "push_to_hub", "hub_private_repo", "hub_model_id", "hub_strategy",
        "hub_always_push", "hub_revision", "load_best_model_at_end", "seed", "data_seed", "dataloader_drop_last",
        "resume_from_checkpoint", "prompts", "batch_sampler", "multi_dataset_batch_sampler", "router_mapping",
        "learning_rate_mapping", "warmup_ratio",
    ]
}
