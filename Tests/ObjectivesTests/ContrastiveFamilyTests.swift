// The contrastive losses by hand: small batches whose values can be written down, edges, and what is refused.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiObjectives

/// One batch in the plane with texts; columns of rows of two numbers.
private struct PlaneBatch: Sendable {
    var columns: [[[Float]]]
    /// Guide embeddings in the same shape.
    var guide: [[[Float]]]?
    /// Keys of the texts in the same shape.
    var keys: [[UInt64]]?

    var rows: Int { columns[0].count }

    /// The value of the whole batch, and the gradient column after column.
    func evaluate(
        _ name: String, _ options: JSONObject = [:], rows own: Range<Int>? = nil,
        _ ensemble: any Ensemble = LocalEnsemble.single()
    ) throws -> (value: Double, gradient: [Float], loss: any Loss) {
        let own = own ?? 0..<rows
        let loss = try LossRegistry.make(name: name, options: options).loss
        let embeddings = FloatBlock(columns.flatMap { $0[own].flatMap { $0 } })
        let gradient = FloatBlock(count: embeddings.count)
        let judged = FloatBlock((guide ?? []).flatMap { $0[own].flatMap { $0 } })
        let height = columns.count * own.count
        var batch = LossBatch(embeddings: embeddings.matrix(height, 2), rows: own.count, columns: columns.count)
        if guide != nil {
            for path in loss.requirements.guides { batch.others[.guide(path)] = judged.matrix(height, 2) }
        }
        var context = LossContext(ensemble: ensemble)
        let setting = LossSetting(width: 2, columns: columns.indices.map { "text\($0)" })
        let parameters = loss.parameters(setting)
        let values = FloatBlock(count: 8)
        let dValues = FloatBlock([Float](repeating: 0, count: 8))
        var tensors: [String: LossParameters.Tensor] = [:]
        for (place, parameter) in parameters.enumerated() {
            parameter.fill(UnsafeMutableBufferPointer(start: values.pointer + place, count: 1), seed: 1)
            tensors[parameter.name] = .init(
                values: Matrix(values.pointer + place, 1, 1), gradient: Matrix(dValues.pointer + place, 1, 1))
        }
        context.parameters = LossParameters(tensors)
        let texts = (keys ?? []).flatMap { $0[own] }
        let value = try texts.withUnsafeBufferPointer { texts in
            if keys != nil { batch.textKeys = texts }
            return try loss.evaluate(
                batch, gradients: LossGradients(embeddings: gradient.matrix(height, 2)), in: context)
        }
        return (value, gradient.values, loss)
    }
}

/// The unit vector at an angle in degrees.
private func at(_ degrees: Double) -> [Float] {
    [Float(cos(degrees * .pi / 180)), Float(sin(degrees * .pi / 180))]
}

private func cosine(_ a: Double, _ b: Double) -> Double { cos((a - b) * .pi / 180) }

/// -log of the share of the first score in the softmax of all.
private func entropy(_ scores: [Double]) -> Double { log(scores.reduce(0) { $0 + exp($1) }) - scores[0] }

private func message(_ name: String, _ options: JSONObject, columns: Int = 2) -> String {
    do {
        let loss = try LossRegistry.make(name: name, options: options).loss
        try loss.check(LossSetting(width: 8, columns: (0..<columns).map { "text\($0)" }))
        return "made"
    } catch {
        return error.description
    }
}

@Suite struct ContrastiveFamilyTests {
    private let ranking = "MultipleNegativesRankingLoss"
    // Angles of anchors, positives and negatives of three rows.
    private let a = [0.0, 50, 200]
    private let p = [20.0, 90, 160]
    private let n = [70.0, 10, 300]

    private var triplets: PlaneBatch { PlaneBatch(columns: [a.map(at), p.map(at), n.map(at)]) }

