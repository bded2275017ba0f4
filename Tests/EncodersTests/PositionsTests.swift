// How positions enter: buckets of distances, slopes, frequencies of rotations, rows of disentangled tables.

import Foundation
import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats
import TuttiGround

struct PositionsTests {
    /// Slopes of 12 heads: those of 8, then every second one of 16.
    @Test func slopes() {
        let expected: [Float] = [
            1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256, 0.70710678, 0.35355339, 0.17677670,
            0.08838835,
        ]
        let own = LinearBiases.slopes(12)
        #expect(zip(own, expected).allSatisfy { abs($0 - $1) <= 1e-7 } && own.count == 12)
        #expect(LinearBiases.slopes(8) == Array(own.prefix(8)))
        #expect(LinearBiases.slopes(1) == [Float(pow(2, -8.0))])
    }

    /// The integer rule of the default equals the formula with logarithms.
    @Test func bucketsOfDistances() {
        let standard = DistanceBuckets.standard
        for distance in -600...600 {
            let n = Double(abs(distance))
            let far = n < 8 ? 0 : 8 + Int((log(n / 8) / log(16.0) * 8 + 1e-9).rounded(.down))
            let expected = (distance > 0 ? 16 : 0) + (n < 8 ? abs(distance) : min(15, far))
            #expect(standard.bucket(distance) == expected, "\(distance)")
        }
        let other = DistanceBuckets(count: 16, farthest: 64)
        #expect([-70, -4, -3, 0, 3, 4, 70].map(other.bucket) == [7, 4, 3, 0, 11, 12, 15])
    }

    /// Frequencies to the last bits of fp32, and the scalings of them.
    @Test func frequencies() {
        let plain = RotaryPlan(theta: 10_000, width: 8).frequencies
        #expect(zip(plain, [1, 0.1, 0.01, 0.001]).allSatisfy { abs($0 - $1) <= 2e-7 * $1 })
        let linear = RotaryPlan(theta: 10_000, width: 8, scaling: .linear(factor: 4)).frequencies
        #expect(linear == plain.map { $0 / 4 })
        let ntk = RotaryPlan(theta: 500, width: 4, scaling: .fixedNTK(factor: 2)).frequencies
        #expect(abs(ntk[0] - Float(1 / 2.0.squareRoot())) < 1e-7)
        #expect(abs(ntk[1] - Float(1 / 1000.0.squareRoot() / 2.0.squareRoot())) < 1e-8)
        // Llama 3.1: the highest frequency stays, the lowest is divided, one between is blended.
        let llama = RotaryPlan(
            theta: 500_000, width: 128, scaling: .llama3(factor: 8, low: 1, high: 4, trainedPositions: 8192))
        let base = RotaryPlan(theta: 500_000, width: 128).frequencies
        #expect(llama.frequencies[0] == base[0] && llama.frequencies[63] == base[63] / 8)
        let blended = llama.frequencies.indices.filter {
            llama.frequencies[$0] < base[$0] && llama.frequencies[$0] > base[$0] / 8
        }
        #expect(!blended.isEmpty)
        for place in blended {
            let part = (8192 / (2 * Double.pi / Double(base[place])) - 1) / 3
            let expected = (1 - part) * Double(base[place]) / 8 + part * Double(base[place])
            #expect(abs(Double(llama.frequencies[place]) - expected) <= 1e-5 * expected)
        }
    }

