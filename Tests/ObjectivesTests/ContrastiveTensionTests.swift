// ContrastiveTension*: values by hand, edge cases, refusals. The laws of all losses are in LossLawTests.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiObjectives

@Suite struct ContrastiveTensionTests {
    /// The loss of the rows of `model` and `twin`, vectors of two numbers.
    private func value(
        _ loss: any Loss, model: [[Float]], twin: [[Float]], labels: [Float]? = nil, keys: [UInt64] = [],
        textColumns: Int, step: UInt64 = 0, parameter: Float? = nil
    ) throws -> Double {
        let (own, other) = (FloatBlock(model.flatMap { $0 }), FloatBlock(twin.flatMap { $0 }))
        var batch = LossBatch(embeddings: Matrix(own.pointer, model.count, 2), rows: model.count, columns: 1)
        batch.others[.twin] = Matrix(other.pointer, twin.count, 2)
        batch.textColumns = textColumns
        var context = LossContext(ensemble: LocalEnsemble.single())
        context.draw = LossDraw(seed: 1, step: step)
        let scale = FloatBlock([parameter ?? 0])
        context.parameters = LossParameters(["logit_scale": .init(values: Matrix(scale.pointer, 1, 1), gradient: nil)])
        return try keys.withUnsafeBufferPointer { keys in
            batch.textKeys = keys
            guard let labels else { return try loss.evaluate(batch, gradients: nil, in: context) }
            return try labels.withUnsafeBufferPointer {
                batch.labels = $0
                return try loss.evaluate(batch, gradients: nil, in: context)
            }
        }
    }

    private func softplus(_ x: Double) -> Double { log1p(exp(x)) }

    @Test func pairsAreSummedAsTheReferenceDoes() throws {
        let loss = try ContrastiveTensionLoss()
        let (model, twin): ([[Float]], [[Float]]) = ([[1, 2], [0.5, -1], [0, 1]], [[1, 0], [2, 1], [3, -2]])
        let scores = [1.0, 0, -2]
        let expected = softplus(scores[0]) - scores[0] + softplus(scores[1]) + softplus(scores[2])
        let labelled = try value(loss, model: model, twin: twin, labels: [1, 0, 0], textColumns: 2)
        #expect(abs(labelled - expected) <= 1e-6)
        let found = try value(loss, model: model, twin: twin, keys: [7, 8, 9, 7, 9, 8], textColumns: 2)
        #expect(found == labelled)
    }

    /// Every `pos_neg_ratio`-th row is paired with itself, any other with another one, anew in every step.
    @Test func oneColumnMakesPairsOfTheBatch() throws {
        let loss = try ContrastiveTensionLoss(posNegRatio: 4)
        let rows = 12
        let twin = (0..<rows).map { i in [Float(i % 4 == 0 ? 1 : 0), Float(i % 4 == 0 ? 0 : 1)] }
        let alike = [[Float]](repeating: [1, 0], count: rows)
        // Positives score 1 with the label 1; negatives score 0 whatever they meet.
        let expected = 3 * (softplus(1) - 1) + 9 * log(2)
        #expect(abs(try value(loss, model: alike, twin: twin, textColumns: 1) - expected) <= 1e-5)
        // Row i meets itself nowhere else: model rows that differ make steps differ.
        let model = (0..<rows).map { [Float($0), Float($0 * $0) / 20] }
        let values = try (0..<4).map { try value(loss, model: model, twin: twin, textColumns: 1, step: UInt64($0)) }
        #expect(Set(values).count == 4)
        #expect(try value(loss, model: model, twin: twin, textColumns: 1, step: 2) == values[2])
    }

    @Test func aRowAloneIsAPositive() throws {
        let loss = try ContrastiveTensionLoss()
        let alone = try value(loss, model: [[1, 1]], twin: [[1, 0.5]], textColumns: 1)
        #expect(abs(alone - (softplus(1.5) - 1.5)) <= 1e-6)
        #expect(try value(loss, model: [], twin: [], textColumns: 1) == 0)
    }

    @Test func inBatchIsTheMeanOfBothDirections() throws {
        let loss = try ContrastiveTensionLossInBatchNegatives(scale: 3, similarity: .dot)
        let (model, twin): ([[Float]], [[Float]]) = ([[1, 0], [0, 1]], [[1, 0.5], [0.25, 1]])
        // S = exp(logit_scale) twin model^T = 3 [[1, 0.5], [0.25, 1]]
        let rows = softplus(3 * (0.5 - 1)) + softplus(3 * (0.25 - 1))
        let columns = softplus(3 * (0.25 - 1)) + softplus(3 * (0.5 - 1))
        let found = try value(loss, model: model, twin: twin, textColumns: 1, parameter: Float(log(3.0)))
        #expect(abs(found - (rows + columns) / 4) <= 1e-6)
        #expect(try value(loss, model: [], twin: [], textColumns: 1) == 0)
        #expect(try value(loss, model: [[1, 2]], twin: [[2, 1]], textColumns: 1) == 0)
    }

    @Test func theFactorIsLearnedFromTheScale() throws {
        let loss = try LossRegistry.make(
            name: ContrastiveTensionLossInBatchNegatives.name, options: ["scale": .integer(5)])
        let parameters = loss.loss.parameters(LossSetting(width: 4, columns: ["text"]))
        #expect(parameters == [LossParameter("logit_scale", [], start: .constant(Float(log(5.0))))])
    }

    @Test func refusals() throws {
        let pair = ["a", "b"]
        let tension = try ContrastiveTensionLoss()
        for labels: LossLabels in [.integers(0...2), .integers(-1...1), .numbers(0...1.5), .lists(2)] {
            #expect(throws: TuttiError.self) { try tension.check(LossSetting(width: 2, columns: pair, labels: labels)) }
        }
        for labels: LossLabels in [.none, .integers(0...1), .numbers(0...1)] {
            try tension.check(LossSetting(width: 2, columns: pair, labels: labels))
        }
        #expect(throws: TuttiError.self) {
            try tension.check(LossSetting(width: 2, columns: ["a"], labels: .integers(0...1)))
        }
        #expect(throws: TuttiError.self) { try tension.check(LossSetting(width: 2, columns: ["a", "b", "c"])) }
        #expect(throws: TuttiError.self) { try ContrastiveTensionLoss(posNegRatio: 0) }
        let inBatch = try ContrastiveTensionLossInBatchNegatives()
        #expect(throws: TuttiError.self) {
            try inBatch.check(LossSetting(width: 2, columns: ["a"], labels: .integers(0...1)))
        }
        #expect(throws: TuttiError.self) { try ContrastiveTensionLossInBatchNegatives(scale: 0) }
        #expect(throws: TuttiError.self) {
            try LossRegistry.make(
                name: ContrastiveTensionLossInBatchNegatives.name, options: ["similarity_fct": .string("cosine_sim")])
        }
    }
}
