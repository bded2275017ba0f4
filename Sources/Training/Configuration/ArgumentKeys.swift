// What `args:` can hold, key by key: effective, accepted without meaning here, or refused with the reason.
//
// Reference: SentenceTransformerTrainingArguments of sentence-transformers 6.2 on transformers 5. Everything that its
// `to_dict()` writes is known here, so that the arguments of a run on GPUs can be taken over as they are.

import TuttiFormats
import TuttiGround

/// The class of a training-argument key.
package enum ArgumentKey {
    /// Read by `TrainingArguments.init(json:)`.
    case effective
    /// Accepted: it has no meaning on CPU ranks without Python. One notice where the value asks for something.
    case withoutMeaning(String)
    /// Refused: the run would not be what its author asked for. Values that switch the feature off pass.
    case refused(String)

    /// The class of `name`; nil for a name that nobody knows.
    package static func classify(_ name: String) -> ArgumentKey? {
        if effectiveKeys.contains(name) { return .effective }
        if let reason = withoutMeaning[name] { return .withoutMeaning(reason) }
        if let reason = refused[name] { return .refused(reason) }
        return nil
    }

    /// What to do about a name that nobody knows.
    static func hint(unknown name: String) -> String {
        if let newName = renamed[name] { return "It is called \(newName)." }
        if TrainingConfiguration.options.names.contains(name) {
            return "\(name) is a key of its own: write it at the top level, beside args."
        }
        let known = effectiveKeys.sorted() + withoutMeaning.keys.sorted() + refused.keys.sorted()
        if let nearest = nearestName(to: name, among: known) { return "Did you mean '\(nearest)'?" }
        return "`tutti args` lists the training arguments."
    }

    /// Whether `value` of the key asks for nothing: it is the reference's default, or switches a feature off.
    static func asksForNothing(_ value: JSONValue, key: String) -> Bool {
        if let usual = defaults[key], usual == value { return true }
        switch value {
        case .null, .bool(false): return true
        // A token is written as "<HUB_TOKEN>" by to_dict, whether there is one or not.
        case .string(let text): return ["", "none", "no", "<\(key.uppercased())>"].contains(text)
        case .array(let items): return items.allSatisfy { asksForNothing($0, key: key) }
        case .object(let members): return members.allSatisfy { asksForNothing($0.value, key: $0.key) }
        case .integer(let number): return number == 0
        case .number(let number): return number == 0
        default: return false
        }
    }

    /// The keys that have an effect.
    static let effectiveKeys = Set(TrainingArguments.options.names)

    /// Names of older versions, and those that users take for a key.
    private static let renamed = [
        "evaluation_strategy": "eval_strategy", "per_gpu_train_batch_size": "per_device_train_batch_size",
        "per_gpu_eval_batch_size": "per_device_eval_batch_size", "batch_size": "per_device_train_batch_size",
        "epochs": "num_train_epochs", "num_epochs": "num_train_epochs", "lr": "learning_rate",
        "scheduler": "lr_scheduler_type", "optimizer": "optim", "group_by_length": "train_sampling_strategy",
        "overwrite_output_dir": "--overwrite, an option of tutti train",
    ]

    /// Defaults of the reference, of keys without meaning here, that would ask for something.
    private static let defaults: [String: JSONValue] = [
        "log_on_each_node": .bool(true), "logging_nan_inf_filter": .bool(true), "log_level": .string("passive"),
        "log_level_replica": .string("warning"), "dataloader_pin_memory": .bool(true),
        "dataloader_in_order": .bool(true), "remove_unused_columns": .bool(true),
        "train_sampling_strategy": .string("random"), "length_column_name": .string("length"),
        "ddp_timeout": .integer(1800), "skip_memory_metrics": .bool(true), "project": .string("huggingface"),
        "local_rank": .integer(-1),
        "average_tokens_across_devices": .bool(true), "eval_do_concat_batches": .bool(true),
        "even_batches": .bool(true), "use_seedable_sampler": .bool(true), "save_safetensors": .bool(true),
        "fp16_opt_level": .string("O1"), "half_precision_backend": .string("auto"),
    ]

    private static let display = "terminal and log output follow the terminal"
    private static let torch = "it steers PyTorch, which does not run here"
    private static let loader = "one thread prepares the next batch while the current one is computed"
    private static let command = "the command says what is done"
    private static let precision = "evaluation is in float32, which is at least as exact"
    private static let service = "nothing reports to a service"

    /// The keys that are accepted without effect, and why they have none.
    package static let withoutMeaning: [String: String] = [
        "do_train": command, "do_eval": command, "do_predict": command,
        "disable_tqdm": display, "log_level": display, "log_level_replica": display,
        "log_on_each_node": "only rank zero logs",
        "logging_dir": "metrics go to output_dir; TensorBoard's files to $TENSORBOARD_LOGGING_DIR where it is set",
        "logging_nan_inf_filter": "a run whose gradient is not finite stops with exit code 70",
        "dataloader_num_workers": loader, "dataloader_prefetch_factor": loader, "dataloader_pin_memory": loader,
        "dataloader_persistent_workers": loader, "dataloader_in_order": loader,
        "dataloader_multiprocessing_context": loader, "remove_unused_columns": "columns are chosen with `columns:`",
        "label_names": "the label is the column called label, labels, score or scores",
        "use_cpu": "it always runs on CPUs", "full_determinism": "a run repeats bit by bit on the same ranks anyway",
        "bf16_full_eval": precision, "fp16_full_eval": precision, "tf32": torch, "fp16_opt_level": torch,
        "half_precision_backend": torch, "gradient_checkpointing_kwargs": torch,
        "activation_checkpointing_kwargs": torch,
        "ddp_backend": "MPI is the only backend", "ddp_bucket_cap_mb": "buckets follow the layers",
        "ddp_find_unused_parameters": torch, "ddp_broadcast_buffers": torch, "ddp_timeout": torch,
        "ddp_static_graph": torch, "local_rank": "ranks come from the launcher", "torch_compile": torch,
        "torch_compile_backend": torch, "torch_compile_mode": torch, "torch_empty_cache_steps": torch,
        "use_liger_kernel": torch, "liger_kernel_config": torch, "accelerator_config": torch,
        "parallelism_config": torch, "debug": torch, "fsdp_config": torch,
        "restore_callback_states_from_checkpoint": "a resumed run always gives callbacks back what they kept",
        "save_on_each_node": "rank zero saves once", "skip_memory_metrics": "memory is not sampled",
        "include_num_input_tokens_seen": "tokens are always counted", "batch_eval_metrics": torch,
        "include_for_metrics": torch, "eval_do_concat_batches": torch, "eval_use_gather_object": torch,
        "average_tokens_across_devices": "it concerns losses of language models; losses here are exact on any number "
            + "of ranks",
        "eval_accumulation_steps": "no predictions are kept: an evaluation needs no more memory for more batches",
        "prediction_loss_only": torch,
        "save_safetensors": "weights are always safetensors", "use_cache": torch,
        "project": service, "trackio_space_id": service, "trackio_bucket_id": service,
        "trackio_static_space_id": service,
        "train_sampling_strategy": "batch_sampler decides, as in the reference",
        "length_column_name": "batch_sampler decides, as in the reference",
        "enable_jit_checkpoint": "SIGUSR2 saves and stops", "ignore_data_skip": "a resumed run skips no work",
    ]

    /// The keys that are refused unless they ask for nothing, and why.
    package static let refused: [String: String] = [
        "deepspeed": "it needs PyTorch; optimizer_sharding: all is its ZeRO stage 1",
        "fsdp": "it needs PyTorch; optimizer_sharding: all shards the optimizer's state",
        "label_smoothing_factor":
            "it belongs to losses over classes of tokens; sentence-transformers' losses never see it",
        "optim_target_modules": "no optimizer here uses it",
        "torchdynamo": "it needs PyTorch",
    ]
}
