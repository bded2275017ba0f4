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
        _ vocabulary: Int, _ hidden: Int, layers: Int, heads: Int, inner: Int, positions: Int, types: Int
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
        refuses("inner_group_num", "albert", with("inner_group_num", .integer(2)))
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