    /// Every scaling, by its keys, against the reference's table: to the last bits of fp32.
    @Test func scalingsEqualTheReference() throws {
        let cases = try #require(try JSONValue.parse(file: Goldens.path("rotary.json")).array)
        var tables: Set<[Float]> = []
        for golden in cases {
            let name = golden["name"]?.string ?? ""
            let keys = try #require(golden["config"]?.object)
            let expected = (golden["frequencies"]?.array ?? []).compactMap { $0.double.map(Float.init) }
            let plan = try plan(Llama.self, keys)
            let rotation = try #require(plan.rotations.first)
            #expect(rotation.frequencies.count == expected.count && !expected.isEmpty, "\(name)")
            for (own, other) in zip(rotation.frequencies, expected) {
                #expect(abs(own - other) <= 3e-7 * other, "\(name): \(own), not \(other)")
            }
            #expect(rotation.factor == golden["factor"]?.double.map(Float.init), "\(name): factor \(rotation.factor)")
            tables.insert(rotation.frequencies)
        }
        // Control: the bound tells one scaling from another.
        #expect(cases.count == 14 && tables.count >= 9)
    }

    /// Longrope has other divisors beyond the positions of training, where texts are cut; the others have not.
    @Test func textsEndWhereFrequenciesWouldDependOnTheBatch() throws {
        let cases = try #require(try JSONValue.parse(file: Goldens.path("rotary.json")).array)
        for golden in cases {
            let keys = try #require(golden["config"]?.object)
            let limit = try plan(Llama.self, keys).longestSequence
            let whole = keys["max_position_embeddings"]?.int
            #expect(golden["name"]?.string?.hasPrefix("longrope") == true ? limit == 512 : limit == whole)
        }
    }

