// Modules made by a run: what they are, how they begin, on any ranks and over a resumption; models made of files of words
// against the reference's (Golden/token_modules.py); layers left out; principal components against scikit-learn.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiReports
import TuttiTraining

@Suite(.serialized) struct ModulesOfRunsTests {
    private let bert = Goldens.path("token-modules/layers/model")
    private let words = Goldens.path("token-modules/words")

    private func configuration(
        _ text: String, _ purpose: TrainingConfiguration.Purpose = .model
    ) throws -> TrainingConfiguration {
        try TrainingConfiguration(
            try #require(try JSONValue.parse(text, source: "test").object), places: ConfigurationPlaces(file: "test"),
            purpose: purpose
        ) { _ in }
    }

    private func model(_ text: String) throws -> SentenceEncoder { try loadModel(try configuration(text)) }

    private func values(_ model: SentenceEncoder, _ name: String) throws -> [Float] {
        let store = model.encoder.parameters
        return Array(store.values(of: try #require(store.layout.entry(named: name))))
    }

    @Test func modulesTakeThePlaceOfTheModelsOwn() throws {
        let made = try model(
            """
            {"model": "\(bert)", "modules": [
              {"type": "CNN", "out_channels": 5, "kernel_sizes": [3]},
              {"type": "Pooling", "pooling_mode": ["cls", "mean"], "include_prompt": false},
              {"type": "Dense", "out_features": 7, "activation_function": "ReLU", "use_residual": true},
              "LayerNorm", {"type": "Dropout", "dropout": 0.25}, "Normalize"]}
            """)
        #expect(made.moduleNames == ["Transformer", "CNN", "Pooling", "Dense", "LayerNorm", "Dropout", "Normalize"])
        #expect(made.dimension == 7 && made.poolingModes == ["cls", "mean"] && !made.includesPrompt)
        let dense = try values(made, "3_Dense.linear.weight")
        let bound = Float(1 / 10.0.squareRoot())
        #expect(dense.count == 70 && dense.allSatisfy { abs($0) <= bound } && (dense.map(abs).max() ?? 0) > 0.9 * bound)
        #expect(try values(made, "4_LayerNorm.norm.weight") == [Float](repeating: 1, count: 7))
        let kernel = try values(made, "1_CNN.convs.0.weight")
        #expect(kernel.count == 5 * 12 * 3 && kernel.allSatisfy { abs($0) <= 1 / 6 } && (kernel.max() ?? 0) > 0.15)
        // What is saved is the same model, which needs no configuration.
        try withTemporaryDirectory { folder in
            try made.save(to: folder, card: nil)
            let again = try SentenceEncoder.load(folder)
            let texts = ["cece foce", "gugu"]
            #expect(again.moduleNames == made.moduleNames)
            #expect(try again.encode(texts).flattened == made.encode(texts).flattened)
        }
    }

    @Test func newWeightsAreAFunctionOfTheSeed() throws {
        func weight(_ seed: Int) throws -> [Float] {
            try values(
                try model(
                    """
                    {"model": "\(bert)", "modules": ["Pooling", {"type": "Dense", "out_features": 4}],
                     "args": {"seed": \(seed)}}
                    """), "2_Dense.linear.weight")
        }
        #expect(try weight(1) == weight(1))
        #expect(try weight(1) != weight(2))
    }

    /// The reference's models of the same files.
    @Test func modelsOfWordsEqualTheReference() throws {
        let texts = try #require(try JSONValue.parse(file: words + "/expected.json")["texts"]?.array).compactMap(
            \.string)
        let glove = try model(
            #"{"modules": [{"type": "WordEmbeddings", "path": "\#(words)/vectors.txt"}, "Pooling"]}"#)
        let wanted = try SentenceEncoder.load(words + "/model")
        #expect(try values(ofFrozen: glove) == values(ofFrozen: wanted))
        // A word that the file gives twice has its last vector; the reference writes its list without the second place.
        for text in texts {
            let ids = glove.readers[0].ids(of: text).map { $0 == 63 ? 10 : $0 }
            #expect(ids == wanted.readers[0].ids(of: text), "\(text)")
        }
        #expect(glove.notices.contains { $0.contains("1 lines without 12 numbers") })
        let short = try model(
            #"{"modules": [{"type": "WordEmbeddings", "path": "\#(words)/vectors.txt", "max_vocab_size": 9}, "Pooling"]}"#
        )
        #expect(short.tokenizer.vocabularySize == 10 && short.tokenizer.token(0) == "PADDING_TOKEN")

        let weighted = try model(
            """
            {"modules": [{"type": "WordEmbeddings", "path": "\(words)/vectors.txt", "update_embeddings": true},
              {"type": "WordWeights", "document_frequencies": "\(words)/frequencies.txt", "unknown_word_weight": 2.5},
              "Pooling"]}
            """)
        let reference = try SentenceEncoder.load(Goldens.path("token-modules/weights/model"))
        let name = "1_WordWeights.emb_layer.weight"
        #expect(largestDifference(try values(weighted, name), try values(reference, name)) <= 1e-6)
        #expect(try values(weighted, "emb_layer.weight") == values(reference, "emb_layer.weight"))

        let bag = try model(
            """
            {"modules": [{"type": "BoW", "document_frequencies": "\(words)/frequencies.txt", "max_vocab_size": 30},
              {"type": "Dense", "out_features": 6}]}
            """)
        #expect(bag.moduleNames == ["BoW", "Dense"] && bag.encoder.plan.vocabularySize == 30)
        let row = try model(
            #"{"modules": [{"type": "BoW", "document_frequencies": "\#(words)/frequencies.txt"}]}"#
        ).encode(["baba baba bace", "Baba"]).flattened
        #expect(abs(row[0] - 2 * Float(log(1000 / 3.0))) <= 1e-5 && abs(row[1] - Float(log(100.0))) <= 1e-5)
        #expect(row[40...].allSatisfy { $0 == 0 || $0 == row[40] })
    }

    private func values(ofFrozen model: SentenceEncoder) throws -> [Float] {
        let store = model.encoder.fixed
        return Array(store.values(of: try #require(store.layout.entries.first)))
    }

    @Test func layersAreLeftOut() throws {
        try withTemporaryDirectory { folder in
            // The second layer alone, by hand.
            let files = FileManager.default
            try files.copyItem(atPath: bert, toPath: folder + "/model")
            let file = try SafetensorsFile(path: bert + "/model.safetensors")
            var tensors: [SafetensorsWriter.Tensor] = []
            for info in file.tensors where !info.name.contains("layer.0.") {
                let name = info.name.replacing("layer.1.", with: "layer.0.")
                tensors.append((name, info.dtype, info.shape, try file.rawBytes(info.name)))
            }
            try withExtendedLifetime(file) {
                try SafetensorsWriter.write(path: folder + "/model/model.safetensors", tensors: tensors)
            }
            let settings = try String(contentsOfFile: bert + "/config.json", encoding: .utf8)
            try AtomicWrite.file(
                path: folder + "/model/config.json",
                text: settings.replacing("\"num_hidden_layers\": 2", with: "\"num_hidden_layers\": 1"))
            let byHand = try model(#"{"model": "\#(folder)/model", "modules": ["Pooling"]}"#)
            let kept = try model(#"{"model": "\#(bert)", "keep_layers": [1], "modules": ["Pooling"]}"#)
            let texts = ["cece foce hace", "gugu"]
            #expect(kept.encoder.layerCount == 1)
            #expect(try kept.encode(texts).flattened == byHand.encode(texts).flattened)
            let whole = try model(#"{"model": "\#(bert)", "keep_layers": [0, 1], "modules": ["Pooling"]}"#)
            #expect(try whole.encode(texts).flattened != byHand.encode(texts).flattened)
            try files.createDirectory(atPath: folder + "/saved", withIntermediateDirectories: true)
            try kept.save(to: folder + "/saved", card: nil)
            #expect(try SentenceEncoder.load(folder + "/saved").encode(texts).flattened == kept.encode(texts).flattened)
        }
    }

    @Test func componentsEqualScikitLearns() throws {
        let golden = try SafetensorsFile(path: Goldens.path("token-modules/pca.safetensors"))
        let embeddings = Embeddings(rows: try golden.floats("embeddings"), dimension: 12)
        let found = PrincipalComponents.rows(of: embeddings, count: 5)
        let wanted = try golden.floats("components")
        #expect(largestDifference(found, wanted) <= 1e-5, "\(largestDifference(found, wanted))")
    }

    @Test func aDenseBeginsWithComponentsOnAnyRanks() throws {
        let text = """
            {"model": "\(bert)", "output_dir": "unused", "loss": {"name": "MultipleNegativesRankingLoss"},
             "train_dataset": {"path": "\(Goldens.path("families/rows/pairs.jsonl"))", "columns": ["anchor", "positive"]},
             "modules": ["Pooling", {"type": "Dense", "out_features": 3, "init": "pca", "text_count": 50}]}
            """
        let configuration = try configuration(text, .training)
        func weight(_ world: Int) throws -> [[Float]] {
            try LocalEnsemble.run(world: world) { ensemble in
                try values(try TrainingInputs(configuration, ensemble: ensemble).model, "2_Dense.linear.weight")
            }
        }
        let alone = try weight(1)[0]
        for row in 0..<3 {
            let own = alone[row * 12..<(row + 1) * 12]
            #expect(abs(own.reduce(0) { $0 + $1 * $1 } - 1) <= 1e-5, "a component is a unit vector")
        }
        #expect(try weight(3).allSatisfy { $0 == alone })
        #expect(try configuration.modules?.count == 2 && alone != values(model(text), "2_Dense.linear.weight"))
    }

    private func inputs(_ output: String, _ modules: String, model: String = "") throws -> TrainingInputs {
        let configuration = try configuration(
            """
            {\(model) "output_dir": "\(output)", "loss": {"name": "MultipleNegativesRankingLoss"},
             "train_dataset": {"path": "\(Goldens.path("families/rows/pairs.jsonl"))", "columns": ["anchor", "positive"]},
             "modules": \(modules), "args": {"global_train_batch_size": 6, "num_train_epochs": 1, "logging_steps": 1,
              "save_strategy": "no", "learning_rate": 0.01, "batch_sampler": "sequential"}}
            """, .training)
        return try TrainingInputs(configuration, ensemble: LocalEnsemble.single())
    }

    @Test(arguments: [true, false])
    func aResumedRunHasTheSameBits(_ makesInput: Bool) throws {
        let output = try TemporaryDirectory()
        let modules =
            makesInput
            ? """
            [{"type": "WordEmbeddings", "path": "\(words)/vectors.txt"}, {"type": "LSTM", "hidden_dim": 4},
             "Pooling", {"type": "Dense", "out_features": 6}]
            """ : #"["Pooling", {"type": "Dense", "out_features": 6, "init": "pca", "text_count": 40}, "Normalize"]"#
        let model = makesInput ? "" : "\"model\": \"\(bert)\","
        func run(_ name: String) throws -> TrainingInputs {
            try inputs(output.path + "/" + name, modules, model: model)
        }
        let whole = try run("whole")
        let start = parameterValues(whole.model)
        #expect(try Trainer(whole, ensemble: LocalEnsemble.single()).train() == .finished)
        let asking = AskAfter(step: 3)
        var first = try run("parts")
        first.stop = asking.stop
        #expect(
            try Trainer(first, ensemble: LocalEnsemble.single(), reports: [asking]).train() == .preempted(step: 3))
        let second = try run("parts")
        #expect(try Trainer(second, ensemble: LocalEnsemble.single()).train() == .finished)
        #expect(parameterValues(second.model) == parameterValues(whole.model))
        #expect(parameterValues(whole.model) != start)
        let saved = try SentenceEncoder.load(output.path + "/parts/final")
        let texts = ["cece foce", "gugu"]
        #expect(try saved.encode(texts).flattened == second.model.encode(texts).flattened)
    }

    /// A run that goes on does not read again what its Dense began with: the file may be gone. One that begins does, whatever
    /// is in its output directory.
    @Test(arguments: [1, 2]) func aResumedRunNeedsNoTexts(_ world: Int) throws {
        try withTemporaryDirectory { folder in
            let pairs = try loadTable(DatasetSpecification(path: Goldens.path("families/rows/pairs.jsonl")))
            let lines = pairs.texts(column: 0).joined(separator: "\n") + "\n"
            let texts = folder + "/texts.txt"
            func run(
                _ name: String, epochs: Int = 1, stopAfter step: Int? = nil, overwrite: Bool = false
            ) throws -> TrainingOutcome {
                let configuration = try configuration(
                    """
                    {"model": "\(bert)", "output_dir": "\(folder)/\(name)",
                     "loss": {"name": "MultipleNegativesRankingLoss"},
                     "train_dataset": {"path": "\(Goldens.path("families/rows/pairs.jsonl"))",
                                       "columns": ["anchor", "positive"]},
                     "modules": ["Pooling", {"type": "Dense", "out_features": 6, "init": "pca", "texts": "\(texts)"}],
                     "args": {"global_train_batch_size": 6, "num_train_epochs": \(epochs), "save_steps": 100,
                              "lr_scheduler_type": "constant", "learning_rate": 0.01, "batch_sampler": "sequential"}}
                    """, .training)
                let outcomes = try LocalEnsemble.run(world: world) { ensemble in
                    var inputs = try TrainingInputs(configuration, ensemble: ensemble, overwrite: overwrite)
                    let report = step.map { AskAfter(step: $0) }
                    if let report { inputs.stop = report.stop }
                    return try Trainer(inputs, ensemble: ensemble, reports: report.map { [$0] } ?? []).train()
                }
                #expect(outcomes.allSatisfy { $0 == outcomes[0] })
                return outcomes[0]
            }
            func weights(_ name: String) throws -> [Data] {
                try ["model.safetensors", "2_Dense/model.safetensors"].map {
                    try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)/final/\($0)"))
                }
            }
            func refusal(_ body: () throws -> TrainingOutcome) -> String {
                do { return "\(try body())" } catch { return "\(error)" }
            }
            try AtomicWrite.file(path: texts, text: lines)
            #expect(try run("whole") == .finished)
            #expect(try run("long", epochs: 2) == .finished)
            #expect(try run("parts", stopAfter: 3) == .preempted(step: 3))
            #expect(try run("damaged", stopAfter: 3) == .preempted(step: 3))
            try FileManager.default.removeItem(atPath: texts)
            #expect(refusal { try run("other") }.contains("texts.txt"), "a run that begins needs them")
            #expect(refusal { try run("parts", overwrite: true) }.contains("texts.txt"))
            #expect(try run("parts") == .finished)
            #expect(try weights("parts") == weights("whole"))
            #expect(try run("parts") == .alreadyFinished)
            #expect(try run("parts", epochs: 2) == .finished)
            #expect(try weights("parts") == weights("long"))

            // No checkpoint is whole: the run begins anew, with components of its own.
            let damaged = "\(folder)/damaged/checkpoint-3/model.safetensors"
            var bytes = try Data(contentsOf: URL(fileURLWithPath: damaged))
            bytes[bytes.count / 2] ^= 1
            try FileManager.default.removeItem(atPath: damaged)  // shared with no other file
            try bytes.write(to: URL(fileURLWithPath: damaged))
            #expect(refusal { try run("damaged") }.contains("texts.txt"))
            try AtomicWrite.file(path: texts, text: lines)
            #expect(try run("damaged") == .finished)
            #expect(try weights("damaged") == weights("whole"))
        }
    }

    @Test(arguments: [
        (#"{"model": "BERT", "modules": []}"#, "names no module"),
        (#"{"model": "BERT", "modules": ["Pool"]}"#, "unknown module 'Pool'"),
        (#"{"model": "BERT", "modules": [{"type": "Dense"}]}"#, "out_features"),
        (#"{"model": "BERT", "modules": [{"out_features": 3}]}"#, "type"),
        (#"{"model": "BERT", "modules": [{"type": "Dense", "out_feature": 3}]}"#, "unknown key"),
        (#"{"model": "BERT", "modules": [{"type": "Dense", "out_features": 3}]}"#, "is not Pooling"),
        (#"{"model": "BERT", "modules": ["Pooling", "Pooling"]}"#, "second pooling"),
        (#"{"model": "BERT", "modules": ["Pooling", {"type": "CNN"}]}"#, "after Pooling"),
        (#"{"model": "BERT", "modules": [{"type": "LSTM", "hidden_dim": 3}, "Pooling"]}"#, "needs WordEmbeddings"),
        (#"{"model": "BERT", "modules": [{"type": "CNN", "kernel_sizes": [2]}, "Pooling"]}"#, "even kernel"),
        (#"{"model": "BERT", "modules": [{"type": "WeightedLayerPooling", "layer_start": 3}, "Pooling"]}"#, "2 layers"),
        (
            #"{"model": "BERT", "modules": ["Pooling", {"type": "Dense", "out_features": 13, "init": "pca"}]}"#,
            "12 components"
        ),
        (#"{"model": "BERT", "modules": [{"type": "BoW", "vocab": "x"}]}"#, "reads texts itself"),
        (#"{"model": "BERT", "modules": ["Pooling", {"type": "BoW", "vocab": "x"}]}"#, "only the first module can"),
        (#"{"modules": [{"type": "BoW"}]}"#, "vocab or document_frequencies"),
        (#"{"model": "BERT", "keep_layers": [2]}"#, "from 0 to 1"),
        (#"{"model": "BERT", "keep_layers": [1, 0]}"#, "ascending"),
        (#"{"model": "WORDS/model", "keep_layers": [0]}"#, "no layers"),
        (
            #"{"modules": [{"type": "WordEmbeddings", "path": "WORDS/vectors.txt"}, {"type": "Pooling", "pooling_mode": "cls"}]}"#,
            "first token"
        ),
    ])
    func modulesThatDoNotFitAreRefused(_ text: String, _ word: String) throws {
        let text = text.replacing("BERT", with: bert).replacing("WORDS", with: words)
        let error = #expect(throws: TuttiError.self) { try model(text) }
        #expect(error?.kind == .usage && error?.description.contains(word) == true, "\(String(describing: error))")
    }

    @Test(arguments: [
        ("the 1 2\nof 1 x\n", "vectors.txt:2"), ("the\n", "no numbers"), ("1 2\n", "no vectors"),
        ("the 1 nan\n", "'nan'"),
    ])
    func damagedVectorsAreRefused(_ text: String, _ word: String) throws {
        try withTemporaryDirectory { folder in
            try AtomicWrite.file(path: folder + "/vectors.txt", text: text)
            let error = #expect(throws: TuttiError.self) {
                try model(#"{"modules": [{"type": "WordEmbeddings", "path": "\#(folder)/vectors.txt"}, "Pooling"]}"#)
            }
            #expect(error?.kind == .data && error?.description.contains(word) == true, "\(String(describing: error))")
        }
    }

    private func largestDifference(_ a: [Float], _ b: [Float]) -> Double {
        a.count == b.count ? zip(a, b).reduce(0) { max($0, Double(abs($1.0 - $1.1))) } : .infinity
    }
}
