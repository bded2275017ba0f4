// The registry reads options strictly, and what is wrong is said with the nearest name.

import Testing
import TuttiObjectives

@Suite struct RegistryTests {
    private let name = "MultipleNegativesRankingLoss"

    private func failure(_ name: String, _ options: [String: LossOption] = [:]) -> String {
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
            if [.loss, .losses, .ints, .doubles].contains(described.kind) { continue }  // lists may be put in order
            let given = example.specification.options[name].flatMap(described.kind.accepts)
            if let wanted = given ?? described.standard { #expect(value == wanted, "\(name)") }
        }
        #expect(!entry.summary.isEmpty && Set(entry.options.map(\.name)).count == entry.options.count)
    }

    @Test func cachedNamesSetTheChunks() throws {
        let cached = try LossRegistry.make(name: "CachedMultipleNegativesRankingLoss")
        #expect(cached.chunking == Chunking(rows: 32) && type(of: cached.loss).name == name)
        let tokens = try LossRegistry.make(name: name, options: ["mini_batch_num_tokens": .int(100)])
        #expect(tokens.chunking == Chunking(tokens: 100))
        #expect(try LossRegistry.make(name: name).chunking == nil)
        #expect(failure(name, ["mini_batch_size": .int(0)]).contains("not a positive number"))
    }

    @Test func mistakesNameTheNearest() {
        #expect(failure("MultipleNegativeRankingLoss").contains("Did you mean \"MultipleNegativesRankingLoss\""))
        #expect(failure("Foo").contains("Known losses: "))
        #expect(failure(name, ["scael": .double(1)]).contains("Did you mean \"scale\""))
        #expect(failure(name, ["scale": .string("big")]).contains("expected a number"))
        #expect(failure(name, ["scale": .bool(true)]).contains("expected a number"))
        #expect(failure(name, ["scale": .double(.nan)]).contains("not a positive number"))
        #expect(failure(name, ["scale": .double(0)]).contains("not a positive number"))
        #expect(failure(name, ["gather_across_devices": .int(1)]).contains("expected true or false"))
        #expect(failure(name, ["similarity_fct": .string("cos_sin")]).contains("Did you mean \"cos_sim\""))
    }
}