    @Test func theSymmetricLossIsBothDirections() throws {
        let both: JSONObject = [
            "directions": .array([.string("query_to_doc"), .string("doc_to_query")]),
            "partition_mode": .string("per_direction"),
        ]
        let symmetric = try triplets.evaluate("MultipleNegativesSymmetricRankingLoss", ["scale": .number(3)])
        let spelled = try triplets.evaluate(ranking, both.merging(["scale": .number(3)]))
        #expect(symmetric.value == spelled.value && symmetric.gradient == spelled.gradient)
        let expected =
            (0..<3).map { i -> Double in
                let (others, rows) = ([0, 1, 2].filter { $0 != i }, [0, 1, 2])
                let forward = [p[i]] + others.map { p[$0] } + rows.map { n[$0] }
                let backward = [a[i]] + others.map { a[$0] }
                return (entropy(forward.map { 3 * cosine(a[i], $0) }) + entropy(backward.map { 3 * cosine($0, p[i]) }))
                    / 2
            }.reduce(0, +) / 3
        #expect(abs(symmetric.value - expected) <= 1e-6)
    }

    @Test func allDirectionsShareOneSoftmax() throws {
        let names = ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"]
        let value = try triplets.evaluate(
            ranking, ["scale": .number(3), "directions": .array(names.map { .string($0) })]
        ).value
        let expected =
            (0..<3).map { i -> Double in
                let others = [0, 1, 2].filter { $0 != i }
                var scores = [cosine(a[i], p[i])] + others.map { cosine(a[i], p[$0]) } + n.map { cosine(a[i], $0) }
                scores += others.map { cosine(a[i], a[$0]) } + a.map { cosine($0, p[i]) }
                scores += others.flatMap { [cosine(p[i], p[$0]), cosine(p[i], n[$0])] }
                return entropy(scores.map { 3 * $0 })
            }.reduce(0, +) / 3
        #expect(abs(value - expected) <= 1e-6)
    }

    /// strength * sim is added after scaling, and no gradient flows through it.
    @Test(arguments: ["in_batch_negatives", "hard_negatives", "all_negatives"])
    func hardNegativesCountMore(_ mode: String) throws {
        let value = try triplets.evaluate(
            ranking, ["scale": .number(3), "hardness_mode": .string(mode), "hardness_strength": .number(2)]
        ).value
        let expected =
            (0..<3).map { i -> Double in
                let others = [0, 1, 2].filter { $0 != i }
                let (inBatch, hard) = (mode == "hard_negatives" ? 3.0 : 5, mode == "in_batch_negatives" ? 3.0 : 5)
                let strangers = others.flatMap { [cosine(a[i], p[$0]), cosine(a[i], n[$0])] }.map { inBatch * $0 }
                return entropy([3 * cosine(a[i], p[i])] + strangers + [hard * cosine(a[i], n[i])])
            }.reduce(0, +) / 3
        #expect(abs(value - expected) <= 1e-6)
        let off = try triplets.evaluate(ranking, ["scale": .number(3), "hardness_mode": .string(mode)])
        #expect(off.value == (try triplets.evaluate(ranking, ["scale": .number(3)])).value)
    }

    /// The penalty is a constant: the gradient is that of a loss whose penalties are written down as numbers.
    @Test func noGradientFlowsThroughThePenalty() throws {
        let pairs = PlaneBatch(columns: [[at(0), at(80)], [at(30), at(100)]])
        let options: JSONObject = [
            "scale": .number(3), "hardness_mode": .string("in_batch_negatives"), "hardness_strength": .number(2),
            "similarity_fct": .string("dot_score"),
        ]
        let gradient = try pairs.evaluate(ranking, options).gradient
        // d/da_0 of -log(e^{3 a.p0} / (e^{3 a.p0} + e^{3 a.p1 + 2 c})), c = a.p1 held: 3 q (p1 - p0) / 2.
        let c = cosine(0, 100)
        let q = 1 / (1 + exp(3 * cosine(0, 30) - 3 * c - 2 * c))
        for k in 0..<2 {
            let expected = 3 * q * Double(at(100)[k] - at(30)[k]) / 2
            #expect(abs(Double(gradient[k]) - expected) <= 1e-6)
        }
    }