    /// What no class of the reference computes is refused by its key.
    @Test func refusedRotations() throws {
        func refuses(_ key: String, _ parameters: JSONObject) {
            var keys = dimensions
            keys["rope_parameters"] = .object(parameters)
            #expect {
                try plan(Llama.self, keys)
            } throws: {
                ($0 as? TuttiError)?.subject == key || ($0 as? OptionProblem)?.path == key
            }
        }
        let (half, whole) = (JSONValue.number(0.5), JSONValue.array([JSONValue](repeating: .number(1), count: 4)))
        refuses("rope_parameters.partial_rotary_factor", ["partial_rotary_factor": half])
        refuses("rope_parameters.short_factor", ["rope_type": .string("longrope"), "long_factor": whole])
        refuses(
            "rope_parameters.long_factor",
            ["rope_type": .string("longrope"), "short_factor": whole, "long_factor": .array([.number(1)])])
        refuses("rope_parameters.truncate", ["rope_type": .string("yarn"), "truncate": .number(1)])
        refuses("rope_parameters.factor", ["rope_type": .string("yarn"), "factor": .number(-1)])
        refuses(
            "rope_parameters.rope_theta",
            ["rope_type": .string("yarn"), "rope_theta": .number(1), "factor": .number(2)])
    }

    /// Rows of a table of 256 buckets for distances up to 512: the index reaches 255 at 511, 256 at 512, and the clamp takes
    /// the rest.
    @Test func rowsOfDisentangledTables() {
        let table = DistanceRows(reach: 256, buckets: DistanceBuckets(count: 256, farthest: 512))
        #expect([0, 1, -1, 128, -128].map(table.row) == [256, 257, 255, 384, 128])
        #expect([510, 511, 512, 5000].map(table.row) == [511, 511, 511, 511])
        #expect([-510, -511, -512, -5000].map(table.row) == [1, 1, 0, 0])
        let rows = (-600...600).map(table.row)
        #expect(rows == rows.sorted())
        let plain = DistanceRows(reach: 4)
        #expect([-9, -4, -3, 0, 3, 4].map(plain.row) == [0, 0, 1, 4, 7, 7])
    }

    /// The plan of a family for these keys and a vocabulary.
    private func plan<Family: EncoderFamily>(_: Family.Type, _ keys: JSONObject) throws -> EncoderPlan {
        var (object, settings) = (keys, Family())
        object["vocab_size"] = .integer(60)
        try Family.options.read(object, into: &settings)
        return try settings.plan()
    }

    private let dimensions: JSONObject = [
        "hidden_size": .integer(32), "num_hidden_layers": .integer(1), "num_attention_heads": .integer(4),
        "intermediate_size": .integer(40), "max_position_embeddings": .integer(48), "pad_token_id": .integer(0),
    ]

    private func dimensions(_ key: String, _ value: JSONValue) -> JSONObject {
        var keys = dimensions
        keys[key] = value
        return keys
    }

    /// Older keys mean the same model; where both are given, those of transformers hold.
    @Test func keysOfNomicsOlderClass() throws {
        let older: JSONObject = [
            "n_embd": .integer(32), "n_layer": .integer(1), "n_head": .integer(4), "n_inner": .integer(40),
            "n_positions": .integer(8192), "max_trained_positions": .integer(48), "rotary_emb_base": .integer(1000),
            "activation_function": .string("swiglu"), "layer_norm_epsilon": .number(1e-12), "prenorm": .bool(false),
        ]
        #expect(try plan(NomicBERT.self, older) == plan(NomicBERT.self, dimensions))
        #expect(try plan(NomicBERT.self, dimensions("n_embd", .integer(64))) == plan(NomicBERT.self, dimensions))
        for key in ["prenorm", "rotary_emb_interleaved", "use_rms_norm", "qkv_proj_bias"] {
            #expect { try plan(NomicBERT.self, dimensions(key, .bool(true))) } throws: {
                ($0 as? OptionProblem)?.path == key
            }
        }
    }

    /// A scaling that is not computed is refused by its key; "ntk" belongs to GTE alone.
    @Test func scalingsOfRotaryFamilies() throws {
        func scaled(_ type: String) -> JSONObject {
            dimensions("rope_scaling", .object(["type": .string(type), "factor": .number(2)]))
        }
        #expect(try plan(GTE.self, scaled("ntk")) != plan(GTE.self, dimensions))
        #expect(try plan(GTE.self, scaled("linear")) != plan(GTE.self, scaled("ntk")))
        #expect(try plan(GTE.self, scaled("dynamic")) == plan(GTE.self, dimensions))
        #expect { try plan(GTE.self, scaled("spiral")) } throws: { ($0 as? OptionProblem)?.path == "rope_scaling.type" }
        #expect { try plan(NomicBERT.self, scaled("ntk")) } throws: {
            ($0 as? TuttiError)?.subject == "rope_parameters.rope_type"
        }
        #expect { try plan(GTE.self, dimensions("logn_attention_scale", .bool(true))) } throws: {
            ($0 as? OptionProblem)?.path == "logn_attention_scale"
        }
    }

    /// Jina's files say "bert"; its variant for code has norms of queries and keys, by the class that it names.
    @Test func jinasFilesAreFoundByTheirPositions() throws {
        let alibi: JSONObject = ["model_type": .string("bert"), "position_embedding_type": .string("alibi")]
        #expect(try EncoderFamilies.reading(alibi) == JinaBERT.self)
        #expect(try EncoderFamilies.reading(["model_type": .string("bert")]) == BERT.self)
        let code = dimensions(
            "auto_map", .object(["AutoModel": .string("jinaai/jina-bert-v2-qk-post-norm--modeling_bert.JinaBertModel")])
        )
        #expect { try plan(JinaBERT.self, code) } throws: { ($0 as? TuttiError)?.subject == "feed_forward_type" }
        var gated = code
        gated["feed_forward_type"] = .string("geglu")
        let names = try plan(JinaBERT.self, gated).tensors.map(\.name)
        #expect(names.contains("encoder.layer.0.attention.self.layer_norm_q.weight"))
        #expect(names.contains("encoder.layer.0.mlp.up_gated_layer.weight"))
        let plainClass = JSONValue.string("jinaai/jina-bert-implementation--modeling_bert.JinaBertModel")
        gated["auto_map"] = .object(["AutoModel": plainClass])
        #expect(try !plan(JinaBERT.self, gated).tensors.map(\.name).contains { $0.contains("layer_norm_q") })
    }
}
