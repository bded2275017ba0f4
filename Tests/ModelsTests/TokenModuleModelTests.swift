// Models of words and with modules over tokens, as the reference saved them (Golden/token_modules.py): embeddings, gradients,
// what is saved, and what is refused.

import Foundation
import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels

@Suite struct TokenModuleModelTests {
    static let models = ["words", "weights", "bow", "counts", "wrapper", "cnn", "lstm", "forwards", "layers"]

    private func with<T>(_ name: String, _ body: (String) throws -> T) throws -> T {
        try withTemporaryDirectory { scratch in
            let model = scratch + "/model"
            try FileManager.default.copyItem(atPath: Goldens.path("token-modules/\(name)/model"), toPath: model)
            return try body(model)
        }
    }

    private func golden(_ name: String) throws -> (file: SafetensorsFile, texts: [String]) {
        let folder = Goldens.path("token-modules/\(name)")
        let texts = try #require(try JSONValue.parse(file: folder + "/expected.json")["texts"]?.array)
        return (try SafetensorsFile(path: folder + "/expected.safetensors"), texts.compactMap(\.string))
    }

    @Test(arguments: models)
    func embeddingsEqualTheReference(_ name: String) throws {
        let (file, texts) = try golden(name)
        try with(name) { path in
            let model = try SentenceEncoder.load(path)
            let found = try model.encode(texts).flattened
            let wanted = try file.floats("embeddings")
            let scale = Double(wanted.map(abs).max() ?? 1)
            #expect(largestDifference(found, wanted) <= 2e-6 * max(1, scale), "\(largestDifference(found, wanted))")
            let saved = path + "-saved"
            try FileManager.default.createDirectory(atPath: saved, withIntermediateDirectories: true)
            try model.save(to: saved, card: nil)
            #expect(try SentenceEncoder.load(saved).encode(texts).flattened == found)
            let files = try FileManager.default.subpathsOfDirectory(atPath: path).filter {
                $0.hasSuffix(".safetensors")
            }
            for own in files {
                let (before, after) = (
                    try SafetensorsFile(path: path + "/" + own), try SafetensorsFile(path: saved + "/" + own)
                )
                #expect(before.tensors.map(\.name) == after.tensors.map(\.name))
                for info in before.tensors {
                    #expect(
                        try before.rawBytes(info.name).elementsEqual(after.rawBytes(info.name)), "\(own) \(info.name)")
                }
            }
            let kept = try FileManager.default.subpathsOfDirectory(atPath: saved)
            for own in try FileManager.default.subpathsOfDirectory(atPath: path) where own.hasSuffix("json") {
                #expect(kept.contains(own), "\(own) is not saved")
            }
        }
    }

    @Test(arguments: models)
    func gradientsEqualTheReference(_ name: String) throws {
        let (file, texts) = try golden(name)
        let model = try SentenceEncoder.load(Goldens.path("token-modules/\(name)/model"))
        let collator = try model.makeCollator()
        var batch = PackedBatch()
        for (row, text) in texts.enumerated() { collator.append(text, slot: UInt64(row), column: 0, to: &batch) }
        let (encoder, width) = (model.encoder, model.encoder.outputWidth)
        encoder.parameters.allocateGradients()
        var arena = Arena()
        let (result, coefficients) = (arena.matrix(texts.count, width), arena.matrix(texts.count, width))
        for (place, value) in try file.floats("coefficients").enumerated() { coefficients.pointer[place] = value }
        encoder.forward(batch, dropout: nil, into: result).backward(coefficients) { _ in }
        let gradients = file.tensors.filter { $0.name.hasPrefix("gradient.") }
        #expect(gradients.count == encoder.layout.entries.count || name == "cnn" || name == "layers")
        var largest: Float = 0
        for info in gradients { largest = max(largest, try file.floats(info.name).map(abs).max() ?? 0) }
        for info in gradients {
            let parts = info.name.dropFirst("gradient.".count).split(separator: "/")
            let entry = try #require(
                encoder.layout.entry(named: parts.joined(separator: ".")), "\(info.name)")
            let wanted = try file.floats(info.name)
            let own = wanted.map(abs).max() ?? 0
            var bound = 1e-5 * Double(max(own, 1e-3 * largest))
            if entry.name.hasSuffix("key.bias") { bound = 1e-6 * Double(largest) }
            let difference = largestDifference(encoder.parameters.gradient(of: entry), wanted)
            #expect(difference <= bound, "\(entry.name): \(difference) > \(bound)")
        }
    }

    @Test func theFolderSaysWhatIsTrained() throws {
        let frozen = try SentenceEncoder.load(Goldens.path("token-modules/words/model"))
        let trained = try SentenceEncoder.load(Goldens.path("token-modules/forwards/model"))
        #expect(frozen.encoder.layout.entry(named: "emb_layer.weight") == nil)
        #expect(frozen.encoder.fixed.layout.entry(named: "emb_layer.weight") != nil)
        #expect(
            trained.encoder.layout.entry(named: "emb_layer.weight") != nil && trained.encoder.fixed.layout.count == 0)
        #expect(frozen.moduleNames == ["WordEmbeddings", "Pooling", "Dense"] && frozen.lengthLimit == 1_000_000)
        #expect(try frozen.tokenizerKind() == "WhitespaceTokenizer")
        // An LSTM whose words are frozen shares them with its twin.
        let twin = try frozen.makeTwin()
        #expect(twin.fixed === frozen.encoder.fixed && twin.parameters !== frozen.encoder.parameters)
    }

    /// The reference opens WordWeights by their settings: trained weights are there too.
    @Test func trainedWeightsAreSettings() throws {
        try with("weights") { path in
            let model = try SentenceEncoder.load(path)
            let entry = try #require(model.encoder.layout.entry(named: "1_WordWeights.emb_layer.weight"))
            let values = model.encoder.parameters.values(of: entry)
            // A word that is in the list twice has one weight in the settings.
            for (place, value) in values.enumerated() { values[place] = 1.01 * value + 0.001 }
            let saved = path + "-saved"
            try FileManager.default.createDirectory(atPath: saved, withIntermediateDirectories: true)
            try model.save(to: saved, card: nil)
            try FileManager.default.removeItem(atPath: saved + "/1_WordWeights/model.safetensors")
            let texts = try golden("weights").texts
            #expect(try SentenceEncoder.load(saved).encode(texts).flattened == model.encode(texts).flattened)
        }
    }

    /// A file of the folder, the text in it, what takes its place, and a word of the message.
    @Test(arguments: [
        ("words", "wordembedding_config.json", "whitespace.WhitespaceTokenizer", "phrase.PhraseTokenizer", "NLTK"),
        ("words", "wordembedding_config.json", "whitespace.WhitespaceTokenizer", "other.OtherTokenizer", "not known"),
        ("words", "1_Pooling/config.json", "\"mean\"", "\"cls\"", "first token"),
        ("words", "whitespacetokenizer_config.json", "\"vocab\"", "\"words\"", "list of words"),
        ("words", "modules.json", "modules.word_embeddings.WordEmbeddings", "modules.bow.BoW", "no token vectors"),
        ("bow", "0_BoW/config.json", "\"vocab\": [", "\"vocab\": [7,", "list of words"),
        ("bow", "0_BoW/config.json", "\"unknown_word_weight\": 0.5", "\"unknown_word_weight\": \"x\"", "a number"),
        ("weights", "1_WordWeights/config.json", "\"vocab\": [", "\"vocab\": [], \"other\": [", "0 words"),
        ("cnn", "1_CNN/cnn_config.json", "\"kernel_sizes\": [", "\"kernel_sizes\": [2,", "even kernel"),
        ("cnn", "1_CNN/cnn_config.json", "\"stride_sizes\": [", "\"stride_sizes\": [2,", "stride_sizes"),
        ("cnn", "1_CNN/cnn_config.json", "\"out_channels\": 7", "\"out_channels\": 2000000000", "numbers"),
        (
            "cnn", "1_CNN/cnn_config.json", "\"in_embedding_dimension\": 12", "\"in_embedding_dimension\": 13",
            "outputs 12"
        ),
        ("cnn", "2_Pooling/config.json", "21", "20", "module before outputs 21"),
        ("lstm", "1_LSTM/lstm_config.json", "\"hidden_dim\": 5", "\"hidden_dim\": 6", "is 10, but"),
        (
            "lstm", "modules.json", "modules.word_embeddings.WordEmbeddings",
            "modules.static_embedding.StaticEmbedding", "LSTM"
        ),
        (
            "layers", "1_WeightedLayerPooling/config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3",
            "2 layers"
        ),
        (
            "layers", "config.json", "\"output_hidden_states\": true", "\"output_hidden_states\": false",
            "output_hidden_states"
        ),
        ("layers", "modules.json", "weighted_layer_pooling.WeightedLayerPooling", "lstm.LSTM", "lstm_config.json"),
    ])
    func whatCannotBeComputedIsRefused(
        _ name: String, _ file: String, _ text: String, _ other: String, _ word: String
    ) throws {
        try with(name) { path in
            let before = try String(contentsOfFile: path + "/" + file, encoding: .utf8)
            let after = before.replacing(text, with: other)
            #expect(after != before, "\(file) has no \(text)")
            try AtomicWrite.file(path: path + "/" + file, text: after)
            let error = #expect(throws: TuttiError.self) { try SentenceEncoder.load(path) }
            #expect(error?.description.contains(word) == true, "\(String(describing: error))")
            #expect(error?.kind == .data || error?.kind == .missingFile, "\(String(describing: error))")
        }
    }
}