    @Test func severalPositivesNeverCompete() throws {
        let value = try triplets.evaluate(ranking, ["scale": .number(3), "positives": .integer(2)]).value
        let expected =
            (0..<3).map { i -> Double in
                let negatives = [0, 1, 2].filter { $0 != i }.flatMap { [cosine(a[i], p[$0]), cosine(a[i], n[$0])] }
                return [p[i], n[i]].map { entropy(([cosine(a[i], $0)] + negatives).map { 3 * $0 }) }.reduce(0, +) / 2
            }.reduce(0, +) / 3
        #expect(abs(value - expected) <= 1e-6)
    }

    /// Rows 0 and 1 ask the same; the negative of row 2 is the positive of row 0; the positive of row 2 is that of row
    /// 1.
    @Test func rightAnswersAreNoNegatives() throws {
        var batch = triplets
        batch.keys = [[1, 1, 2], [11, 12, 12], [21, 22, 11]]
        let masked: JSONObject = ["scale": .number(3), "mask_false_negatives": .string("text")]
        let expected =
            (0..<3).map { i -> Double in
                // Rows 0 and 1 have the answers 11 and 12: all positives and the last negative. Row 2 has 12.
                let left = i < 2 ? [n[0], n[1]] : [p[0], n[0], n[1], n[2]]
                return entropy(([p[i]] + left).map { 3 * cosine(a[i], $0) })
            }.reduce(0, +) / 3
        #expect(abs(try batch.evaluate(ranking, masked).value - expected) <= 1e-6)

        // Queries: 0 and 1 are one text, and row 2 shares the answer 12 with both.
        let ways = masked.merging(["directions": .array([.string("query_to_doc"), .string("query_to_query")])])
        #expect(abs(try batch.evaluate(ranking, ways).value - expected) <= 1e-6)
        // Other texts everywhere: nothing is masked.
        batch.keys = [[1, 2, 3], [11, 12, 13], [21, 22, 23]]
        let plain = try triplets.evaluate(ranking, ["scale": .number(3)]).value
        #expect(abs(try batch.evaluate(ranking, masked).value - plain) <= 1e-6)
    }

    @Test func theRingIsTheGather() throws {
        for (columns, similarity) in [(2, "cos_sim"), (4, "dot_score")] {
            let whole = ContrastiveCase.random(rows: 300, columns: columns, width: 16, similarity: similarity)
            let options: JSONObject = [
                "scale": .number(whole.scale), "similarity_fct": .string(similarity), "ring_exchange": .bool(true),
            ]
            try requireRanksEqual(whole.evaluate(), whole, options)
        }
    }

    /// Penalties are constants, so that finite differences cannot judge them (LossCase has none): ranks here.
    @Test(arguments: ["in_batch_negatives", "hard_negatives", "all_negatives"])
    func hardNegativesAreThoseOfAllRanks(_ mode: String) throws {
        let whole = ContrastiveCase.random(rows: 11, columns: 4, width: 8, similarity: "cos_sim")
        let options: JSONObject = [
            "scale": .number(5), "hardness_mode": .string(mode), "hardness_strength": .number(4),
            "positives": .integer(2),
        ]
        let one = try whole.evaluate(loss: LossRegistry.make(name: ranking, options: options).loss)
        try requireRanksEqual(one, whole, options)
        let soft = try whole.evaluate(loss: LossRegistry.make(name: ranking, options: ["scale": .number(5)]).loss)
        #expect(abs(soft.value - one.value) > 1e-2)
    }

