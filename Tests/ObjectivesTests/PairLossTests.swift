// The pair losses where values follow by hand: ties, labels of all kinds, thresholds, spellings, refusals.

import Foundation
import TestSupport
import Testing
import TuttiGround
import TuttiObjectives

@Suite struct PairLossTests {
    private func isNear(_ value: Double, _ wanted: Double) -> Bool { abs(value - wanted) <= 2e-6 * max(1, abs(wanted)) }

    // MARK: Order of scores

    @Test func coSENTComparesEveryPairOfOtherScores() throws {
        let value = try SmallBatch(cosines: [0.8, 0, 0.6], labels: [0, 5, 7]).evaluate(
            "CoSENTLoss", ["scale": .integer(2)])
        #expect(isNear(value.value, log(1 + exp(1.6 - 0) + exp(1.6 - 1.2) + exp(0 - 1.2))))
        let alike = try SmallBatch(cosines: [0.8, 0, 0.6], labels: [1, 1, 1]).evaluate("CoSENTLoss")
        #expect(alike.value == 0 && alike.gradient.allSatisfy { $0 == 0 })
        #expect(try SmallBatch(cosines: [0.8], labels: [1]).evaluate("CoSENTLoss").value == 0)
        #expect(try SmallBatch(cosines: [], labels: []).evaluate("CoSENTLoss").value == 0)
    }

    /// The sorted sums against all pairs, with many ties and differences that overflow fp32 exponentials.
    @Test func coSENTEqualsAllPairs() throws {
        var random = TinyRandom(6)
        let cosines = (0..<150).map { _ in Float.random(in: -1...1, using: &random) }
        let labels = (0..<150).map { _ in Float(Int.random(in: 0...9, using: &random)) }
        for scale in [1.0, 20, 100] {
            let pairs = SmallBatch(cosines: cosines, labels: labels)
            let found = try pairs.evaluate("CoSENTLoss", ["scale": .number(scale)])
            var (largest, terms) = (0.0, [0.0])
            for i in cosines.indices {
                for j in cosines.indices where labels[i] < labels[j] {
                    terms.append(scale * (Double(cosines[i]) - Double(cosines[j])))
                    largest = max(largest, terms[terms.count - 1])
                }
            }
            let wanted = largest + log(terms.reduce(0) { $0 + exp($1 - largest) })
            #expect(isNear(found.value, wanted) && found.gradient.allSatisfy(\.isFinite), "\(found.value), \(wanted)")
        }
    }

    /// 1 conj(i) = -i: no cosine, an angle of 1.
    @Test func anglesSeeWhatCosinesDoNot() throws {
        let pairs = SmallBatch(cosines: [0, 1], labels: [0, 1])
        #expect(try isNear(pairs.evaluate("AnglELoss").value, log(2)))
        #expect(try isNear(pairs.evaluate("CoSENTLoss").value, log(1 + exp(-20))))
    }

