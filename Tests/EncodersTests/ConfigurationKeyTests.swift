// Keys of config.json: those of a family are read, those known to change nothing are passed over, and any other is refused.

import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats
import TuttiGround

struct ConfigurationKeyTests {
    /// What the family of `object` finds wrong with its keys.
    private func flaw(_ object: JSONObject) throws -> OptionProblem? {
        let family = try EncoderFamilies.reading(object)
        do throws(OptionProblem) {
            try family.checkKeys(of: object)
            return nil
        } catch {
            return error
        }
    }

    private func with(_ object: JSONObject, _ key: String, _ value: JSONValue) -> JSONObject {
        var object = object
        object[key] = value
        return object
    }

    @Test(arguments: FamilyGolden.all)
    func unknownKeysAreRefused(_ golden: FamilyGolden) throws {
        let own = golden.configuration
        #expect(try flaw(own) == nil)
        let refused = try #require(try flaw(with(own, "some_new_scale", .integer(2))))
        #expect(refused.path == "some_new_scale" && refused.hint?.contains("config_overrides") == true)
        for value in [JSONValue.integer(0), .bool(false), .array([]), .string("")] {
            #expect(try flaw(with(own, "some_new_scale", value))?.path == "some_new_scale")
        }
        // A null is as good as no key.
        #expect(try flaw(with(own, "some_new_scale", .null)) == nil)
        #expect(try flaw(with(own, "max_position_embedding", .integer(2)))?.path == "max_position_embedding")
    }

    /// What every file may hold beside a family's keys, and the values that make another model of it.
    @Test(arguments: FamilyGolden.all)
    func sharedKeys(_ golden: FamilyGolden) throws {
        var own = golden.configuration
        let neutral: JSONObject = [
            "_name_or_path": .string("x"), "torch_dtype": .string("bfloat16"), "id2label": .object(["0": .string("a")]),
            "use_cache": .bool(true), "architectures": .array([.string("X")]), "temperature": .number(0.5),
            "task_specific_params": .object([:]), "gradient_checkpointing": .bool(true), "is_decoder": .bool(false),
            "bos_token_id": .array([.integer(1)]), "pruned_heads": .object([:]),
        ]
        for (key, value) in neutral { own[key] = value }
        #expect(try flaw(own) == nil)
        let other: JSONObject = [
            "quantization_config": .object(["quant_method": .string("gptq")]),
            "pruned_heads": .object(["0": .array([.integer(1)])]), "use_mrope": .bool(true),
            "per_layer_config": .object(["0": .object(["head_dim": .integer(8)])]),
        ]
        for (key, value) in other { #expect(try flaw(with(own, key, value))?.path == key) }
    }

    @Test func nearestKeyIsNamed() throws {
        let bert = try #require(FamilyGolden.all.first { $0.name == "bert" }).configuration
        #expect(try flaw(with(bert, "layer_norm_epsilon", .number(1e-5)))?.hint?.contains("'layer_norm_eps'") == true)
    }

    /// The keys of models in use (docs/models.md): a plan comes of each, as it is.
    @Test func publishedConfigurations() throws {
        let path = Goldens.path("published-configurations.json")
        let models = try #require(try JSONValue.parse(file: path).object)
        #expect(models.count >= 40)
        for (name, value) in models {
            let object = try #require(value.object)
            func plan<Family: EncoderFamily>(_: Family.Type) throws -> EncoderPlan {
                var settings = Family()
                try Family.options.read(object, into: &settings)
                return try settings.plan()
            }
            #expect(try flaw(object) == nil, "\(name)")
            #expect(throws: Never.self, "\(name)") { try plan(EncoderFamilies.reading(object)) }
            #expect(try flaw(with(object, "attention_sinks", .integer(4)))?.path == "attention_sinks")
        }
    }
}
