// The options of the modules that a run makes, one list a kind; names and defaults are the reference's.

import TuttiEncoders
import TuttiGround

/// WordEmbeddings.from_text_file.
struct WordEmbeddingsRequest: ModuleOptions {
    var path = ""
    var isTrained = false
    var separator = " "
    var maximumWords: Int?
    var maximumLength = 1_000_000
    var lowercases = false
    var stopWords: [String]?

    static let options = OptionList<Self>([
        Option(
            "path", \.path,
            "a text file of vectors, perhaps compressed: a word and its numbers a line (GloVe, word2vec)",
            words: "a path", check: .filled, isRequired: true),
        Option("update_embeddings", \.isTrained, "whether the vectors are trained"),
        Option("item_separator", \.separator, "what stands between word and numbers", check: .filled),
        Option("max_vocab_size", \.maximumWords, "words at most; by default all of the file", check: .atLeast(1)),
        Option("max_seq_length", \.maximumLength, "words of a text at most", check: .atLeast(1)),
        Option("do_lower_case", \.lowercases, "whether texts are put in lower case first"),
        Option("stop_words", \.stopWords, "words that are left out; by default English ones"),
    ])
}

/// A BoW.
struct BagOfWordsRequest: ModuleOptions {
    var vocabulary: String?
    var frequencies: String?
    var maximumWords: Int?
    var unknownWeight = 1.0
    var isCumulative = true

    static let options = OptionList<Self>([
        Option(
            "vocab", \.vocabulary, "a text file of words, one a line, all of weight unknown_word_weight",
            words: "a path"),
        Option("document_frequencies", \.frequencies, WordWeightsRequest.frequenciesMeaning, words: "a path"),
        Option(
            "max_vocab_size", \.maximumWords, "words at most, English stop words left out; by default all of the file",
            check: .atLeast(1)),
        Option("unknown_word_weight", \.unknownWeight, "the weight of words without one"),
        Option("cumulative_term_frequency", \.isCumulative, "whether a word counts as often as it occurs"),
    ])
}

/// WordWeights.
struct WordWeightsRequest: ModuleOptions {
    var frequencies = ""
    var unknownWeight: Double?

    static let frequenciesMeaning =
        "a text file: the number of documents, then lines of word, tab, documents with the word; weights are"
        + " log(documents / documents with the word)"

    static let options = OptionList<Self>([
        Option(
            "document_frequencies", \.frequencies, frequenciesMeaning, words: "a path", check: .filled, isRequired: true
        ),
        Option("unknown_word_weight", \.unknownWeight, "the weight of other words; by default log(documents)"),
    ])
}

/// A CNN.
struct ConvolutionRequest: ModuleOptions {
    var channels = 256
    var widths = [1, 3, 5]

    static let options = OptionList<Self>([
        Option("out_channels", \.channels, "channels of each convolution", check: .atLeast(1)),
        Option(
            "kernel_sizes", \.widths, "tokens that each convolution sees, odd numbers",
            check: OptionCheck("odd numbers") { $0.isEmpty ? "is empty" : TokenModulePlan.kernelProblem($0) }),
    ])
}

/// An LSTM.
struct RecurrenceRequest: ModuleOptions {
    var cells = 0
    var layers = 1
    var dropout: Float = 0
    var isBidirectional = true

    static let options = OptionList<Self>([
        Option("hidden_dim", \.cells, "cells of a direction", check: .atLeast(1), isRequired: true),
        Option("num_layers", \.layers, "layers", check: .within(1...TokenModulePlan.limit)),
        Option("dropout", \.dropout, "dropout between layers, in training", check: .within(0..<1)),
        Option("bidirectional", \.isBidirectional, "whether texts are also read from their end"),
    ])
}

/// WeightedLayerPooling.
struct LayerMixtureRequest: ModuleOptions {
    var start = 4

    static let options = OptionList<Self>([
        Option("layer_start", \.start, "the lowest layer that counts, 0 being the embedding", check: .atLeast(0))
    ])
}

/// Pooling.
struct PoolingRequest: ModuleOptions {
    var modes = [PoolingMode.mean]
    var includePrompt = true

    static let options = OptionList<Self>([
        Option(
            "pooling_mode", \.modes, "how token vectors become one; of several modes the vectors stand side by side",
            check: OptionCheck("not empty") { $0.isEmpty ? "names no mode" : nil }),
        Option("include_prompt", \.includePrompt, "whether the tokens of a prompt count"),
    ])
}

/// A Dense.
package struct DenseRequest: ModuleOptions {
    /// Where its weights come from.
    package enum Start: String, OptionChoice {
        /// As torch begins a linear layer.
        case random
        /// The principal components of embeddings.
        case pca
    }

    /// Its width.
    package var outputWidth = 0
    var hasBias: Bool?
    var activation: DenseActivation?
    var hasResidual = false
    /// Where its weights come from.
    package var start = Start.random
    /// The texts of pca: a file of texts.
    package var texts: String?
    /// The column of the file.
    package var column: String?
    /// Texts at most.
    package var textCount = 20_000

    package init() {}

    static let options = OptionList<Self>([
        Option("out_features", \.outputWidth, "its width", check: .atLeast(1), isRequired: true),
        Option("bias", \.hasBias, "whether it has a bias; by default it has, but for pca"),
        Option(
            "activation_function", \.activation,
            "a class of torch.nn, such as Tanh or Identity; by default Tanh, of pca Identity"),
        Option("use_residual", \.hasResidual, "whether its input is added"),
        Option("init", \.start, "what its weights begin with: as torch's, or the principal components of embeddings"),
        Option(
            "texts", \.texts, "of pca: a file of texts; by default the first texts of the training data",
            words: "a path"),
        Option("column", \.column, "of pca: the column of the file"),
        Option("text_count", \.textCount, "of pca: texts at most", check: .atLeast(2)),
    ])
}

/// Dropout.
struct DropoutRequest: ModuleOptions {
    var rate: Float = 0.2

    static let options = OptionList<Self>([
        Option("dropout", \.rate, "the rate, in training", check: .within(0..<1))
    ])
}

/// An activation by the name of its class in torch.nn.
struct DenseActivation: OptionValue {
    /// The name, or the path of the class.
    let name: String

    static var words: String { "the name of a class of torch.nn" }

    init(option json: JSONValue) throws(OptionProblem) {
        name = try String(option: json)
        _ = try Activations.module(name)
    }

    var optionJSON: JSONValue { .string(name) }
}
