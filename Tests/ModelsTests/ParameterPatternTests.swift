// Patterns of parameter names: what they match, what is refused, and the names that a model's parameters are known by.

import TestSupport
import Testing
import TuttiGround
import TuttiModels

@Suite struct ParameterPatternTests {
    @Test(arguments: [
        ("embeddings", "embeddings.word_embeddings.weight", true),
        ("embeddings", "embeddings_project.weight", false),
        ("encoder.layer.[0-5]", "encoder.layer.5.output.dense.bias", true),
        ("encoder.layer.[0-5]", "encoder.layer.6.output.dense.bias", false),
        ("encoder.layer.[0-5]", "encoder.layer.15.output.dense.bias", false),
        ("encoder.layer.[!0-5]", "encoder.layer.6.output.dense.bias", true),
        ("encoder.layer.[!0-5]", "encoder.layer.3.output.dense.bias", false),
        ("encoder.layer.1[02-3]", "encoder.layer.12.x", true), ("encoder.layer.1[02-3]", "encoder.layer.11.x", false),
        ("*.*.*.attention", "encoder.layer.0.attention.self.query.weight", true),
        ("*.attention", "encoder.layer.0.attention.self.query.weight", false),
        ("encoder.*.?.output.*m.weight", "encoder.layer.7.output.LayerNorm.weight", true),
        ("encoder.*.?.output.*m.weight", "encoder.layer.17.output.LayerNorm.weight", false),
        ("pooler", "pool", false), ("a.b.c", "a.b", false), ("[]]x", "]x.y", true), ("a-b", "a-b", true),
    ])
    func matching(_ pattern: String, _ name: String, _ matches: Bool) throws {
        #expect(try ParameterPattern(pattern).matches(name) == matches)
    }

    @Test(arguments: ["", "a..b", ".a", "encoder.layer.[0-5", "a.[]", "a.[!]", "a.[5-0]"])
    func refused(_ pattern: String) {
        #expect(throws: OptionProblem.self) { try ParameterPattern(pattern) }
    }

    private func frozen(_ folder: String, _ patterns: [String]) throws -> [String] {
        let model = try SentenceEncoder.load(Goldens.path(folder))
        try model.freeze(patterns)
        return model.encoder.layout.all.filter(\.isFrozen).map(\.name)
    }

    /// A parameter is found by its own name, by that of its file, and by the reference's.
    @Test func namesOfAParameter() throws {
        let bert = "training/bert-sgd/model"
        let wanted = try frozen(bert, ["encoder.layer.0"])
        #expect(wanted.count == 16 && wanted.allSatisfy { $0.hasPrefix("encoder.layer.0.") })
        for name in ["0.auto_model.", "0.model.", "model.0.auto_model.", "model.0.model."] {
            #expect(try frozen(bert, [name + "encoder.layer.0"]) == wanted, "\(name)")
        }
        let dense = try frozen("token-modules/bow/model", ["2_Dense"])
        #expect(!dense.isEmpty && dense.allSatisfy { $0.hasPrefix("2_Dense.linear.") })
        #expect(try frozen("token-modules/bow/model", ["2.linear"]) == dense)
        let router = "router/asymmetric/model"
        let documents = try frozen(router, ["0.sub_modules.document"])
        #expect(!documents.isEmpty && documents.allSatisfy { $0.hasPrefix("document_0_Transformer.") })
        #expect(try frozen(router, ["document_0_Transformer"]) == documents)
        let queries = try frozen(router, ["0.sub_modules.query"])
        #expect(Set(queries).isDisjoint(with: documents) && queries.count == 3)
    }

    @Test func freezingKeepsValuesAndIsUndone() throws {
        let model = try SentenceEncoder.load(Goldens.path("training/bert-sgd/model"))
        let whole = model.encoder
        let embeddings = try model.numbers(["ba ce", "di"])
        try model.freeze(["embeddings", "encoder.layer.1.output"])
        #expect(model.encoder !== whole && model.encoder.layout.frozenCount > 0)
        #expect(try model.numbers(["ba ce", "di"]) == embeddings)
        #expect(model.freezingNotice?.hasPrefix("Frozen: ") == true)
        let part = model.encoder
        try model.freeze(["encoder.layer.1.output", "embeddings"])
        #expect(model.encoder === part, "the same parameters: nothing to do")
        try model.freeze([])
        #expect(model.encoder.layout == whole.layout && model.freezingNotice == nil)
        #expect(Array(model.encoder.parameters.values) == Array(whole.parameters.values))
    }

    @Test func errorsNameTheNearest() throws {
        let model = try SentenceEncoder.load(Goldens.path("training/bert-sgd/model"))
        for (patterns, place, hint) in [
            (["embeddings", "encoder.layers.0"], "args.freeze.1", "Did you mean 'encoder.layer.0'?"),
            (["embedings"], "args.freeze.0", "Did you mean 'embeddings'?"),
            (["encoder.layer.[7-9]"], "args.freeze.0", "tutti inspect"), (["encoder.[x"], "args.freeze.0", ""),
        ] {
            let error = #expect(throws: TuttiError.self) { try model.freeze(patterns) }
            #expect(error?.kind == .usage && error?.subject == place)
            #expect(hint.isEmpty || error?.hint?.contains(hint) == true, "\(error?.hint ?? "none")")
        }
        #expect(model.encoder.layout.frozenCount == 0)
    }
}
