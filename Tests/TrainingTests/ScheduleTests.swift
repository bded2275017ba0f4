// Schedules, event plans and arguments against the reference's formulas.

import Foundation
import Testing
import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiTraining

/// The options of a schedule written outside the package.
private struct PowerSettings: DescribedSettings {
    var power = 2.0
    static let options = OptionList<PowerSettings>([
        Option("power", \.power, "the power of the share of steps that is left", check: .positive)
    ])
}

@Suite struct ScheduleTests {
    private func factors(_ name: String, _ options: JSONObject = [:], warmup: Int, total: Int) throws -> [Double] {
        let schedule = try LearningRateSchedule(
            name: name, options: options, learningRate: 1e-4, warmupSteps: warmup, totalSteps: total)
        return (0...total).map(schedule.factor)
    }

    private func close(_ a: [Double], _ b: [Double]) -> Bool { zip(a, b).allSatisfy { abs($0 - $1) < 1e-12 } }

    @Test func linearWarmsUpFromZeroAndEndsAtZero() throws {
        #expect(
            close(
                try factors("linear", warmup: 2, total: 10),
                [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]))
    }

    @Test func constantIgnoresWarmupAndItsTwinDoesNot() throws {
        #expect(close(try factors("constant", warmup: 2, total: 4), [1, 1, 1, 1, 1]))
        #expect(close(try factors("constant_with_warmup", warmup: 2, total: 4), [0, 0.5, 1, 1, 1]))
    }

    @Test func cosinesFollowTheirFormulas() throws {
        let root = 0.5.squareRoot()
        #expect(close(try factors("cosine", warmup: 0, total: 4), [1, (1 + root) / 2, 0.5, (1 - root) / 2, 0]))
        let restarts = try factors("cosine_with_restarts", ["num_cycles": .number(2)], warmup: 0, total: 4)
        #expect(close(restarts, [1, 0.5, 1, 0.5, 0]))
        #expect(
            close(
                try factors("cosine_with_min_lr", ["min_lr_rate": .number(0.1)], warmup: 0, total: 2), [1, 0.55, 0.1]))
    }

    @Test func inverseSquareRootFallsFromTheEndOfTheWarmup() throws {
        let found = try factors("inverse_sqrt", warmup: 4, total: 16)
        #expect(close(Array(found.prefix(5)), [0, 0.25, 0.5, 0.75, 1]))
        #expect(close([found[16]], [0.5]))
    }

    @Test func unknownNamesAndOptionsAreRefused() {
        #expect(throws: TuttiError.self) {
            try LearningRateSchedule(name: "linaer", options: [:], learningRate: 1, warmupSteps: 0, totalSteps: 1)
        }
        #expect(throws: TuttiError.self) {
            try LearningRateSchedule(
                name: "linear", options: ["num_cycles": .number(1)], learningRate: 1, warmupSteps: 0, totalSteps: 1)
        }
    }

    @Test func nameAndOptionsAreRefusedWithPlaceAndNearestName() {
        func error(_ name: String, _ options: JSONObject) -> TuttiError? {
            #expect(throws: TuttiError.self) { try factors(name, options, warmup: 0, total: 1) }
        }
        let name = error("linaer", [:])
        #expect(name?.kind == .usage && name?.subject == "args.lr_scheduler_type")
        #expect(name?.hint?.contains("'linear'") == true)
        let option = error("cosine", ["num_cycle": .number(1)])
        #expect(option?.kind == .usage && option?.subject == "args.lr_scheduler_kwargs.num_cycle")
        #expect(option?.problem == "the schedule \"cosine\" has no such option")
        #expect(option?.hint?.contains("'num_cycles'") == true)
        #expect(error("linear", ["num_cycles": .number(1)])?.hint == "It has none.")
        let type = error("cosine", ["num_cycles": .string("many")])
        #expect(type?.subject == "args.lr_scheduler_kwargs.num_cycles" && type?.problem.contains("a number") == true)
        #expect(error("cosine_with_min_lr", [:])?.subject == "args.lr_scheduler_kwargs")
    }

    @Test func aScheduleFromOutsideIsFound() throws {
        ScheduleRegistry.add(
            ScheduleEntry(name: "falling_as_a_power", summary: "falls as a power", settings: PowerSettings.self) {
                settings, t, w, n in pow(max(0, (n - t) / max(1, n - w)), settings.power)
            })
        #expect(close(try factors("falling_as_a_power", warmup: 2, total: 4), [0, 0.5, 1, 0.25, 0]))
        let cubed = try factors("falling_as_a_power", ["power": .integer(3)], warmup: 2, total: 4)
        #expect(close(cubed, [0, 0.5, 1, 0.125, 0]))
        let error = #expect(throws: TuttiError.self) {
            try factors("falling_as_a_power", ["power": .number(-1)], warmup: 0, total: 1)
        }
        #expect(error?.subject == "args.lr_scheduler_kwargs.power")
        #expect(ScheduleRegistry.all.last?.options.map(\.name) == ["power"])
    }

    @Test func lowestRateIsARateOrAShare() throws {
        // The rates of transformers 5 at learning_rate 1e-4, one warm-up step of five.
        let factors = try factors("cosine_with_min_lr", ["min_lr": .number(1e-5)], warmup: 1, total: 5).prefix(5)
        let rates = [0, 1e-4, 8.682e-05, 5.5e-05, 2.318e-05]
        #expect(zip(factors, rates).allSatisfy { abs($0 * 1e-4 - $1) < 1e-8 })
        #expect(throws: TuttiError.self) { try self.factors("cosine_with_min_lr", warmup: 0, total: 2) }
        #expect(throws: TuttiError.self) {
            try self.factors(
                "cosine_with_min_lr", ["min_lr": .number(1e-5), "min_lr_rate": .number(0.1)], warmup: 0, total: 2)
        }
        #expect(throws: TuttiError.self) {
            try self.factors("inverse_sqrt", ["timescale": .number(0)], warmup: 0, total: 2)
        }
    }
}

