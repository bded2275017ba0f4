// The order, alignment and decay flags of parameters; names and aliases; refused configurations.

import Testing
import TuttiEncoders
import TuttiGround
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
        #expect(BERT.canonicalName("bert.embeddings.LayerNorm.gamma") == "embeddings.LayerNorm.weight")
        #expect(BERT.canonicalName("embeddings.LayerNorm.beta") == "embeddings.LayerNorm.bias")
        #expect(BERT.canonicalName("encoder.layer.0.output.dense.weight") == "encoder.layer.0.output.dense.weight")
        let table = "encoder.relative_attention_bias.weight"
        #expect(MPNet.canonicalName("mpnet.\(table)") == table)
        let tensors = try Golden(.mpnet).plan().tensors
        #expect(tensors.count == 2 * 16 + 5)
        #expect(tensors.contains(TensorSpecification(table, [32, 4])))
        #expect(try EncoderFamilies.named("mpnet") == MPNet.self)
    }

    /// What a plan says of itself is what its layout holds.
    @Test(arguments: GoldenKind.allCases)
    func plansCountTheirParameters(_ kind: GoldenKind) throws {
        let golden = try Golden(kind)
        let encoder = try golden.encoder(heads: [.pooling(modes: [.mean])])
        let (plan, shape) = (encoder.plan, golden.shape())
        #expect(plan.tensors.map(\.name) == encoder.layout.entries.map(\.name))
        #expect(plan.parameterCount == encoder.layout.entries.reduce(0) { $0 + $1.elementCount })
        let (d, f, layers) = (shape.hiddenSize, shape.innerSize, shape.layers)
        let dense = layers * (4 * d * d + 2 * d * f)
        #expect(plan.denseParameters == dense)
        #expect(
            plan.trainingFLOPs(tokens: 10, lengths: [4, 6])
                == Double(6 * dense * 10 + 12 * layers * d * 52))
    }

    @Test func refusedSettings() throws {
        func refuses(
            _ subject: String, heads: [HeadConfiguration] = [.pooling(modes: [.mean])],
            _ change: (inout BERT) -> Void = { _ in }
        ) throws {
            var settings = BERT(try Golden(.bert).shape())
            change(&settings)
            #expect { try SequenceEncoder(settings.plan(), heads: heads) } throws: {
                ($0 as? TuttiError)?.subject == subject
            }
        }
        try refuses("num_attention_heads") { $0.shape.heads = 5 }
        try refuses("num_attention_heads") { ($0.shape.hiddenSize, $0.shape.heads) = (512, 1) }
        try refuses("hidden_dropout_prob") { $0.shape.hiddenDropout = 1 }
        try refuses("type_vocab_size") { $0.shape.typeRows = 0 }
        try refuses("num_hidden_layers") { $0.shape.layers = 0 }
        try refuses("modules", heads: [])
        try refuses("modules", heads: [.normalize])
        try refuses("modules", heads: [.pooling(modes: [.mean]), .pooling(modes: [.cls])])
        try refuses(
            "2_Dense.in_features",
            heads: [.pooling(modes: [.mean, .max]), .dense(name: "2_Dense", inputWidth: 48, outputWidth: 8)])
        #expect { try EncoderFamilies.named("bart") } throws: { ($0 as? TuttiError)?.subject == "model_type" }
        #expect(throws: OptionProblem.self) { try PoolingMode(option: .string("median")) }
        #expect(throws: TuttiError.self) { try Activations.named("prelu") }
        #expect(try Activations.named("gelu_new") == .geluTanh)
        #expect(try Golden(.bert).plan().longestSequence == 44)
        #expect(try Golden(.mpnet).plan().longestSequence == 44)
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
