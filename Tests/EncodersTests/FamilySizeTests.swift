// Full-size configurations: the parameters that their plans count are the reference's, without memory for them.

import Testing
import TuttiEncoders
import TuttiGround

struct FamilySizeTests {
    private func plan(_ modelType: String, _ object: JSONObject) throws -> EncoderPlan {
        func read<Family: EncoderFamily>(_: Family.Type) throws -> EncoderPlan {
            var settings = Family()
            try Family.options.read(object, into: &settings)
            return try settings.plan()
        }
        return try read(EncoderFamilies.named(modelType))
    }

    private func shape(
        _ vocabulary: Int64, _ hidden: Int64, layers: Int64, heads: Int64, inner: Int64, positions: Int64, types: Int64
    ) -> JSONObject {
        [
            "vocab_size": .integer(vocabulary), "hidden_size": .integer(hidden), "num_hidden_layers": .integer(layers),
            "num_attention_heads": .integer(heads), "intermediate_size": .integer(inner),
            "max_position_embeddings": .integer(positions), "type_vocab_size": .integer(types),
        ]
    }

    /// Model classes of the reference with the sizes of the published checkpoints, poolers left out.
    @Test func countsOfTheReference() throws {
        let base = try plan(
            "xlm-roberta", shape(250_002, 768, layers: 12, heads: 12, inner: 3072, positions: 514, types: 1))
        #expect(base.parameterCount == 278_043_648 - pooler(768))
        #expect(base.longestSequence == 512)
        #expect(
            try plan("roberta", shape(50_265, 768, layers: 12, heads: 12, inner: 3072, positions: 514, types: 1))
                .parameterCount == 124_645_632 - pooler(768))
        var albert = shape(30_000, 768, layers: 12, heads: 12, inner: 3072, positions: 512, types: 2)
        #expect(try plan("albert", albert).parameterCount == 11_683_584 - pooler(768))
        // Layers that share a block cost arithmetic, not parameters.
        let shared = try plan("albert", albert).denseParameters
        albert["num_hidden_layers"] = .integer(24)
        #expect(try plan("albert", albert).parameterCount == 11_683_584 - pooler(768))
        #expect(try plan("albert", albert).denseParameters - shared == 12 * (4 * 768 * 768 + 2 * 768 * 3072))
        #expect(
            try plan("electra", shape(30_522, 256, layers: 12, heads: 4, inner: 1024, positions: 512, types: 2))
                .parameterCount == 13_483_008)
        #expect(
            try plan(
                "distilbert",
                [
                    "vocab_size": .integer(30_522), "dim": .integer(768), "n_layers": .integer(6),
                    "n_heads": .integer(12), "hidden_dim": .integer(3072), "max_position_embeddings": .integer(512),
                ]
            ).parameterCount == 66_362_880)
    }

    /// deberta-v2-xlarge, whose convolution is a part of the arithmetic too.
    @Test func countsOfDeBERTa() throws {
        var deberta = shape(128_100, 1536, layers: 24, heads: 24, inner: 6144, positions: 512, types: 0)
        for (key, value) in [
            "relative_attention": .bool(true), "max_relative_positions": .integer(-1),
            "position_buckets": .integer(256),
            "norm_rel_ebd": .string("layer_norm"), "share_att_key": .bool(true), "pos_att_type": .string("p2c|c2p"),
            "position_biased_input": .bool(false), "conv_kernel_size": .integer(3), "conv_act": .string("gelu"),
            "attention_head_size": .integer(64),
        ] as JSONObject { deberta[key] = value }
        let xlarge = try plan("deberta-v2", deberta)
        #expect(xlarge.parameterCount == 884_593_152)
        deberta["conv_groups"] = .integer(4)
        #expect(try xlarge.denseParameters - plan("deberta-v2", deberta).denseParameters == 3 * 1536 * 1536 / 4 * 3)
        deberta["conv_kernel_size"] = .integer(0)
        #expect(try xlarge.denseParameters - plan("deberta-v2", deberta).denseParameters == 3 * 1536 * 1536)
    }

    /// The same of models with norms before their branches; these have no poolers.
    @Test func countsOfCausalModelsAndT5() throws {
        let qwen = try plan(
            "qwen3",
            causal(151_669, 1024, layers: 28, heads: 16, keyHeads: 8, headWidth: 128, inner: 3072, positions: 32_768))
        #expect(qwen.parameterCount == 595_776_512)
        #expect(qwen.longestSequence == 32_768)
        let gemma = try plan(
            "gemma3_text",
            causal(262_144, 768, layers: 24, heads: 3, keyHeads: 1, headWidth: 256, inner: 1152, positions: 2048))
        #expect(gemma.parameterCount == 302_863_104)
        let t5: JSONObject = [
            "vocab_size": .integer(32_128), "d_model": .integer(768), "d_kv": .integer(64), "d_ff": .integer(3072),
            "num_layers": .integer(12), "num_heads": .integer(12),
        ]
        #expect(try plan("t5", t5).parameterCount == 109_628_544)
        #expect(try plan("umt5", t5).parameterCount == 109_628_544 + 12 * 768 * 3072 + 11 * 32 * 12)
    }

    private func causal(
        _ vocabulary: Int64, _ hidden: Int64, layers: Int64, heads: Int64, keyHeads: Int64, headWidth: Int64,
        inner: Int64,
        positions: Int64
    ) -> JSONObject {
        [
            "vocab_size": .integer(vocabulary), "hidden_size": .integer(hidden), "num_hidden_layers": .integer(layers),
            "num_attention_heads": .integer(heads), "num_key_value_heads": .integer(keyHeads),
            "head_dim": .integer(headWidth), "intermediate_size": .integer(inner),
            "max_position_embeddings": .integer(positions),
        ]
    }

    @Test func refusedSettingsOfCausalModels() throws {
        func refuses(_ key: String, _ modelType: String, _ changes: JSONObject) {
            var object = causal(
                20, 32, layers: 2, heads: 4, keyHeads: 2, headWidth: 16, inner: 16, positions: 8)
            for (key, value) in changes { object[key] = value }
            #expect {
                _ = try plan(modelType, object)
            } throws: { error in
                (error as? TuttiError)?.subject == key || (error as? OptionProblem)?.path == key
            }
        }
        refuses("num_key_value_heads", "llama", ["num_key_value_heads": .integer(3)])
        refuses("pad_token_id", "llama", ["pad_token_id": .integer(-1)])
        refuses("rope_scaling.type", "llama", ["rope_scaling": .object(["type": .string("spiral")])])
        refuses("rope_parameters.scale", "llama", ["rope_parameters": .object(["scale": .integer(1)])])
        refuses("rope_parameters.factor", "llama", ["rope_parameters": .object(["rope_type": .string("linear")])])
        refuses("sliding_window", "mistral", ["is_causal": .bool(false), "sliding_window": .integer(4)])
        refuses("layer_types", "qwen3", ["layer_types": .array([.string("full_attention")])])
        refuses(
            "layer_types", "qwen2",
            ["layer_types": .array([.string("full_attention"), .string("sliding_attention")])])
    }

    /// Settings that cannot be computed are refused by the family's own key.
    @Test func refusedSettings() throws {
        func refuses(_ key: String, _ modelType: String, _ object: JSONObject) {
            #expect { _ = try plan(modelType, object) } throws: { error in
                (error as? TuttiError)?.subject == key || (error as? OptionProblem)?.path == key
            }
        }
        let tiny = shape(20, 32, layers: 2, heads: 4, inner: 16, positions: 8, types: 2)
        func with(_ key: String, _ value: JSONValue) -> JSONObject {
            var object = tiny
            object[key] = value
            return object
        }
        refuses("inner_group_num", "albert", with("inner_group_num", .integer(0)))
        refuses("num_hidden_layers", "albert", with("inner_group_num", .integer(501)))
        refuses("attention_head_size", "deberta-v2", with("attention_head_size", .integer(16)))
        refuses("conv_kernel_size", "deberta-v2", with("conv_kernel_size", .integer(4)))
        var grouped = with("conv_kernel_size", .integer(3))
        grouped["conv_groups"] = .integer(5)
        refuses("conv_groups", "deberta-v2", grouped)
        refuses("num_hidden_groups", "albert", with("num_hidden_groups", .integer(3)))
        refuses("num_hidden_layers", "albert", with("num_hidden_layers", .integer(100_000)))
        refuses("max_position_embeddings", "roberta", with("max_position_embeddings", .integer(2)))
        refuses("pad_token_id", "roberta", with("pad_token_id", .integer(20)))
        refuses("embedding_size", "electra", with("embedding_size", .integer(0)))
        refuses("position_embedding_type", "electra", with("position_embedding_type", .string("relative_key")))
        refuses(
            "n_heads", "distilbert",
            [
                "vocab_size": .integer(20), "dim": .integer(32), "n_layers": .integer(1), "n_heads": .integer(5),
                "hidden_dim": .integer(16), "max_position_embeddings": .integer(8),
            ])
        refuses("dim", "distilbert", tiny)
    }

    private func pooler(_ width: Int) -> Int { width * width + width }
}
