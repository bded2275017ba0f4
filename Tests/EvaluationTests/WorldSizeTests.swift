// Metrics of real encoders are the same for any number of ranks: texts are dealt out, teacher and student alike.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// A model of which the last rank's rows get lost on their way.
private final class LosingModel: SentenceEncoding {
    let model: SentenceEncoder
    var similarity: String { model.similarity }
    var prompts: [String: String] { model.prompts }

    init(_ model: SentenceEncoder) { self.model = model }

    func encode(_ texts: [String], prompt: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?) throws -> Embeddings
    {
        let rows = try model.encode(texts, prompt: prompt, tokensPerBatch: tokensPerBatch, ensemble: ensemble)
        guard let world = ensemble?.size, world > 1 else { return rows }
        let kept = rows.flattened.enumerated().map { $0.offset / rows.dimension % world == world - 1 ? 1 : $0.element }
        return Embeddings(rows: kept, dimension: rows.dimension)
    }
}

@Suite struct WorldSizeTests {
    private static let folder = Goldens.path("models")

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
            MSEEvaluator(
                sources: texts, targets: shifted, teacher: teacher,
                common: CommonEvaluatorSettings(truncatedDimension: 24)),
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
        func metrics(_ world: Int, losing: Bool = false) throws -> [[Double]] {
            try LocalEnsemble.run(world: world) { ensemble in
                let encoder = try SentenceEncoder.load(Self.folder + "/bert-plain")
                let model: any SentenceEncoding = losing ? LosingModel(encoder) : encoder
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
        let wrong = try metrics(2, losing: true)[0]
        #expect(zip(alone, wrong).contains { abs($0 - $1) > 1e-3 }, "lost rows are noticed")
    }
}
