// Metrics of real encoders are the same for any number of ranks: texts are dealt out, teacher and student alike.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiModels
import TuttiObjectives

@Suite struct WorldSizeTests {
    private static let folder =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path + "/Golden/models"

    private static func evaluators(_ texts: [String]) throws -> [any Evaluator] {
        let shifted = texts.indices.map { texts[($0 + 1) % texts.count] }
        let every = SimilarityFunction.allCases
        let teacher = try SentenceEncoder.load(folder + "/mpnet-plain")
        let weight = (0..<384).map { (place: Int) -> Float in Float(place * 7919 % 23) - 11 }
        let head = SoftmaxClassifier(classCount: 3, dimension: 32, features: .init(product: true)) { (weight, nil) }
        return [
            BinaryClassificationEvaluator(
                firsts: texts, seconds: shifted, isSimilar: texts.indices.map { $0 % 3 == 0 }, functions: every),
            EmbeddingSimilarityEvaluator(
                firsts: texts, seconds: shifted, scores: texts.indices.map { Double($0 % 4) }, functions: every),
            MSEEvaluator(sources: texts, targets: shifted, teacher: teacher, truncatedDimension: 24),
            MSEEvaluatorFromDataFrame(
                [.init(source: "a", target: "b", sources: texts, targets: shifted)], teacher: teacher),
            TranslationEvaluator(sources: texts, targets: shifted),
            LabelAccuracyEvaluator(
                firsts: texts, seconds: shifted, labels: texts.indices.map { $0 % 3 }, classifier: head),
        ]
    }

    @Test func metricsDoNotDependOnTheRanks() throws {
        let texts = try JSONValue.parse(file: Self.folder + "/texts.json").array?.compactMap(\.string) ?? []
        #expect(texts.count >= 6)
        func metrics(_ world: Int) throws -> [[Double]] {
            try LocalEnsemble.run(world: world) { ensemble in
                let model = try SentenceEncoder.load(Self.folder + "/bert-plain")
                return try Self.evaluators(texts).flatMap {
                    try $0.evaluate(model: model, ensemble: ensemble, context: EvaluationContext(tokensPerBatch: 16))
                }.map(\.value)
            }
        }
        let alone = try metrics(1)[0]
        #expect(alone.count == 5 * 8 + 5 * 2 + 1 + 1 + 3 + 1 && alone.allSatisfy(\.isFinite))
        for world in [2, 4] {
            let together = try metrics(world)
            #expect(together.allSatisfy { $0 == together[0] }, "the same bits on every rank")
            for (one, many) in zip(alone, together[0]) { #expect(abs(one - many) <= 1e-5 * max(1, abs(one))) }
        }
    }
}
