// A module that a run makes, as its configuration says: a class name, or {type: ..., options}.
//
//   modules: [{type: Pooling, pooling_mode: cls}, {type: Dense, out_features: 256}, Normalize]
//
// The keys are those of the reference's constructors; widths follow from the module before.

import TuttiEncoders
import TuttiGround

/// A module to be made.
package struct ModuleRequest: Sendable {
    /// What is made.
    enum Kind: Sendable {
        case wordEmbeddings(WordEmbeddingsRequest)
        case bagOfWords(BagOfWordsRequest)
        case wordWeights(WordWeightsRequest)
        case convolution(ConvolutionRequest)
        case recurrence(RecurrenceRequest)
        case layerMixture(LayerMixtureRequest)
        case pooling(PoolingRequest)
        case dense(DenseRequest)
        case normalize
        case layerNorm
        case dropout(DropoutRequest)
    }

    let kind: Kind
    /// As the configuration has it.
    private let json: JSONValue

    /// The class names.
    static let types = [
        "WordEmbeddings", "BoW", "WordWeights", "CNN", "LSTM", "WeightedLayerPooling", "Pooling", "Dense", "Normalize",
        "LayerNorm", "Dropout",
    ]

    /// Whether it reads texts, and so stands first.
    package var makesInput: Bool {
        switch kind {
        case .wordEmbeddings, .bagOfWords: true
        default: false
        }
    }

    /// Whether it has a number for each word.
    var needsWords: Bool { if case .wordWeights = kind { true } else { false } }

    /// Whether it reads all layers of the transformer.
    var needsLayers: Bool { if case .layerMixture = kind { true } else { false } }

    /// The texts whose principal components a Dense begins with, if it does.
    package var componentTexts: DenseRequest? {
        if case .dense(let dense) = kind, dense.start == .pca { dense } else { nil }
    }
}

extension ModuleRequest: OptionValue {
    package static var words: String {
        "a class name, or {type: ..., options}; one of \(types.joined(separator: ", "))"
    }

    package init(option json: JSONValue) throws(OptionProblem) {
        var options = json.object ?? JSONObject()
        guard let type = json.string ?? options.remove("type")?.string else {
            throw json.object == nil
                ? .expected("a class name, or {type: ..., options}", found: json)
                : OptionProblem(
                    "is missing: the class name", hint: "As in {type: Dense, out_features: 256}.", at: "type")
        }
        self.json = json
        func read<Request: ModuleOptions>(_: Request.Type) throws(OptionProblem) -> Request {
            var request = Request()
            try Request.options.checkKeys(of: options)
            try Request.options.read(options, into: &request)
            return request
        }
        switch type {
        case "WordEmbeddings": kind = .wordEmbeddings(try read(WordEmbeddingsRequest.self))
        case "BoW": kind = .bagOfWords(try read(BagOfWordsRequest.self))
        case "WordWeights": kind = .wordWeights(try read(WordWeightsRequest.self))
        case "CNN": kind = .convolution(try read(ConvolutionRequest.self))
        case "LSTM": kind = .recurrence(try read(RecurrenceRequest.self))
        case "WeightedLayerPooling": kind = .layerMixture(try read(LayerMixtureRequest.self))
        case "Pooling": kind = .pooling(try read(PoolingRequest.self))
        case "Dense": kind = .dense(try read(DenseRequest.self))
        case "Dropout": kind = .dropout(try read(DropoutRequest.self))
        case "Normalize", "LayerNorm":
            _ = try read(NoOptions.self)
            kind = type == "Normalize" ? .normalize : .layerNorm
        default:
            throw OptionProblem(
                "unknown module '\(type)'", hint: TuttiError.hint(unknown: type, known: Self.types),
                at: json.object == nil ? "" : "type")
        }
    }

    package var optionJSON: JSONValue { json }
}

/// The options of one kind of module.
protocol ModuleOptions: Sendable {
    /// Its options.
    static var options: OptionList<Self> { get }
    /// The defaults.
    init()
}

/// A module without options.
private struct NoOptions: ModuleOptions {
    static let options = OptionList<NoOptions>([])
}
