// The modules after the first, checked against each other and the plan: those over tokens, pooling, those over sentence
// vectors, with the width of what passes between them.

import TuttiGround

/// A list of modules that fit each other.
struct ModuleChain {
    /// Where pooling is.
    let pooling: Int
    /// The modes of pooling.
    let modes: [PoolingMode]
    /// Whether the tokens of a prompt are pooled.
    let includePrompt: Bool
    /// The width before each module, and that of the embeddings.
    let widths: [Int]

    /// Checks `modules` of a model of `plan`.
    ///
    /// Throws: a module that does not fit.
    init(_ modules: [HeadConfiguration], _ plan: EncoderPlan) throws(TuttiError) {
        pooling = modules.firstIndex { $0.overTokens == nil } ?? modules.count
        guard pooling < modules.count, case .pooling(let modes, _, let includePrompt) = modules[pooling],
            !modes.isEmpty
        else {
            throw planError("modules", "the module after the transformer is not a pooling with at least one mode")
        }
        guard !plan.isBag || modes == [.mean] && includePrompt && pooling == 0 else {
            throw planError("modules", "a model without token vectors is pooled by the mean of its tokens")
        }
        (self.modes, self.includePrompt) = (modes, includePrompt)
        var widths = [plan.hiddenSize]
        for (place, module) in modules.enumerated() {
            if module.isPooling, place > pooling { throw planError("modules", "there is a second pooling module") }
            if let module = module.overTokens {
                try ModuleChain.check(module, isFirst: place == 0, place < pooling, plan)
            }
            widths.append(try module.outputWidth(from: widths[place]))
        }
        self.widths = widths
    }

    /// Refuses a module over tokens where it cannot work.
    private static func check(
        _ module: TokenModulePlan, isFirst: Bool, _ isBeforePooling: Bool, _ plan: EncoderPlan
    ) throws(TuttiError) {
        guard isBeforePooling else {
            throw planError("modules", "\(module.name) works on token vectors, and stands after pooling")
        }
        switch module {
        case .wordWeights(let weights):
            guard weights.vocabulary.count >= plan.vocabularySize else {
                throw planError(
                    "\(module.name).vocab",
                    "has \(weights.vocabulary.count) words, but the module before has \(plan.vocabularySize)")
            }
        case .layerMixture(let mixture):
            guard isFirst, mixture.layers == plan.layerCount else {
                throw planError(
                    "\(module.name).num_hidden_layers",
                    "is \(mixture.layers), but the model has \(plan.layerCount) layers, which must come right before")
            }
        case .convolution, .recurrence: break
        }
    }
}
