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

    /// The names of a parameter in the transformer, one for each of its parts.
    private func names(_ names: ParameterNames) -> [String] {
        (names.parts.isEmpty ? [names.whole] : names.parts).map { String($0[1].dropFirst("model.0.model.".count)) }
    }

    @Test func everyFamilyIsThere() { #expect(Self.families.count == 27) }

    @Test(arguments: families)
    func namesAndDecay(_ family: String) throws {
        let recorded = try #require(Self.recorded[family]?.object)
        let model = try SentenceEncoder.load(Goldens.path("families/\(family)/model"))
        var found: [String: Bool] = [:]
        for entry in model.encoder.layout.entries {
            for name in names(try #require(model.referenceNames[entry.name])) { found[name] = entry.decays }
        }
        // Poolers, and what else has no part in embeddings, are not trained here.
        for (name, decays) in recorded where found[name] != nil {
            #expect(found.removeValue(forKey: name) == decays.bool, "\(name)")
        }
        #expect(found.isEmpty, "names that the reference does not have")
        let missing = recorded.map(\.key).filter { name in
            !name.hasPrefix("pooler.")
                && !model.encoder.layout.entries.contains {
                    model.referenceNames[$0.name].map(names)?.contains(name) ?? false
                }
        }
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
