// What the reference calls the parameters of every family, and which of them decay (Golden/parameter_names.py).

import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct ReferenceNamesTests {
    private static let recorded: JSONObject =
        (try? JSONValue.parse(file: Goldens.path("families/parameters.json")).object) ?? JSONObject()
    private static let families = recorded.map(\.key)

    @Test func everyFamilyIsThere() { #expect(Self.families.count == 27) }

    @Test(arguments: families)
    func namesAndDecay(_ family: String) throws {
        let recorded = try #require(Self.recorded[family]?.object)
        let model = try SentenceEncoder.load(Goldens.path("families/\(family)/model"))
        let names = model.referenceNames
        var found: [String: Bool] = [:]
        for entry in model.encoder.layout.entries {
            for name in try #require(names[entry.name]).inTransformer { found[name] = entry.decays }
        }
        for (name, decays) in found { #expect(recorded[name]?.bool == decays, "\(name)") }
        // Poolers have no part in embeddings.
        let missing = recorded.map(\.key).filter { !$0.hasPrefix("pooler.") && found[$0] == nil }
        #expect(missing.isEmpty, "\(missing)")
    }

    @Test func partsOfATensorAreFrozenTogether() throws {
        func frozen(_ patterns: String...) throws -> [String] {
            let model = try SentenceEncoder.load(Goldens.path("families/gte/model"))
            try model.freeze(patterns)
            return model.encoder.layout.all.filter(\.isFrozen).map(\.name)
        }
        let whole = try frozen("encoder.layer.0.attention.qkv_proj", "encoder.layer.1.mlp.up_gate_proj")
        #expect(whole.count == 3)
        #expect(try frozen("0.model.layers.0.self_attn.[qkv]_proj", "0.auto_model.layers.1.mlp.[gu]*_proj") == whole)
        let half = #expect(throws: TuttiError.self) { try frozen("0.model.layers.0.self_attn.[qk]_proj") }
        #expect(half?.kind == .usage && half?.subject == "args.freeze.0")
        #expect(half?.problem.contains("one tensor with model.0.auto_model.layers.0.self_attn.v_proj") == true)
        #expect(half?.hint?.contains("all 3 parameters") == true)
    }
}

extension ParameterNames {
    /// What a parameter of a model's transformer is called inside it, one name for each of its parts.
    var inTransformer: [String] {
        (parts.isEmpty ? [whole] : parts).map { String($0[1].dropFirst("model.0.model.".count)) }
    }
}