@Suite struct ArgumentTests {
    private func arguments(_ json: String, notices: inout [String]) throws -> TrainingArguments {
        let object = try #require(try JSONValue.parse(json).object)
        var lines: [String] = []
        defer { notices = lines }
        return try TrainingArguments(json: object, places: ConfigurationPlaces(file: "run.yaml")) { lines.append($0) }
    }

    private func error(_ json: String) -> TuttiError? {
        var notices: [String] = []
        return #expect(throws: TuttiError.self) { try arguments(json, notices: &notices) }
    }

    @Test func defaultsAreTheReferences() throws {
        var notices: [String] = []
        let arguments = try arguments("{}", notices: &notices)
        #expect(arguments.learningRate == 5e-5 && arguments.weightDecay == 0 && arguments.numTrainEpochs == 3)
        #expect(arguments.perDeviceTrainBatchSize == 8 && arguments.maxGradNorm == 1 && arguments.seed == 42)
        #expect(arguments.schedulerType == "linear" && arguments.saveSteps == 500 && arguments.loggingSteps == 500)
        #expect(notices.isEmpty)
    }

    @Test func warmupIsARatioBelowOneAndACountFromOneOn() throws {
        var notices: [String] = []
        #expect(try arguments("{\"warmup_steps\": 0.1}", notices: &notices).warmupStepCount(totalSteps: 95) == 10)
        #expect(try arguments("{\"warmup_steps\": 7.9}", notices: &notices).warmupStepCount(totalSteps: 95) == 7)
        #expect(try arguments("{\"warmup_ratio\": 0.1}", notices: &notices).warmupStepCount(totalSteps: 95) == 10)
        let both = try arguments("{\"warmup_ratio\": 0.5, \"warmup_steps\": 3}", notices: &notices)
        #expect(both.warmupStepCount(totalSteps: 95) == 3)
    }