    /// The positive of a row counts with its label, 1 without labels; negatives with 1 - label.
    @Test func anglesOfTuples() throws {
        var tuple = SmallBatch([[[1, 0]], [[1, 0]], [[-1, 1]]])  // angles 1 and sqrt 2
        #expect(
            try isNear(tuple.evaluate("AnglELoss", ["scale": .integer(1)]).value, log(1 + exp(2.0.squareRoot() - 1))))
        tuple.labels = [0]
        #expect(
            try isNear(tuple.evaluate("AnglELoss", ["scale": .integer(1)]).value, log(1 + exp(1 - 2.0.squareRoot()))))
        #expect(throws: TuttiError.self) { try SmallBatch([[[1, 0]], [[1, 0]]]).evaluate("AnglELoss") }
    }

    // MARK: Labelled pairs

    @Test func crossEntropiesOfCosines() throws {
        let pair = SmallBatch(cosines: [0], labels: [0.25])
        let sigmoid: JSONObject = ["cos_score_transformation": .string("Sigmoid")]
        func value(_ function: String, _ options: JSONObject) throws -> Double {
            try pair.evaluate("CosineSimilarityLoss", options.merging(["loss_fct": .string(function)])).value
        }
        #expect(try isNear(value("BCELoss", sigmoid), log(2)))
        #expect(try isNear(value("BCEWithLogitsLoss", [:]), log(2)))
        #expect(try isNear(value("BCEWithLogitsLoss", sigmoid), log1p(exp(0.5)) - 0.25 * 0.5))
        #expect(try isNear(value("L1Loss", sigmoid), 0.25))
        #expect(try isNear(value("MSELoss", [:]), 0.0625))
    }

    @Test func contrastiveWeighsWithAnyLabel() throws {
        let pairs = SmallBatch(cosines: [0.6, 0.6, 0.6], labels: [1, 0, 0.25])  // distance 0.4, shortfall 0.1
        let costs = 0.5 * (0.16 + 0.01 + 0.25 * 0.16 + 0.75 * 0.01)
        #expect(try isNear(pairs.evaluate("ContrastiveLoss").value, costs / 3))
        #expect(try isNear(pairs.evaluate("ContrastiveLoss", ["size_average": .bool(false)]).value, costs))
    }

    /// Thresholds come from the other kind, else from the mean of the own; other labels are in neither.
    @Test func onlineContrastiveTakesTheHardPairs() throws {
        let name = "OnlineContrastiveLoss"
        let both = SmallBatch(cosines: [1, 0, 0.6, -1, -1], labels: [1, 1, 0, 0, 7])  // distances 0, 1; 0.4, 2
        #expect(try isNear(both.evaluate(name).value, 1 + 0.01))
        #expect(try isNear(SmallBatch(cosines: [1, 0], labels: [1, 1]).evaluate(name).value, 1))
        let one = SmallBatch(cosines: [0], labels: [1])
        #expect(try one.evaluate(name).value == 0, "one pair is no harder than the mean")
        #expect(try isNear(SmallBatch(cosines: [0.8, 0.6], labels: [0, 0]).evaluate(name).value, 0.09))
        let others = try SmallBatch(cosines: [0.8, 0.6], labels: [7, 0.5]).evaluate(name)
        #expect(others.value == 0 && others.gradient.allSatisfy { $0 == 0 })
    }

    // MARK: Teachers

    @Test func marginsAndScoresOfATeacher() throws {
        let texts: [[[Float]]] = [[[1, 2]], [[3, 0]], [[0, 1]], [[1, 1]]]  // dots 3; 2, 3: margins 1, 0
        let margins = try SmallBatch(texts, labels: [2, 0.5], labelWidth: 2).evaluate("MarginMSELoss")
        let scores = try SmallBatch(texts, labels: [4, 2, 3.5], labelWidth: 3).evaluate("MarginMSELoss")
        #expect(isNear(margins.value, (1 + 0.25) / 2) && margins == scores)
    }

    @Test func divergenceFromATeacher() throws {
        let texts: [[[Float]]] = [[[1, 2]], [[3, 0]], [[0, 1]]]  // dots 3, 2
        let same = try SmallBatch(texts, labels: [13, 12], labelWidth: 2).evaluate("DistillKLDivLoss")
        #expect(abs(same.value) <= 1e-6)
        let other = try SmallBatch(texts, labels: [8, 8], labelWidth: 2).evaluate(
            "DistillKLDivLoss", ["student_temperature": .integer(2), "teacher_temperature": .number(0.1)])
        let first = 1 / (1 + exp(-0.5))
        #expect(isNear(other.value, 4 * 0.5 * (log(0.5 / first) + log(0.5 / (1 - first)))))
        let sure = try SmallBatch(texts, labels: [0, 900], labelWidth: 2).evaluate("DistillKLDivLoss")
        #expect(isNear(sure.value, log(1 + M_E)) && sure.gradient.allSatisfy(\.isFinite), "0 log 0 is 0")
    }

    @Test func embeddingsOfATeacher() throws {
        let texts: [[[Float]]] = [[[3, 4]], [[1, 0]]]
        let each = SmallBatch(texts, labels: [0, 0, 1, 0], labelWidth: 4)
        let all = SmallBatch(texts, labels: [1, 0], labelWidth: 2)
        #expect(try isNear(each.evaluate("MSELoss").value, 12.5 / 2))
        #expect(try isNear(all.evaluate("MSELoss").value, (4 + 16) / 4))
        #expect(try isNear(all.evaluate("EmbedDistillLoss").value, (1 - 0.6) / 2))
        let distances = try each.evaluate("EmbedDistillLoss", ["distance_metric": .string("l2")])
        #expect(isNear(distances.value, 2.5) && distances.gradient.allSatisfy(\.isFinite), "no slope at distance 0")
    }

    // MARK: Spellings and refusals

    @Test(arguments: [
        ("ContrastiveLoss", "distance_metric", "SiameseDistanceMetric.EUCLIDEAN", "EUCLIDEAN"),
        ("CosineSimilarityLoss", "loss_fct", "torch.nn.modules.loss.L1Loss", "L1Loss"),
        ("CosineSimilarityLoss", "loss_fct", "L1", "L1Loss"),
        ("CosineSimilarityLoss", "cos_score_transformation", "torch.nn.modules.linear.Identity", "Identity"),
        ("CoSENTLoss", "similarity_fct", "cos_sim", "pairwise_cos_sim"),
        ("MarginMSELoss", "similarity_fct", "euclidean_sim", "pairwise_euclidean_sim"),
        ("TripletLoss", "distance_metric", "TripletDistanceMetric.MANHATTAN", "MANHATTAN"),
        ("BatchAllTripletLoss", "distance_metric", "eucledian_distance", "euclidean_distance"),
        (
            "BatchHardTripletLoss", "distance_metric", "BatchHardTripletLossDistanceFunction.cosine_distance",
            "cosine_distance"
        ),
    ])
    func namesAsUsersWriteThem(_ loss: String, _ option: String, _ given: String, _ inEffect: String) throws {
        let made = try LossRegistry.make(name: loss, options: [option: .string(given)]).loss
        #expect(made.options.first { $0.name == option }?.value == .string(inEffect))
    }

    @Test(
        arguments: [
            ("ContrastiveLoss", ["distance_metric": JSONValue.string("EUCLIDIAN")], "Did you mean 'EUCLIDEAN'"),
            ("CosineSimilarityLoss", ["loss_fct": .string("BCELoss")], "cos_score_transformation Sigmoid"),
            ("CoSENTLoss", ["similarity_fct": .string("pairwise_angel_sim")], "Did you mean 'pairwise_angle_sim'"),
            ("CoSENTLoss", ["scale": .integer(0)], "not a positive number"),
            ("SoftmaxLoss", [:], "num_labels: is missing"),
            ("SoftmaxLoss", ["num_labels": .integer(0)], "below 1"),
            (
                "SoftmaxLoss",
                [
                    "num_labels": .integer(2), "concatenation_sent_rep": .bool(false),
                    "concatenation_sent_difference": .bool(false),
                ], "the classifier has no input"
            ),
            ("MSELoss", ["projection_dim": .integer(0)], "below 1"),
            ("DistillKLDivLoss", ["student_temperature": .integer(0)], "not a positive number"),
            ("TripletLoss", ["triplet_margin": .integer(-1)], "below 0"),
        ] as [(String, JSONObject, String)])
    func optionsThatCannotWork(_ loss: String, _ options: JSONObject, _ words: String) {
        #expect { _ = try LossRegistry.make(name: loss, options: options) } throws: { "\($0)".contains(words) }
    }

    @Test(
        arguments: [
            ("CoSENTLoss", 2, .none, "the labels are none"), ("CoSENTLoss", 3, .numbers(0...1), "3 text columns"),
            ("CoSENTLoss", 2, .lists(2), "lists of 2 numbers"), ("AnglELoss", 2, .none, "the labels are none"),
            ("AnglELoss", 3, .lists(2), "one score per row"), ("SoftmaxLoss", 2, .integers(0...3), "3 classes"),
            ("SoftmaxLoss", 2, .integers(-1...2), "3 classes"), ("SoftmaxLoss", 2, .numbers(0...1), "class number"),
            ("MSELoss", 1, .lists(7), "projection_dim: 7"), ("MSELoss", 2, .lists(12), "16 for all 2 texts"),
            ("MSELoss", 1, .numbers(0...1), "the labels are numbers"), ("MarginMSELoss", 4, .lists(4), "2 margins"),
            ("DistillKLDivLoss", 4, .lists(2), "2 numbers for 3 candidates"),
            ("DistillKLDivLoss", 2, .lists(1), "2 text columns"), ("TripletLoss", 2, .none, "2 text columns"),
            ("BatchAllTripletLoss", 1, .numbers(0...1), "class number"),
            ("BatchHardTripletLoss", 2, .integers(0...1), "2 text columns"),
        ] as [(String, Int, LossLabels, String)])
    func dataThatDoNotFit(_ loss: String, _ columns: Int, _ labels: LossLabels, _ words: String) throws {
        let options: JSONObject = loss == "SoftmaxLoss" ? ["num_labels": .integer(3)] : [:]
        let made = try LossRegistry.make(name: loss, options: options).loss
        let setting = LossSetting(width: 8, columns: (0..<columns).map { "text\($0)" }, labels: labels)
        #expect { try made.check(setting) } throws: { "\($0)".contains(words) }
    }

    @Test func otherRefusals() throws {
        let cosine = try LossRegistry.make(
            name: "CosineSimilarityLoss", options: ["loss_fct": .string("BCEWithLogits")])
        let scores = LossSetting(width: 8, columns: ["a", "b"], labels: .numbers(0...5))
        #expect { try cosine.loss.check(scores) } throws: { "\($0)".contains("needs scores from 0 to 1") }
        let options: JSONObject = ["num_labels": .integer(3), "sentence_embedding_dimension": .integer(9)]
        let softmax = try LossRegistry.make(name: "SoftmaxLoss", options: options)
        let classes = LossSetting(width: 8, columns: ["a", "b"], labels: .integers(0...2))
        #expect { try softmax.loss.check(classes) } throws: { "\($0)".contains("the model has 8") }
    }
}
