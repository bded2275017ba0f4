// The arguments as a model card lists them.

import TuttiCorpus

extension TrainingArguments {
    /// Name and value of every argument, and of those that differ from their default.
    func hyperparameters() -> (changed: [(name: String, value: String)], all: [(name: String, value: String)]) {
        let mine = listed()
        let standard = TrainingArguments().listed()
        let changed = zip(mine, standard).filter { $0.0.value != $0.1.value }.map(\.0)
        return (changed, mine)
    }

    private func listed() -> [(name: String, value: String)] {
        func text<Value>(_ value: Value?) -> String { value.map { "\($0)" } ?? "None" }
        func pairs<Value>(_ mapping: [String: Value]) -> String {
            "\(mapping.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })"
        }
        func python(_ flag: Bool) -> String { flag ? "True" : "False" }
        var temperature: Double?
        if case .temperature(let given) = datasetMixing { temperature = given }
        return [
            ("num_train_epochs", "\(numTrainEpochs)"), ("max_steps", "\(maxSteps)"),
            ("per_device_train_batch_size", "\(perDeviceTrainBatchSize)"),
            ("per_device_eval_batch_size", "\(perDeviceEvalBatchSize)"),
            ("global_train_batch_size", text(globalTrainBatchSize)),
            ("global_eval_batch_size", text(globalEvalBatchSize)),
            ("gradient_accumulation_steps", "\(gradientAccumulationSteps)"),
            ("dataloader_drop_last", python(dataloaderDropLast)), ("batch_sampler", batchSampler.rawValue),
            ("multi_dataset_batch_sampler", datasetMixing.name), ("multi_dataset_temperature", text(temperature)),
            ("optim", optim), ("optim_args", pairs(optimArgs)),
            ("learning_rate", "\(learningRate)"), ("weight_decay", "\(weightDecay)"), ("adam_beta1", "\(adamBeta1)"),
            ("adam_beta2", "\(adamBeta2)"), ("adam_epsilon", "\(adamEpsilon)"), ("max_grad_norm", "\(maxGradNorm)"),
            ("clip_loss_parameters", python(clipLossParameters)), ("mini_batch_size", text(miniBatchSize)),
            ("mini_batch_tokens", text(miniBatchTokens)),
            ("learning_rate_mapping", "\(learningRateMapping.map { "\($0.pattern): \($0.rate)" })"),
            ("lr_scheduler_type", schedulerType),
            ("lr_scheduler_kwargs", pairs(schedulerOptions)),
            ("warmup_steps", "\(warmupSteps)"), ("seed", "\(seed)"), ("data_seed", text(dataSeed)),
            ("metric_for_best_model", text(metricForBestModel)), ("greater_is_better", text(greaterIsBetter)),
            ("load_best_model_at_end", python(loadBestModelAtEnd)),
            ("prompts", prompts.listed),
        ]
    }
}
