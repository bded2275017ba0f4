// A whole model card, compared with the one in Tests/Golden/models-card/card.md.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiModels

@Suite struct ModelCardTests {
    private static var facts: ModelCardFacts {
        var facts = ModelCardFacts()
        facts.modelName = "Tiny: a model"
        facts.baseModel = "org/base-model"
        facts.languages = ["en"]
        facts.license = "apache-2.0"
        facts.dimension = 32
        facts.maximumLength = 24
        facts.architecture = [
            "Transformer({'max_seq_length': 24})", "Pooling({'pooling_mode': 'mean'})", "Normalize()",
        ]
        facts.evaluations = ["dev", "test"].enumerated().map { place, name in
            ModelCardFacts.Evaluation(
                title: "Triplet", className: "TripletEvaluator", dataset: name,
                configuration: ["truncate_dim": .integer(16)],
                metrics: [("cosine_accuracy", 0.75 + Double(place) / 8)], primaryMetric: "cosine_accuracy")
        }
        facts.trainDatasets = [
            ModelCardFacts.Dataset(
                name: "pairs", rowCount: 1_234_567, columns: ["anchor", "positive"],
                lossName: "MultipleNegativesRankingLoss", lossOptions: ["scale": .number(20)])
        ]
        facts.changedArguments = [("learning_rate", "2e-05")]
        facts.allArguments = [("learning_rate", "2e-05"), ("seed", "42")]
        facts.log = [
            .init(epoch: 0.5, step: 10, values: [("dev_cosine_accuracy", 0.5), ("Training Loss", 1.25)]),
            .init(epoch: 1, step: 20, values: [("Training Loss", 0.75), ("dev_cosine_accuracy", .nan)]),
        ]
        facts.bestStep = 10
        facts.versions = [("Tutti", "1.2.3")]
        facts.citations = [("MultipleNegativesRankingLoss", "@misc{some,\n    title = {A title}\n}\n")]
        return facts
    }

    @Test func cardIsTheCommittedOne() throws {
        let committed = FileManager.default.contents(atPath: GoldenModels.folder + "-card/card.md").map {
            String(decoding: $0, as: UTF8.self)
        }
        let text = ModelCard(facts: Self.facts).text
        if text != committed {
            try text.write(toFile: NSTemporaryDirectory() + "/tutti-card.md", atomically: true, encoding: .utf8)
        }
        #expect(text == committed, "the card now is in \(NSTemporaryDirectory())/tutti-card.md")
    }

    @Test func emptyFactsStillMakeACard() {
        let text = ModelCard(facts: ModelCardFacts()).text
        #expect(text.hasPrefix("---\ntags:\n") && text.contains("## Usage") && !text.contains("## Evaluation"))
    }
}
