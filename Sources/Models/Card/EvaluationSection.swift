// The part of a model card that tells of evaluations: a table for each kind, of several data sets where only these differ.
//
// Reference: format_eval_metrics in sentence_transformers/base/model_card.py.

import TuttiFormats
import TuttiGround

/// The section on evaluation.
struct EvaluationSection {
    let evaluations: [ModelCardFacts.Evaluation]

    /// The section; empty without evaluations.
    var text: String {
        guard !evaluations.isEmpty else { return "" }
        var groups: [[ModelCardFacts.Evaluation]] = []
        for evaluation in evaluations {
            if let place = groups.firstIndex(where: { evaluation.fits($0) }) {
                groups[place].append(evaluation)
            } else {
                groups.append([evaluation])
            }
        }
        return "## Evaluation\n\n### Metrics\n\n" + groups.map(subsection).joined(separator: "\n\n")
    }

    private func subsection(_ group: [ModelCardFacts.Evaluation]) -> String {
        let first = group[0]
        var lines = ["#### \(first.title)", ""]
        let names = group.map { "`\($0.dataset)`" }
        if group.count > 1 || !first.dataset.isEmpty {
            lines.append("* Dataset\(names.count > 1 ? "s" : ""): \(enumeration(names))")
        }
        lines += CardClass(first.className, in: .evaluation).lines("* Evaluated with", first.configuration)
        let rows = first.metrics.map { metric in
            let isMain = metric.key == first.primaryMetric
            return ([metric.key] + group.map { CardNumber.rounded($0.value(of: metric.key), digits: 4) }).map {
                isMain ? "**\($0)**" : $0
            }
        }
        let header = ["Metric"] + (group.count == 1 ? ["Value"] : group.map(\.dataset))
        return (lines + [""] + MarkdownTable(header: header, rows: rows).lines).joined(separator: "\n")
    }
}

extension ModelCardFacts.Evaluation {
    /// Whether it belongs into the table of `group`.
    fileprivate func fits(_ group: [ModelCardFacts.Evaluation]) -> Bool {
        let first = group[0]
        return className == first.className && configuration == first.configuration
            && primaryMetric == first.primaryMetric && Set(metrics.map(\.key)) == Set(first.metrics.map(\.key))
            && !group.contains { $0.dataset == dataset }
    }

    fileprivate func value(of key: String) -> Double { metrics.first { $0.key == key }?.value ?? .nan }
}

/// A class of losses or evaluators as a card names it: with a link where the reference documents it.
struct CardClass {
    /// Where the reference documents a class.
    enum Page {
        case evaluation, losses
    }

    private let name: String
    private let page: Page

    /// The class `name`.
    init(_ name: String, in page: Page) {
        self.name = name
        self.page = page
    }

    /// "`beginning` the class with these parameters:" and the parameters; nil where none can be told.
    func lines(_ beginning: String, _ parameters: JSONObject?) -> [String] {
        guard let parameters else { return ["\(beginning) \(text)"] }
        guard page == .losses || !parameters.isEmpty else { return ["\(beginning) \(text)"] }
        let json = "```json\n" + JSONValue.object(parameters).serialized(indent: 4, asciiOnly: true) + "\n```"
        return ["\(beginning) \(text) with these parameters:"] + json.split(separator: "\n").map { "  " + $0 }
    }

    private var text: String {
        let root = "https://sbert.net/docs/package_reference/sentence_transformer/"
        switch page {
        case .evaluation where CardClass.evaluators.contains(name):
            let anchor = "sentence_transformers.sentence_transformer.evaluation.\(name)"
            return "[<code>\(name)</code>](\(root)evaluation.html#\(anchor))"
        case .losses where CardClass.losses.contains(name):
            return "[<code>\(name)</code>](\(root)losses.html#\(name.lowercased()))"
        default: return "<code>\(name)</code>"
        }
    }

    private static let evaluators: Set = [
        "BinaryClassificationEvaluator", "EmbeddingSimilarityEvaluator", "InformationRetrievalEvaluator",
        "LabelAccuracyEvaluator", "MSEEvaluator", "MSEEvaluatorFromDataFrame", "NanoBEIREvaluator",
        "ParaphraseMiningEvaluator", "RerankingEvaluator", "TranslationEvaluator", "TripletEvaluator",
    ]

    private static let losses: Set = [
        "AdaptiveLayerLoss", "AnglELoss", "BatchAllTripletLoss", "BatchHardSoftMarginTripletLoss",
        "BatchHardTripletLoss", "BatchSemiHardTripletLoss", "CachedGISTEmbedLoss", "CachedMultipleNegativesRankingLoss",
        "CachedMultipleNegativesSymmetricRankingLoss", "CoSENTLoss", "ContrastiveLoss", "ContrastiveTensionLoss",
        "ContrastiveTensionLossInBatchNegatives", "CosineSimilarityLoss", "DenoisingAutoEncoderLoss",
        "DistillKLDivLoss", "EmbedDistillLoss", "GISTEmbedLoss", "GlobalOrthogonalRegularizationLoss", "MSELoss",
        "MarginMSELoss", "Matryoshka2dLoss", "MatryoshkaLoss", "MegaBatchMarginLoss", "MultipleNegativesRankingLoss",
        "MultipleNegativesSymmetricRankingLoss", "OnlineContrastiveLoss", "SoftmaxLoss", "TripletLoss",
    ]
}
