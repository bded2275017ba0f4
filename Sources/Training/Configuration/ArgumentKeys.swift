// What may stand under `args:`, key by key: effective, accepted without meaning here, or refused with the reason.
//
// Reference: SentenceTransformerTrainingArguments of sentence-transformers 6.2 on transformers 5.

/// The class of a training-argument key.
enum ArgumentKey {
    /// Read by `TrainingArguments.init(json:)`.
    case effective
    /// Accepted with one notice line: it has no meaning on CPU ranks without Python.
    case withoutMeaning(String)
    /// Refused: the run would not be what its author asked for. Values equal to `harmless` pass.
    case refused(String)

    /// The class of `name`; nil for a name that nobody knows.
    static func classify(_ name: String) -> ArgumentKey? {
        if effectiveKeys.contains(name) { return .effective }
        if let reason = withoutMeaning[name] { return .withoutMeaning(reason) }
        if let reason = refused[name] { return .refused(reason) }
        return nil
    }

    /// Every known name, for suggestions.
    static var allNames: [String] { effectiveKeys.sorted() + withoutMeaning.keys.sorted() + refused.keys.sorted() }

    static let effectiveKeys: Set<String> = [
        "num_train_epochs", "max_steps", "per_device_train_batch_size", "per_device_eval_batch_size",
        "global_train_batch_size", "global_eval_batch_size", "gradient_accumulation_steps", "dataloader_drop_last",
        "batch_sampler", "multi_dataset_batch_sampler", "multi_dataset_temperature",
        "optim", "optim_args", "learning_rate", "weight_decay", "adam_beta1", "adam_beta2",
        "adam_epsilon", "max_grad_norm", "learning_rate_mapping", "lr_scheduler_type", "lr_scheduler_kwargs",
        "warmup_steps", "warmup_ratio", "seed", "data_seed", "logging_strategy", "logging_steps",
        "logging_first_step", "eval_strategy", "eval_steps", "eval_delay", "eval_on_start", "save_strategy",
        "save_steps", "save_total_limit", "save_only_model", "load_best_model_at_end", "metric_for_best_model",
        "greater_is_better", "prompts", "run_name", "clip_loss_parameters", "mini_batch_size", "mini_batch_tokens",
    ]

    private static let display = "terminal and log output follow the terminal"
    private static let torch = "it steers PyTorch, which does not run here"
    private static let loader = "one thread prepares the next batch while the current one is computed"

    static let withoutMeaning: [String: String] = [
        "do_train": "the command says what is done", "do_eval": "the command says what is done",
        "do_predict": "the command says what is done", "disable_tqdm": display, "log_level": display,
        "log_level_replica": display, "log_on_each_node": "only rank zero logs",
        "logging_nan_inf_filter": "a run whose gradient is not finite stops with exit code 70",
        "dataloader_num_workers": loader, "dataloader_prefetch_factor": loader, "dataloader_pin_memory": loader,
        "dataloader_persistent_workers": loader, "dataloader_in_order": loader,
        "dataloader_multiprocessing_context": loader, "remove_unused_columns": "columns are chosen with `columns:`",
        "use_cpu": "it always runs on CPUs", "full_determinism": "a run repeats bit by bit on the same ranks anyway",
        "ddp_backend": "MPI is the only backend", "ddp_bucket_cap_mb": "buckets follow the layers",
        "ddp_find_unused_parameters": torch, "ddp_broadcast_buffers": torch, "ddp_timeout": torch,
        "ddp_static_graph": torch, "local_rank": "ranks come from the launcher", "torch_compile": torch,
        "torch_compile_backend": torch, "torch_compile_mode": torch, "torch_empty_cache_steps": torch,
        "use_liger_kernel": torch, "tf32": torch, "accelerator_config": torch, "parallelism_config": torch,
        "restore_callback_states_from_checkpoint": "there is no callback state besides the checkpoint's own",
        "save_on_each_node": "rank zero saves once", "skip_memory_metrics": "memory is not sampled",
        "include_num_input_tokens_seen": "tokens are always counted", "batch_eval_metrics": torch,
        "eval_accumulation_steps": "embeddings, not logits, are gathered", "prediction_loss_only": torch,
        "save_safetensors": "weights are always safetensors", "use_cache": torch,
        "project": "nothing reports to a service", "trackio_space_id": "nothing reports to a service",
        "hub_strategy": "nothing is uploaded",
        "train_sampling_strategy": "batch_sampler decides, as in the reference", "fp16_opt_level": torch,
        "enable_jit_checkpoint": "SIGUSR2 saves and stops", "ignore_data_skip": "a resumed run skips no work",
    ]

    private static let precision = "training is in float32; remove it, the result is the reference's float32 run"
    private static let memory = "not available yet; lower the batch size or max_seq_length instead"
    private static let hub = "nothing is uploaded; push the folder `final/` with the hub's own tools"

    static let refused: [String: String] = [
        "bf16": precision, "fp16": precision, "bf16_full_eval": precision, "fp16_full_eval": precision,
        "gradient_checkpointing": memory, "gradient_checkpointing_kwargs": memory,
        "activation_checkpointing": memory, "auto_find_batch_size": "the batch size is part of the result; choose it",
        "deepspeed": "it needs PyTorch", "fsdp": "it needs PyTorch", "fsdp_config": "it needs PyTorch",
        "push_to_hub": hub, "hub_model_id": hub, "hub_token": hub, "hub_private_repo": hub,
        "hub_always_push": hub, "hub_revision": hub,
        "report_to": "metrics go to metrics.jsonl; no reporting service is known",
        "router_mapping": "Router modules are not known", "label_smoothing_factor": "no loss here uses it",
        "neftune_noise_alpha": "not available", "optim_target_modules": "no optimizer here uses it",
        "resume_from_checkpoint": "a run resumes by itself when the same configuration is started again",
        "torchdynamo": "it needs PyTorch",
    ]
}
