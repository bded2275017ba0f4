// The modules after the first that a run makes: their folders, their widths, and the numbers that they begin with.
//
// Weights begin as torch's do: of a linear layer and of a convolution evenly within 1 / sqrt(inputs), of an LSTM within
// 1 / sqrt(cells); a norm begins with ones. A tensor is a function of the run's seed and of its name, so that any number of
// ranks begins with the same. Reference: torch.nn.Linear, Conv1d and LSTM.reset_parameters.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround

extension ModuleList {
    /// The modules that `requests` ask for, after `input`, which has this plan and whose tokens have these words.
    ///
    /// Throws: `.usage` naming the module that does not fit; `.missingFile` and `.data` for its files.
    init(
        making requests: [ModuleRequest], on input: Input, _ plan: EncoderPlan, word: (Int) -> String
    ) throws(TuttiError) {
        var (modules, width) = ([PlacedModule](), plan.hiddenSize)
        for (place, request) in requests.enumerated() {
            func error(_ problem: String) -> TuttiError {
                TuttiError(.usage, "make the modules", "modules.\(place)", problem)
            }
            if request.makesInput {
                guard place == 0 else { throw error("reads texts, and only the first module can") }
                continue
            }
            let folder = "\(modules.count + 1)_\(request.className)"
            let module = try request.module(folder, plan, width: width, word: word, error)
            do { width = try module.outputWidth(from: width) } catch let flaw { throw error(flaw.problem) }
            modules.append(PlacedModule(folder: folder, module: module, isMade: true))
        }
        do {
            try ModuleOrder.check(input.kind, modules.map(\.module), place: "modules")
        } catch let flaw {
            throw TuttiError(.usage, "make the modules", "modules", flaw.problem, hint: flaw.hint)
        }
        self.init(input: input, modules: modules)
    }
}

extension ModuleRequest {
    /// The class name.
    fileprivate var className: String {
        switch kind {
        case .wordEmbeddings: "WordEmbeddings"
        case .bagOfWords: "BoW"
        case .wordWeights: "WordWeights"
        case .convolution: "CNN"
        case .recurrence: "LSTM"
        case .layerMixture: "WeightedLayerPooling"
        case .pooling: "Pooling"
        case .dense: "Dense"
        case .normalize: "Normalize"
        case .layerNorm: "LayerNorm"
        case .dropout: "Dropout"
        }
    }

    /// The module, called `folder`, after one that outputs `width` numbers.
    fileprivate func module(
        _ folder: String, _ plan: EncoderPlan, width: Int, word: (Int) -> String, _ error: (String) -> TuttiError
    ) throws(TuttiError) -> HeadConfiguration {
        switch kind {
        case .wordEmbeddings, .bagOfWords: preconditionFailure("ModuleRequest: a first module")
        case .wordWeights(let request):
            let frequencies = try WordFrequencies(request.frequencies)
            let settings: JSONObject = [
                "vocab": .array((0..<plan.vocabularySize).map { .string(word($0)) }),
                "word_weights": .object(frequencies.weights),
                "unknown_word_weight": .number(request.unknownWeight ?? log(frequencies.documents)),
            ]
            let list = try WordList(
                ConfigurationFile(path: request.frequencies, object: settings), isUnique: false)
            return .tokens(
                .wordWeights(
                    WordWeightsPlan(
                        name: folder, vocabulary: list.words, weights: list.weights, unknownWeight: list.unknownWeight))
            )
        case .convolution(let request):
            return .tokens(
                .convolution(
                    ConvolutionPlan(
                        name: folder, inputWidth: width, channels: request.channels, widths: request.widths)))
        case .recurrence(let request):
            return .tokens(
                .recurrence(
                    RecurrencePlan(
                        name: folder, inputWidth: width, cells: request.cells, layers: request.layers,
                        isBidirectional: request.isBidirectional, dropout: request.dropout)))
        case .layerMixture(let request):
            guard request.start <= plan.layerCount else {
                throw error("layer_start is \(request.start), but the model has \(plan.layerCount) layers")
            }
            return .tokens(
                .layerMixture(
                    LayerMixturePlan(name: folder, width: width, start: request.start, layers: plan.layerCount)))
        case .pooling(let request):
            return .pooling(modes: request.modes, width: width, includePrompt: request.includePrompt)
        case .dense(let request):
            let isPCA = request.start == .pca
            guard !isPCA || request.outputWidth <= width else {
                throw error("out_features is \(request.outputWidth), but embeddings have \(width) components")
            }
            do throws(OptionProblem) {
                let activation = try Activations.module(request.activation?.name ?? (isPCA ? "Identity" : nil))
                return .dense(
                    name: folder, inputWidth: width, outputWidth: request.outputWidth, bias: request.hasBias ?? !isPCA,
                    activation: activation, hasResidual: request.hasResidual)
            } catch let flaw {
                throw error("activation_function: \(flaw.problem)")
            }
        case .normalize: return .normalize
        case .layerNorm: return .layerNorm(name: folder, width: width)
        case .dropout(let request): return .dropout(rate: request.rate)
        }
    }
}

extension PlacedModule {
    /// The numbers that a made module begins with, as a file of them would have them; nil for one without any.
    ///
    /// Throws: `.retryable` if there is not enough memory.
    func beginning(seed: UInt64) throws(TuttiError) -> TensorFile {
        let tensors = module.tensors
        let names = tensors.map { (name: String($0.name.dropFirst(folder.count + 1)), shape: $0.shape) }
        return try TensorFile(inMemory: names, sourcePath: folder) { place, values in
            if case .tokens(.wordWeights(let plan)) = module {
                _ = values.update(from: plan.weights)
            } else if let bound = bound(of: tensors[place]) {
                var random = CounterRandom(seed: seed, stream: nameHash(tensors[place].name))
                for index in values.indices { values[index] = Float.random(in: -bound...bound, using: &random) }
            } else {
                values.update(repeating: tensors[place].name.hasSuffix("bias") ? 0 : 1)
            }
        }
    }

    /// How far from zero the numbers of a tensor begin; nil for ones, and zeros of a norm's bias.
    private func bound(of tensor: TensorSpecification) -> Float? {
        let inputs: Int
        switch module {
        case .dense(_, let width, _, _, _, _): inputs = width
        case .tokens(.convolution(let plan)):
            let place = tensor.name.split(separator: ".").dropLast().last.flatMap { Int($0) } ?? 0
            inputs = plan.inputWidth * plan.widths[place]
        case .tokens(.recurrence(let plan)): inputs = plan.cells
        case .tokens(.layerMixture), .tokens(.wordWeights), .layerNorm, .pooling, .normalize, .dropout: return nil
        }
        return Float(1 / Double(inputs).squareRoot())
    }

    /// FNV-1a of a name.
    private func nameHash(_ name: String) -> UInt64 {
        name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}
