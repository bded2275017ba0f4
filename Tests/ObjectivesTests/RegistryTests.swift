// The registry reads options strictly, and what is wrong is said with the nearest name.

import Testing
import TuttiGround
import TuttiObjectives

@Suite struct RegistryTests {
    private let name = "MultipleNegativesRankingLoss"

    private func failure(_ name: String, _ options: JSONObject = [:]) -> String {
        do {
            _ = try LossRegistry.make(name: name, options: options)
            return "made"
        } catch {
            return error.description
        }
    }

    /// Every case gives its options at values of its own: what is not given must be in effect as the entry says.
    @Test(arguments: LossCase.all)
    func optionsAreThoseOfTheEntry(_ example: LossCase) throws {
        let entry = try LossRegistry.entry(named: example.specification.name)
        let options = try example.make().options
        for (name, value) in options {
            let described = try #require(entry.options.first { $0.name == name }, "\(name) is not described")
            if value.array != nil { continue }  // lists may be put in order
            guard let wanted = example.specification.options[name] ?? described.defaultValue else { continue }
            let isSame = value == wanted || value.double != nil && value.double == wanted.double
            #expect(isSame || wanted.object?["name"] == value || described.defaultValue == nil, "\(name)")
        }
        #expect(!entry.summary.isEmpty && Set(entry.options.map(\.name)).count == entry.options.count)
    }

    @Test func cachedNamesSetTheChunks() throws {
        let cached = try LossRegistry.make(name: "CachedMultipleNegativesRankingLoss")
        #expect(cached.chunking == Chunking(rows: 32) && type(of: cached.loss).name == name)
        let tokens = try LossRegistry.make(name: name, options: ["mini_batch_num_tokens": .integer(100)])
        #expect(tokens.chunking == Chunking(tokens: 100))
        #expect(try LossRegistry.make(name: name).chunking == nil)
        #expect(failure(name, ["mini_batch_size": .integer(0)]).contains("below 1"))
    }

    /// The options that take None in the signatures of sentence-transformers 6.2.
    @Test(arguments: [
        ("CachedGISTEmbedLoss", ["mini_batch_num_tokens"]),
        ("CachedMultipleNegativesRankingLoss", ["mini_batch_num_tokens", "hardness_mode"]),
        ("CachedMultipleNegativesSymmetricRankingLoss", ["mini_batch_num_tokens"]),
        ("DenoisingAutoEncoderLoss", ["decoder_name_or_path"]),
        ("DistillKLDivLoss", ["student_temperature", "teacher_temperature"]),
        ("EmbedDistillLoss", ["projection_dim"]), ("MSELoss", ["projection_dim"]),
        ("GlobalOrthogonalRegularizationLoss", ["mean_weight", "second_moment_weight"]),
        ("MatryoshkaLoss", ["matryoshka_weights"]), ("Matryoshka2dLoss", ["matryoshka_weights"]),
        ("MegaBatchMarginLoss", ["mini_batch_num_tokens"]), ("MultipleNegativesRankingLoss", ["hardness_mode"]),
    ])
    func nullIsTheReferencesNone(_ loss: String, _ names: [String]) throws {
        let entry = try LossRegistry.entry(named: loss)
        let needed: JSONObject = [
            "guide": .string("guide"), "loss": .string("CoSENTLoss"), "matryoshka_dims": .array([.integer(4)]),
        ]
        for name in names {
            var options: JSONObject = [name: .null]
            for option in entry.options where option.defaultValue == nil { options[option.name] = needed[option.name] }
            let made = try LossRegistry.make(name: loss, options: options).loss
            let standard = (entry.options + LossEntry.commonOptions).first { $0.name == name }?.defaultValue
            let value = made.options.first { $0.name == name }?.value
            #expect(standard == .null || value == .null, "\(loss).\(name): null means the default")
        }
    }

    /// The keys of the citations of sentence-transformers 6.2.
    @Test(arguments: [
        ("AdaptiveLayerLoss", "li20242d"), ("AnglELoss", "li-li-2024-aoe"),
        ("BatchAllTripletLoss", "hermans2017defense"),
        ("CachedMultipleNegativesRankingLoss", "gao2021scaling"),
        ("CachedMultipleNegativesSymmetricRankingLoss", "gao2021scaling"),
        ("ContrastiveLoss", "hadsell2006dimensionality"), ("ContrastiveTensionLoss", "carlsson2021semantic"),
        ("CoSENTLoss", "10531646"), ("DenoisingAutoEncoderLoss", "wang-2021-TSDAE"),
        ("DistillKLDivLoss", "lin2020distillingdenserepresentationsranking"),
        ("EmbedDistillLoss", "kim2023embeddistill"), ("GISTEmbedLoss", "solatorio2024gistembed"),
        ("GlobalOrthogonalRegularizationLoss", "zhang2017learningspreadoutlocalfeature"),
        ("MarginMSELoss", "hofstätter2021improving"), ("MatryoshkaLoss", "kusupati2024matryoshka"),
        ("Matryoshka2dLoss", "li20242d"), ("MegaBatchMarginLoss", "wieting-gimpel-2018-paranmt"),
        ("MSELoss", "reimers-2020-multilingual-sentence-bert"),
        ("MultipleNegativesRankingLoss", "oord2019representationlearningcontrastivepredictive"),
        ("MultipleNegativesSymmetricRankingLoss", "oord2019representationlearningcontrastivepredictive"),
        ("SoftmaxLoss", "reimers-2019-sentence-bert"), ("TripletLoss", "hermans2017defense"),
    ])
    func citationsAreTheReferences(_ loss: String, _ key: String) throws {
        #expect(try LossRegistry.entry(named: loss).citation.split(separator: "\n")[0].hasSuffix("{\(key),"))
    }

    @Test func mistakesNameTheNearest() {
        #expect(failure("MultipleNegativeRankingLoss").contains("Did you mean 'MultipleNegativesRankingLoss'"))
        #expect(failure("Foo").contains("Known: "))
        #expect(failure(name, ["scael": .number(1)]).contains("Did you mean 'scale'"))
        #expect(failure(name, ["scale": .string("big")]).contains("expected a number"))
        #expect(failure(name, ["scale": .bool(true)]).contains("expected a number"))
        #expect(failure(name, ["scale": .number(.nan)]).contains("expected a number"))
        #expect(failure(name, ["scale": .number(0)]).contains("not a positive number"))
        #expect(failure(name, ["gather_across_devices": .integer(1)]).contains("expected true or false"))
        #expect(failure(name, ["similarity_fct": .string("cos_sin")]).contains("Did you mean 'cos_sim'"))
    }
}
