// The parts of a model card by themselves; whole cards of runs are compared with the reference's in TrainingTests/GoldenCardTests.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct ModelCardTests {
    @Test func emptyFactsStillMakeACard() {
        let text = ModelCard(facts: ModelCardFacts()).text
        #expect(text.hasPrefix("---\ntags:\n") && text.contains("## Usage") && !text.contains("## Evaluation"))
        #expect(text.contains("print(similarities.shape)\n# [3, 3]\n"))
        #expect(!text.contains("generated_from_trainer") && !text.contains("### Training Time"))
        #expect(text.contains("## Training Details\n\n### Framework Versions\n- Tutti: "))
    }

    /// Tensors that torch has printed, those that are not finite among them.
    @Test func tensorsArePrintedAsByTorch() throws {
        let lines = try String(contentsOfFile: Goldens.path("cards/tensors.txt"), encoding: .utf8).split(
            separator: "\n")
        #expect(lines.count > 8)
        for line in lines {
            let golden = try JSONValue.parse(String(line))
            let rows = try #require(golden["values"]?.array).compactMap(\.array).map { row in
                row.map { Float($0.double ?? .nan) }
            }
            #expect(CardNumber.tensor(rows) == golden["text"]?.string)
        }
    }

    @Test func numbersAreSpelledAsByPython() {
        for (value, rounded, cell) in [
            (1.0, "1.0", "1.0"), (0.123456, "0.1235", "0.1235"), (0.5, "0.5", "0.5"), (1e-5, "0.0", "1e-05"),
            (1.23456e-5, "0.0", "0.0000"), (-0.00005, "-0.0001", "-5e-05"), (.nan, "nan", "nan"),
            (-.infinity, "-inf", "-inf"),
            (12.0625, "12.0625", "12.0625"), (0.35000000000000003, "0.35", "0.3500"),
        ] {
            #expect(CardNumber.rounded(value, digits: 4) == rounded && CardNumber.cell(value) == cell, "\(value)")
        }
        #expect(
            [0.04, 59.94, 61, 3599, 5400, 90_000].map(CardNumber.duration) == [
                "0.0 seconds", "59.9 seconds", "1.0 minutes", "60.0 minutes", "1.5 hours", "1.0 days",
            ])
        #expect([7, 999, 1000, 1_234_567].map(CardNumber.grouped) == ["7", "999", "1,000", "1,234,567"])
    }

    /// Names of results, bold rows, folded tables; what stands between evaluations of one data set.
    @Test func evaluationsShareTables() {
        var facts = ModelCardFacts()
        func evaluation(_ name: String, _ value: Double, width: Int? = nil) -> ModelCardFacts.Evaluation {
            ModelCardFacts.Evaluation(
                title: "Information Retrieval", className: "InformationRetrievalEvaluator", dataset: name,
                configuration: width.map { ["truncate_dim": .integer(Int64($0))] } ?? [:],
                metrics: [("cosine_ndcg@10", value), ("cosine_map@100", value / 3)], primaryMetric: "cosine_ndcg@10")
        }
        facts.evaluations = [
            evaluation("a_b-c", 0.5), evaluation("d", 0.25), evaluation("e", .nan), evaluation("d", 1, width: 8),
        ]
        let card = ModelCard(facts: facts)
        for part in [
            "* Datasets: `a_b-c`, `d` and `e`\n", "| Metric             | a_b-c   | d        | e       |",
            "| **cosine_ndcg@10** | **0.5** | **0.25** | **nan** |", "* Dataset: `d`\n", "      \"truncate_dim\": 8\n",
            "      value: .nan\n", "      name: Cosine Ndcg@10\n", "      name: a b c\n      type: a_b-c\n",
        ] { #expect(card.text.contains(part), "\(part)") }
        // Both results on d are of one task on one data set.
        #expect(card.metadata["model-index"]?.array?.first?["results"]?.array?.count == 3)
        #expect(card.text.components(separatedBy: "#### Information Retrieval").count == 3)
    }

    @Test func longLogsAreFolded() {
        var facts = ModelCardFacts()
        facts.log = (1...101).map {
            .init(epoch: Double($0) / 100, step: $0, values: [("Training Loss", 1 / Double($0))])
        }
        facts.bestStep = 3
        let text = ModelCard(facts: facts).text
        #expect(text.contains("### Training Logs\n<details><summary>Click to expand</summary>\n\n| Epoch "))
        #expect(text.contains("| **0.03** | **3** | **0.3333** "))
        #expect(text.contains("* The bold row denotes the saved checkpoint.\n</details>\n\n### Framework"))
    }

    /// What hubs cannot read as it is stands in quotes.
    @Test func metadataAreQuotedWhereTheyMust() {
        var facts = ModelCardFacts()
        facts.languages = ["no", "en"]
        facts.license = "a: b"
        facts.widget = [
            .init(source: "# \"x\"", sentences: ["a\nb", "\u{2028}", "日本", "true", "plain text", "- x", "1e3"])
        ]
        let lines = ModelCard(facts: facts).text.split(separator: "\n")
        for line in [
            "- \"no\"", "- en", "license: \"a: b\"", "- source_sentence: \"# \\\"x\\\"\"", "  sentences:",
            "  - \"a\\nb\"",
            "  - \"\\u2028\"", "  - \"日本\"", "  - \"true\"", "  - plain text", "  - \"- x\"", "  - \"1e3\"",
        ] { #expect(lines.contains { $0 == line }, "\(line)") }
    }
}