    private func requireRanksEqual(
        _ one: (value: Double, gradient: [Float]), _ whole: ContrastiveCase, _ options: JSONObject
    ) throws {
        let largest = Double(one.gradient.map(abs).max() ?? 0)
        for world in 1...4 {
            for deal in 0..<4 {
                let gaps = try LocalEnsemble.run(world: world) { ensemble in
                    let own = deals(of: whole.rows, rank: ensemble.rank, size: world)[deal]
                    let loss = try LossRegistry.make(name: "MultipleNegativesRankingLoss", options: options).loss
                    let (part, gradient) = try whole.evaluate(own, ensemble, loss: loss)
                    var value = [part]
                    try value.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
                    return (value[0], largestDifference(gradient, whole.part(one.gradient, own)))
                }
                for gap in gaps {
                    #expect(
                        abs(gap.0 - one.value) <= 2e-6 * max(1, one.value) && gap.1 <= 1e-5 * largest,
                        "W = \(world), deal \(deal): \(gap), one process \(one.value)")
                }
            }
        }
    }

    /// The reference masked the true positive on ranks above zero before 6.0: with a margin the loss was infinite.
    @Test func theGuideNeverMasksTheTruePositive() throws {
        var batch = triplets
        batch.guide = batch.columns
        let options: JSONObject = [
            "guide": .string("g"), "temperature": .number(0.5), "margin": .number(0.1),
            "contrast_anchors": .bool(false), "contrast_positives": .bool(false),
        ]
        let expected =
            (0..<3).map { i -> Double in
                let limit = cosine(a[i], p[i]) - 0.1
                let candidates = ([0, 1, 2].filter { $0 != i }.map { p[$0] } + n).map { cosine(a[i], $0) }
                return entropy(([cosine(a[i], p[i])] + candidates.filter { $0 <= limit }).map { $0 / 0.5 })
            }.reduce(0, +) / 3
        let (whole, guided) = (try batch.evaluate("GISTEmbedLoss", options), batch)
        #expect(abs(whole.value - expected) <= 1e-6)
        let parts = try LocalEnsemble.run(world: 3) { ensemble in
            try guided.evaluate("GISTEmbedLoss", options, rows: ensemble.rank..<ensemble.rank + 1, ensemble).value
        }
        #expect(abs(parts.reduce(0, +) - expected) <= 1e-6)
    }

    /// The guide's similarity of the own pair is negative: the relative limit lies below it, by a share of its size.
    @Test func theRelativeMarginOfANegativePairLiesBelowIt() throws {
        let angles = (a: [0.0, 0.0], p: [120.0, 122.0])  // cosines -0.5 and -0.53
        var batch = PlaneBatch(columns: [angles.a.map(at), angles.p.map(at)])
        batch.guide = batch.columns
        let options: JSONObject = [
            "guide": .string("g"), "temperature": .number(1), "margin": .number(0.1),
            "margin_strategy": .string("relative"), "contrast_anchors": .bool(false),
            "contrast_positives": .bool(false),
        ]
        // Limits -0.55 and -0.583: neither row keeps the other's positive, so each finds its own alone.
        #expect(abs(try batch.evaluate("GISTEmbedLoss", options).value) <= 1e-7)
        // Without a margin row 0 keeps -0.53 <= -0.5, row 1 drops -0.5.
        let none = try batch.evaluate("GISTEmbedLoss", options.merging(["margin": .number(0)])).value
        #expect(abs(none - entropy([cosine(0, 120), cosine(0, 122)]) / 2) <= 1e-6)
    }

    /// Copies of the own positive tie with it: the strict comparison keeps them, however rounding falls.
    @Test func copiesOfThePositiveStayNegatives() throws {
        var batch = PlaneBatch(columns: [[at(3), at(47)], [at(31), at(31)]])
        batch.guide = batch.columns
        let options: JSONObject = [
            "guide": .string("g"), "temperature": .number(1), "contrast_anchors": .bool(false),
            "contrast_positives": .bool(false),
        ]
        #expect(abs(try batch.evaluate("GISTEmbedLoss", options).value - log(2)) <= 1e-6)
    }

    /// Anchor and positive are one text: the guide gives 1 to the pair and to the text with itself, up to rounding.
    @Test func aTextIsNoNegativeOfItself() throws {
        var batch = PlaneBatch(columns: [[at(3), at(147)], [at(3), at(147)]])
        batch.guide = batch.columns
        let options: JSONObject = ["guide": .string("g"), "temperature": .number(1)]
        let other = cosine(3, 147)
        let expected = entropy([1, other, other, other])  // the other row's positive, anchor, and positive again
        #expect(abs(try batch.evaluate("GISTEmbedLoss", options).value - expected) <= 1e-6)
        // A negative margin moves the limit beyond 1: then the text itself counts, as in the reference.
        let beyond = try batch.evaluate("GISTEmbedLoss", options.merging(["margin": .number(-0.1)])).value
        #expect(abs(beyond - entropy([1, other, other, other, 1, 1])) <= 1e-6)
    }

    @Test func theSigmoidLossIsThePapers() throws {
        let options: JSONObject = ["logit_scale": .number(4), "logit_bias": .number(-1)]
        let value = try triplets.evaluate("SigmoidContrastiveLoss", options).value
        let expected =
            (0..<3).map { i -> Double in
                let others = ([0, 1, 2].filter { $0 != i }.map { p[$0] } + n).map { 4 * cosine(a[i], $0) - 1 }
                return log1p(exp(-4 * cosine(a[i], p[i]) + 1)) + others.map { log1p(exp($0)) }.reduce(0, +)
            }.reduce(0, +) / 3
        #expect(abs(value - expected) <= 1e-5)
        let parameters = try LossRegistry.make(name: "SigmoidContrastiveLoss").loss.parameters(
            LossSetting(width: 2, columns: ["a", "b"]))
        #expect(parameters.map(\.name) == ["logit_scale", "logit_bias"])
        #expect(parameters.map(\.start) == [.constant(2.302585093), .constant(-10)])
    }

    /// The reference learnt from the last mini-batch alone before 6.0; here chunks are the encoder's and change
    /// nothing.
    @Test func bothFormsOfTheMegaBatchAreOne() throws {
        let pairs = PlaneBatch(columns: [a.map(at), p.map(at)])
        let expected =
            (0..<3).map { i -> Double in
                let hardest = [0, 1, 2].filter { $0 != i }.map { cosine(a[i], p[$0]) }.max() ?? 0
                return max(0, 0.8 - cosine(a[i], p[i])) + max(0, hardest - 0.3)
            }.reduce(0, +) / 3
        let chunked = try pairs.evaluate("MegaBatchMarginLoss", ["mini_batch_size": .integer(2)])
        let whole = try pairs.evaluate("MegaBatchMarginLoss", ["use_mini_batched_version": .bool(false)])
        #expect(abs(chunked.value - expected) <= 1e-6 && chunked.value == whole.value)
        #expect(chunked.gradient == whole.gradient)
        let made = { try LossRegistry.make(name: "MegaBatchMarginLoss", options: $0).chunking }
        #expect(try made([:]) == Chunking(rows: 50) && made(["mini_batch_size": .integer(2)]) == Chunking(rows: 2))
        #expect(try made(["use_mini_batched_version": .bool(false)]) == nil)
        // One row has no negative.
        let single = try PlaneBatch(columns: [[at(0)], [at(60)]]).evaluate("MegaBatchMarginLoss")
        #expect(abs(single.value - 0.3) <= 1e-6 && single.gradient.allSatisfy(\.isFinite))
    }

    @Test func spreadOutEmbeddingsCostNothing() throws {
        let name = "GlobalOrthogonalRegularizationLoss"
        let batch = PlaneBatch(columns: [a.map(at), p.map(at)])
        let terms = [a, p].map { column -> (Double, Double) in
            let sims = [(0, 1), (0, 2), (1, 2)].map { cosine(column[$0.0], column[$0.1]) }
            let (mean, moment) = (sims.reduce(0, +) / 3, sims.reduce(0) { $0 + $1 * $1 } / 3)
            return (mean * mean, max(0, moment - 0.5))
        }
        let outcome = try batch.evaluate(name, ["mean_weight": .number(3)])
        #expect(outcome.loss.parts.map(\.name) == ["gor_mean", "gor_second_moment"])
        let (mean, moment) = (1.5 * (terms[0].0 + terms[1].0), (terms[0].1 + terms[1].1) / 2)
        #expect(abs(outcome.loss.parts[0].value - mean) <= 1e-6 && abs(outcome.loss.parts[1].value - moment) <= 1e-6)
        #expect(abs(outcome.value - mean - moment) <= 1e-6 && mean > 0 && moment > 0)
        let only = try batch.evaluate(name, ["second_moment_weight": .integer(0), "aggregation": .string("sum")])
        #expect(only.loss.parts.map(\.name) == ["gor_mean"] && abs(only.value - terms[0].0 - terms[1].0) <= 1e-6)
        // Null is the reference's None: the term is left out, and its part with it.
        let moments = try batch.evaluate(name, ["mean_weight": .null])
        #expect(moments.loss.parts.map(\.name) == ["gor_second_moment"] && abs(moments.value - moment) <= 1e-6)
        let means = try batch.evaluate(name, ["second_moment_weight": .null, "mean_weight": .number(3)])
        #expect(means.loss.parts.map(\.name) == ["gor_mean"] && abs(means.value - mean) <= 1e-6)
        // One row has no pair.
        let single = try PlaneBatch(columns: [[at(10)]]).evaluate(name)
        #expect(single.value == 0 && single.gradient == [0, 0])
    }

    @Test func whatCannotWorkIsRefused() {
        let directions = { (names: [String]) -> JSONObject in ["directions": JSONValue.array(names.map { .string($0) })]
        }
        #expect(message(ranking, directions(["query_to_query"])).contains("query_to_doc is missing"))
        #expect(message(ranking, directions(["query_to_docs"])).contains("Did you mean 'query_to_doc'"))
        var options = directions(["query_to_doc", "doc_to_doc"])
        options["partition_mode"] = .string("per_direction")
        #expect(message(ranking, options).contains("does not go with"))
        #expect(message(ranking, ["hardness_strength": .number(-1)]).contains("below 0"))
        #expect(message(ranking, ["hardness_mode": .string("hard")]).contains("Known: in_batch_negatives"))
        #expect(message(ranking, ["positives": .integer(0)]).contains("below 1"))
        #expect(message(ranking, ["positives": .integer(2)]).contains("one more"))
        #expect(message(ranking, ["positives": .integer(2)], columns: 3) == "made")
        for option in [["positives": .integer(2)], directions(["query_to_doc", "doc_to_query"])] as [JSONObject] {
            let ring = option.merging(["ring_exchange": .bool(true)])
            #expect(message(ranking, ring, columns: 3).contains("plain form"))
        }
        let apart: JSONObject = ["ring_exchange": .bool(true), "gather_across_devices": .bool(false)]
        #expect(message(ranking, apart).contains("plain form"))
        #expect(message("GISTEmbedLoss", ["ring_exchange": .bool(true)]).contains("unknown option"))
        #expect(message("GISTEmbedLoss", [:]).contains("guide: is missing"))
        #expect(
            message("GISTEmbedLoss", ["guide": .string("g"), "temperature": .number(0)]).contains("not a positive"))
        #expect(message("GISTEmbedLoss", ["guide": .string("g")], columns: 1).contains("one text column"))
        #expect(message("MegaBatchMarginLoss", [:], columns: 3).contains("expected (anchor, positive)"))
        #expect(message("SigmoidContrastiveLoss", ["logit_scale": .number(-1)]).contains("not a positive number"))
        let weights: JSONObject = ["mean_weight": .integer(0), "second_moment_weight": .integer(0)]
        #expect(message("GlobalOrthogonalRegularizationLoss", weights).contains("nothing is left"))
        let none: JSONObject = ["mean_weight": .null, "second_moment_weight": .null]
        #expect(message("GlobalOrthogonalRegularizationLoss", none).contains("nothing is left"))
    }
}
