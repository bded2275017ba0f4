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

    @Test func everyEntryMakesALossWithItsStandardOptions() throws {
        for entry in LossRegistry.all {
            let loss = try LossRegistry.make(name: entry.name)
            #expect(type(of: loss).name == entry.name)
            #expect(loss.options.map(\.name) == entry.options.map(\.name))
            #expect(loss.options.map(\.value) == entry.options.map(\.standard))
            #expect(!entry.summary.isEmpty && !entry.columns.isEmpty && entry.citation.contains("title="))
        }
    }

    @Test func optionsTakeEffect() throws {
        let options: [String: LossOption] = [
            "scale": .int(1), "similarity_fct": .string("dot_score"), "gather_across_devices": .bool(false),
        ]
        let loss = try LossRegistry.make(name: name, options: options)
        #expect(loss.options.map(\.value) == [.double(1), .string("dot_score"), .bool(false)])
    }

    @Test func mistakesNameTheNearest() {
        #expect(failure("MultipleNegativeRankingLoss").contains("Did you mean \"MultipleNegativesRankingLoss\""))
        #expect(failure("Foo").contains("Known losses: MultipleNegativesRankingLoss"))
        #expect(failure(name, ["scael": .double(1)]).contains("Did you mean \"scale\""))
        #expect(failure(name, ["scale": .string("big")]).contains("expected a number"))
        #expect(failure(name, ["scale": .bool(true)]).contains("expected a number"))
        #expect(failure(name, ["scale": .double(.nan)]).contains("not a positive number"))
        #expect(failure(name, ["scale": .double(0)]).contains("not a positive number"))
        #expect(failure(name, ["gather_across_devices": .int(1)]).contains("expected true or false"))
        #expect(failure(name, ["similarity_fct": .string("cos_sin")]).contains("Did you mean \"cos_sim\""))
        #expect(failure(name, ["similarity_fct": .string("euclidean_sim")]).contains("not available yet"))
        #expect(failure(name, ["hardness_mode": .string("all_negatives")]).contains("not available yet"))
    }
}
