// The order, alignment and decay flags of parameters; names and aliases; refused configurations.

import Testing
import TuttiEncoders
import TuttiKernels

struct LayoutTests {
    @Test func orderFollowsBackward() throws {
        let golden = try Golden(.bert)
        let encoder = try golden.encoder(heads: golden.denseHeads)
        let names = encoder.layout.entries.map(\.name)
        #expect(names.first == "4_Dense.linear.weight")
        #expect(names.last == "embeddings.word_embeddings.weight")
        func place(_ name: String) throws -> Int { try #require(names.firstIndex(of: name), "\(name)") }
        #expect(try place("3_LayerNorm.norm.weight") < place("2_Dense.linear.weight"))
        #expect(try place("2_Dense.linear.bias") < place("encoder.layer.1.output.LayerNorm.weight"))
        #expect(
            try place("encoder.layer.1.attention.self.value.bias") < place("encoder.layer.0.output.LayerNorm.weight"))
        let query = try place("encoder.layer.0.attention.self.query.weight")
        #expect(
            names[query..<query + 6].elementsEqual(
                ["query.weight", "key.weight", "value.weight", "query.bias", "key.bias", "value.bias"].map {
                    "encoder.layer.0.attention.self.\($0)"
                }))
        var end = 0
        for entry in encoder.layout.entries {
            #expect(entry.range.lowerBound == end && entry.range.lowerBound % 16 == 0)
            #expect(entry.elementCount <= entry.range.count && entry.range.count < entry.elementCount + 16)
            #expect(encoder.layout.entry(named: entry.name) == entry)
            #expect(UInt(bitPattern: encoder.parameters.values(of: entry).baseAddress) % 64 == 0)
            end = entry.range.upperBound
        }
        #expect(end == encoder.layout.count)
    }

    @Test func sharedRelativeBiasLiesWithTheEmbeddings() throws {
        let encoder = try Golden(.mpnet).encoder(heads: [.pooling(modes: [.mean])])
        let names = encoder.layout.entries.map(\.name)
        let bias = try #require(names.firstIndex(of: "encoder.relative_attention_bias.weight"))
        let lastBlock = try #require(names.lastIndex { $0.hasPrefix("encoder.layer.0.") })
        #expect(bias == lastBlock + 1)
        #expect(names[bias + 1] == "embeddings.LayerNorm.weight")
    }

    @Test(arguments: [
        ("encoder.layer.0.output.dense.weight", true), ("encoder.layer.0.output.dense.bias", false),
        ("encoder.layer.0.output.LayerNorm.weight", false), ("encoder.relative_attention_bias.weight", false),
        ("embeddings.word_embeddings.weight", true), ("3_LayerNorm.norm.weight", false), ("model.norm.weight", false),
        ("norm", false), ("layers.0.input_norm.weight", false), ("normal.weight", true), ("prenorm.weight", true),
        ("x.RMSNorm.weight", false), ("denormalise.weight", true),
    ])
    func decayFollowsTheReferencesNames(_ name: String, _ decays: Bool) {
        #expect(ParameterLayout.isExcludedFromDecay(name) == !decays)
    }

    @Test func checkpointNames() throws {
        let bert = try EncoderArchitectures.named("bert")
        #expect(bert.canonicalName("bert.embeddings.LayerNorm.gamma") == "embeddings.LayerNorm.weight")
        #expect(bert.canonicalName("embeddings.LayerNorm.beta") == "embeddings.LayerNorm.bias")
        #expect(bert.canonicalName("encoder.layer.0.output.dense.weight") == "encoder.layer.0.output.dense.weight")
        #expect(bert.isUnused("pooler.dense.weight") && bert.isUnused("embeddings.position_ids"))
        #expect(!bert.isUnused("embeddings.position_embeddings.weight"))
        let mpnet = try EncoderArchitectures.named("mpnet")
        #expect(mpnet.canonicalName("mpnet.encoder.relative_attention_bias.weight") == mpnet.relativePositionName)
        let tensors = mpnet.tensors(try Golden(.mpnet).configuration())
        #expect(tensors.count == 2 * 16 + 5)
        #expect(tensors.contains(TensorSpecification("encoder.relative_attention_bias.weight", [32, 4])))
    }

    @Test func refusedConfigurations() throws {
        let good = try Golden(.bert).configuration()
        func refuses(
            _ subject: String, heads: [HeadConfiguration] = [.pooling(modes: [.mean])],
            _ change: (inout EncoderConfiguration) -> Void = { _ in }
        ) {
            var configuration = good
            change(&configuration)
            #expect { try SequenceEncoder(configuration: configuration, heads: heads) } throws: {
                ($0 as? EncoderError)?.subject == subject
            }
        }
        refuses("model_type") { $0.architecture = "bart" }
        refuses("num_attention_heads") { $0.heads = 5 }
        refuses("num_attention_heads") { $0.heads = 12 }
        refuses("hidden_size") { $0.hiddenSize = 24 }
        refuses("hidden_dropout_prob") { $0.hiddenDropout = 1 }
        refuses("type_vocab_size") { $0.typeVocabularySize = 0 }
        refuses("num_hidden_layers") { $0.layers = 0 }
        refuses("modules", heads: [])
        refuses("modules", heads: [.normalize])
        refuses("modules", heads: [.pooling(modes: [.mean]), .pooling(modes: [.cls])])
        refuses("2_Dense.in_features", heads: [.pooling(modes: [.mean, .max]), .dense(name: "2_Dense", inputWidth: 48, outputWidth: 8)])
        #expect(throws: EncoderError.self) { try PoolingMode(name: "median") }
        #expect(throws: EncoderError.self) { try EncoderConfiguration.activation(named: "mish") }
        #expect(try EncoderConfiguration.activation(named: "gelu_new") == .geluTanh)
        #expect(try good.longestSequence() == 44)
        #expect(try Golden(.mpnet).configuration().longestSequence() == 44)
    }

    @Test func packedBatchKeepsItsMemory() {
        var batch = PackedBatch()
        batch.append([5, 6, 7], slot: 4, column: 1, promptTokens: 2)
        batch.append(slot: 5) { $0.append(9) }
        #expect(batch.ids == [5, 6, 7, 9] && batch.offsets == [0, 3, 4] && batch.slots == [4, 5])
        #expect(batch.columns == [1, 0] && batch.promptTokens == [2, 0] && batch.longest == 3)
        batch.removeAll()
        #expect(batch == PackedBatch() && batch.tokenCount == 0)
    }
}