    @Test func keysOfEveryClass() throws {
        var notices: [String] = []
        _ = try arguments(
            "{\"dataloader_num_workers\": 4, \"bf16\": false, \"report_to\": \"none\"}", notices: &notices)
        #expect(notices.count == 1 && notices[0].contains("dataloader_num_workers"))
        #expect(error("{\"fsdp\": \"full_shard\"}")?.kind == .usage)
        let typo = error("{\"learning_rat\": 1}")
        #expect(typo?.description.contains("learning_rate") == true)
        #expect(error("{\"learning_rate\": \"fast\"}")?.problem.contains("a number") == true)
        #expect(error("{\"seed\": -1}") != nil)
        #expect(error("{\"global_train_batch_size\": 8, \"per_device_train_batch_size\": 8}") != nil)
        #expect(error("{\"load_best_model_at_end\": true}") != nil)
        #expect(
            error(
                "{\"load_best_model_at_end\": true, \"eval_strategy\": \"steps\", \"eval_steps\": 3, \"save_steps\": 4}"
            ) != nil)
        #expect(error("{\"eval_strategy\": \"best\"}") != nil)
        #expect(error("{\"batch_sampler\": \"group_by_lable\"}")?.hint?.contains("'group_by_label'") == true)
    }

    /// What a configuration for GPUs sets is accepted, with one line each where it asks for something.
    @Test func settingsOfGPUsAreAcceptedWithANotice() throws {
        let asked = [
            "\"fp16_full_eval\": true", "\"bf16_full_eval\": true", "\"tf32\": true", "\"fp16_opt_level\": \"O2\"",
            "\"gradient_checkpointing_kwargs\": {\"use_reentrant\": true}", "\"logging_dir\": \"logs\"",
        ]
        for setting in asked {
            var notices: [String] = []
            _ = try arguments("{\(setting)}", notices: &notices)
            #expect(notices.count == 1, "\(setting)")
            _ = try arguments("{\(setting.prefix { $0 != ":" }): null}", notices: &notices)
            #expect(notices.isEmpty, "\(setting)")
        }
        var notices: [String] = []
        _ = try arguments("{\"fp16_full_eval\": true}", notices: &notices)
        #expect(
            notices == [
                "args.fp16_full_eval is accepted and has no effect: evaluation is in float32, which is at least as exact."
            ])
    }

    /// `to_dict()` of SentenceTransformerTrainingArguments of sentence-transformers 6.2 on transformers 5.23, default
    /// values, without output_dir, which belongs elsewhere.
    @Test func argumentsOfTheReferenceAreKnown() throws {
        let text = """
            {"per_device_train_batch_size": 8, "num_train_epochs": 3.0, "max_steps": -1, "learning_rate": 5e-05,
            "lr_scheduler_type": "linear", "lr_scheduler_kwargs": null, "warmup_steps": 0,
            "optim": "adamw_torch_fused", "optim_args": null, "weight_decay": 0.0, "adam_beta1": 0.9,
            "adam_beta2": 0.999, "adam_epsilon": 1e-08, "optim_target_modules": null,
            "gradient_accumulation_steps": 1, "average_tokens_across_devices": true, "max_grad_norm": 1.0,
            "label_smoothing_factor": 0.0, "bf16": false, "fp16": false, "bf16_full_eval": false,
            "fp16_full_eval": false, "tf32": null, "activation_checkpointing": null,
            "activation_checkpointing_kwargs": null, "gradient_checkpointing": false,
            "gradient_checkpointing_kwargs": null, "torch_compile": false, "torch_compile_backend": null,
            "torch_compile_mode": null, "use_liger_kernel": false, "liger_kernel_config": null, "use_cache": false,
            "neftune_noise_alpha": null, "torch_empty_cache_steps": null, "auto_find_batch_size": false,
            "logging_strategy": "steps", "logging_steps": 500, "logging_first_step": false,
            "log_on_each_node": true, "logging_nan_inf_filter": true, "include_num_input_tokens_seen": "no",
            "log_level": "passive", "log_level_replica": "warning", "disable_tqdm": false, "report_to": [],
            "run_name": null, "project": "huggingface", "trackio_space_id": null, "trackio_bucket_id": null,
            "trackio_static_space_id": null, "eval_strategy": "no", "eval_steps": null, "eval_delay": 0,
            "per_device_eval_batch_size": 8, "prediction_loss_only": false, "eval_on_start": false,
            "eval_do_concat_batches": true, "eval_use_gather_object": false, "eval_accumulation_steps": null,
            "include_for_metrics": [], "batch_eval_metrics": false, "save_only_model": false,
            "save_strategy": "steps", "save_steps": 500, "save_on_each_node": false, "save_total_limit": null,
            "enable_jit_checkpoint": false, "push_to_hub": false, "hub_token": "<HUB_TOKEN>",
            "hub_private_repo": null, "hub_model_id": null, "hub_strategy": "every_save", "hub_always_push": false,
            "hub_revision": null, "load_best_model_at_end": false, "metric_for_best_model": null,
            "greater_is_better": null, "ignore_data_skip": false,
            "restore_callback_states_from_checkpoint": false, "full_determinism": false, "seed": 42,
            "data_seed": null, "use_cpu": false, "accelerator_config": {"split_batches": false,
            "dispatch_batches": null, "even_batches": true, "use_seedable_sampler": true, "non_blocking": false,
            "gradient_accumulation_kwargs": null}, "parallelism_config": null, "dataloader_drop_last": false,
            "dataloader_num_workers": 0, "dataloader_pin_memory": true, "dataloader_persistent_workers": false,
            "dataloader_prefetch_factor": null, "dataloader_multiprocessing_context": null,
            "dataloader_in_order": true, "remove_unused_columns": true, "label_names": null,
            "train_sampling_strategy": "random", "length_column_name": "length",
            "ddp_find_unused_parameters": null, "ddp_bucket_cap_mb": null, "ddp_broadcast_buffers": null,
            "ddp_static_graph": null, "ddp_backend": null, "ddp_timeout": 1800, "fsdp": null,
            "fsdp_config": {"min_num_params": 0, "xla": false, "xla_fsdp_v2": false, "xla_fsdp_grad_ckpt": false},
            "deepspeed": null, "debug": [], "skip_memory_metrics": true, "do_train": false, "do_eval": false,
            "do_predict": false, "resume_from_checkpoint": null, "local_rank": -1, "prompts": null,
            "batch_sampler": "batch_sampler", "multi_dataset_batch_sampler": "proportional",
            "router_mapping": {}, "learning_rate_mapping": {}, "warmup_ratio": null}
            """
        var notices: [String] = []
        _ = try arguments(text, notices: &notices)
        #expect(notices.isEmpty)
    }

    @Test func strangeKeysAreExplained() {
        #expect(error("{\"evaluation_strategy\": \"steps\"}")?.hint == "It is called eval_strategy.")
        #expect(error("{\"output_dir\": \"out\"}")?.hint?.contains("top level") == true)
        #expect(error("{\"loss\": \"CoSENTLoss\"}")?.hint?.contains("top level") == true)
        let unknown = error("{\"frobnicate_hard\": 1}")?.hint
        #expect(unknown.map { $0.count < 120 && !$0.contains("adam_beta1") } == true)
    }

    @Test func scheduleIsCheckedWhereItIsWritten() throws {
        #expect(
            error("{\"lr_scheduler_type\": \"cosine_with_min_lr\"}")?.subject.contains("lr_scheduler_kwargs") == true)
        #expect(error("{\"lr_scheduler_kwargs\": {\"num_cycle\": 1}}")?.subject.contains("kwargs.num_cycle") == true)
        var notices: [String] = []
        let text = "{\"lr_scheduler_type\": \"cosine\", \"lr_scheduler_kwargs\": \"{\\\"num_cycles\\\": 2}\"}"
        #expect(try arguments(text, notices: &notices).schedulerOptions == ["num_cycles": .integer(2)])
        let constant = "{\"lr_scheduler_type\": \"constant\", \"lr_scheduler_kwargs\": {\"num_cycles\": 2}}"
        #expect(try arguments(constant, notices: &notices).schedulerOptions.isEmpty && notices.count == 1)
    }

    @Test func optimizerIsCheckedWhereItIsWritten() throws {
        let name = error("{\"optim\": \"adamw\"}")
        #expect(name?.kind == .usage && name?.subject == "run.yaml: args.optim")
        #expect(name?.hint?.contains("adamw_torch") == true)
        let option = error("{\"optim\": \"sgd\", \"optim_args\": \"momentun=0.9\"}")
        #expect(option?.subject == "run.yaml: args.optim_args.momentun")
        #expect(option?.problem == "\"sgd\" has no such option" && option?.hint?.contains("'momentum'") == true)
        #expect(error("{\"optim\": \"sgd\", \"optim_args\": \"momentum=much\"}")?.problem.contains("a number") == true)
        #expect(error("{\"optim_args\": \"beta1=1\"}")?.subject == "run.yaml: args.optim_args.beta1")
        #expect(error("{\"optim\": \"sgd\", \"optim_args\": \"nesterov=True\"}")?.problem.contains("momentum") == true)
        var notices: [String] = []
        let good = ["sgd": "momentum=0.9, nesterov=True", "adamw_torch": "beta1=0.8,eps=1e-6"]
        for (name, options) in good {
            _ = try arguments("{\"optim\": \"\(name)\", \"optim_args\": \"\(options)\"}", notices: &notices)
        }
    }

    @Test func numbersMayBeSpelledAsText() throws {
        var notices: [String] = []
        #expect(try arguments("{\"learning_rate\": \"2e-5\"}", notices: &notices).learningRate == 2e-5)
        #expect(
            try arguments("{\"batch_sampler\": \"BatchSamplers.NO_DUPLICATES\"}", notices: &notices).batchSampler
                is NoDuplicatesBatchSampler)
    }
}
