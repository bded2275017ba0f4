// What `tutti inspect` tells of a model: what it is made of, what it costs to compute, and the memory that training takes.
//
// FLOPs are those of the plan: twice the weights of all dense layers a token, and attention at the length that is told;
// a training step computes three times as much. Memory to train is what one process takes: values, gradients and the
// two moments of AdamW, and the activations of a batch, which a small forward measures. Ranks of one node share values
// and moments. What a loss takes (the similarities of a batch) comes on top.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiModels

extension InspectCommand {
    /// The facts about the model in `folder`.
    func modelFacts(_ folder: String) throws -> JSONObject {
        let model = try SentenceEncoder.load(folder)
        model.notices.forEach(TableOptions.notice)
        let (layout, plan) = (model.encoder.layout, model.encoder.plan)
        func number(_ value: Int) -> JSONValue { .integer(Int64(value)) }
        var facts: JSONObject = ["kind": .string("model"), "path": .string(path)]
        facts["architecture"] = .string(model.architectureName)
        facts["modules"] = .array(model.moduleNames.map { .string($0) })
        facts["pooling"] = .array(model.poolingModes.map { .string($0) })
        if model.directory.routing.hasRouter { facts["routes"] = routes(model) }
        facts["include_prompt"] = .bool(model.includesPrompt)
        facts["tokenizer"] = .string(try model.tokenizerKind())
        facts["dimension"] = number(model.dimension)
        facts["layers"] = number(model.encoder.layerCount)
        facts["hidden_size"] = number(plan.hiddenSize)
        if plan.layerCount > 0 {
            facts["heads"] = number(plan.heads)
            facts["inner_size"] = number(plan.productsOfLayer.last?.linear.inputs ?? 0)
        }
        facts["max_seq_length"] = model.lengthLimit.map(number) ?? .null
        facts["positions"] =
            model.encoder.longestSequence < EncoderPlan.unlimitedLength ? number(model.encoder.longestSequence) : .null
        facts["vocabulary"] = number(model.tokenizer.vocabularySize)
        facts["similarity"] = .string(model.similarity)
        var prompts = JSONObject()
        for (name, text) in model.prompts.sorted(by: { $0.key < $1.key }) { prompts[name] = .string(text) }
        facts["prompts"] = .object(prompts)
        facts["default_prompt_name"] = model.defaultPromptName.map { .string($0) } ?? .null
        facts["trainable_parameters"] = number(layout.entries.reduce(0) { $0 + $1.elementCount })
        if layout.frozenCount > 0 {
            facts["frozen_parameters"] = number(layout.all.reduce(0) { $0 + ($1.isFrozen ? $1.elementCount : 0) })
        }
        facts["other_parameters"] = number(model.unusedParameterCount)
        let tokens = max(1, min(length ?? 128, model.maximumLength))
        let flops = plan.trainingFLOPs(tokens: tokens, lengths: [tokens]) / Double(tokens)
        facts["flops_a_token"] = .object([
            "tokens_a_text": number(tokens), "forward": number(Int(flops / 3)), "training": number(Int(flops)),
        ])
        facts["memory_to_train"] = .object(
            TrainingBytes(model.encoder, texts: max(1, batch), tokens: tokens).json)
        if parameters {
            var list = JSONObject()
            for entry in layout.all {
                let shape = "[" + entry.shape.map(String.init).joined(separator: ", ") + "]"
                let marks = (entry.decays ? "" : " no decay") + (entry.isFrozen ? " frozen" : "")
                list[entry.name] = .string(shape + marks)
            }
            facts["parameters"] = .object(list)
        }
        return facts
    }

    /// Of each route of a Router: its modules, what it costs to compute, its parameters, those it shares among them.
    private func routes(_ model: SentenceEncoder) -> JSONValue {
        let routing = model.directory.routing
        var facts = JSONObject()
        for (place, route) in model.directory.routes.enumerated() {
            let (plan, input) = (model.encoder.plans[place], model.inputs[route.input])
            let tokens = max(1, min(length ?? 128, input.maximumLength))
            let flops = plan.plan.trainingFLOPs(tokens: tokens, lengths: [tokens]) / Double(tokens)
            let own = plan.plan.tensors + plan.heads.flatMap(\.tensors)
            facts[route.name] = .object([
                "modules": .array(
                    [.string(input.directory.input.rawValue)] + route.modules.map { .string($0.module.className) }),
                "layers": .integer(Int64(plan.plan.layerCount)),
                "parameters": .integer(Int64(own.reduce(0) { $0 + $1.shape.reduce(1, *) })),
                "flops_a_token": .integer(Int64(flops / 3)), "is_default": .bool(routing.defaultRoute == place),
            ])
        }
        return .object(facts)
    }
}
