// Roles: a loss names who reads texts for it, and several may stand beside each other.

import TestSupport
import Testing
import TuttiEnsemble
import TuttiKernels
import TuttiGround
import TuttiObjectives

@Suite struct RoleTests {
    /// Value and gradient of a loss on six random pairs, each guide with embeddings of its own.
    private func evaluate(_ loss: any Loss) throws -> (value: Double, gradient: [Float]) {
        let (rows, width) = (6, 5)
        var random = TinyRandom(3)
        let embeddings = FloatBlock(random.floats(2 * rows * width))
        let gradient = FloatBlock(count: embeddings.count)
        var batch = LossBatch(embeddings: embeddings.matrix(2 * rows, width), rows: rows, columns: 2)
        for path in loss.requirements.guides {
            var own = TinyRandom(UInt64(path.utf8.reduce(0) { $0 * 31 + Int($1) }))
            batch.others[.guide(path)] = FloatBlock(own.floats(2 * rows * 7)).matrix(2 * rows, 7)
        }
        let value = try loss.evaluate(
            batch, gradients: LossGradients(embeddings: gradient.matrix(2 * rows, width)),
            in: LossContext(ensemble: LocalEnsemble.single()))
        return (value, gradient.values)
    }

    private func gist(_ guide: String) -> LossSpecification {
        LossSpecification(name: "GISTEmbedLoss", options: ["guide": .string(guide), "temperature": .number(0.5)])
    }

    /// Two frozen guides are two roles of one batch; the sum is that of the losses alone.
    @Test func lossesOfDifferentGuidesAddUp() throws {
        let (a, b) = (try evaluate(LossRegistry.make(gist("a")).loss), try evaluate(LossRegistry.make(gist("b")).loss))
        #expect(abs(a.value - b.value) > 1e-3)
        let sum = try LossRegistry.make(
            name: "Sum", options: ["losses": .array([.loss(gist("a")), .loss(gist("b"))])]
        ).loss
        #expect(sum.requirements.guides == ["a", "b"])
        try sum.check(LossSetting(width: 5, columns: ["anchor", "positive"]))
        let both = try evaluate(sum)
        #expect(abs(both.value - a.value - b.value) <= 1e-6)
        #expect(largestDifference(both.gradient, zip(a.gradient, b.gradient).map { $0 + $1 }) <= 1e-6)
    }

    /// One text column cannot be read as the first by one loss and with the others by another.
    @Test func lossesThatReadOtherColumnsAreRefused() throws {
        let plain = LossSpecification(name: "MultipleNegativesRankingLoss")
        let tension = LossSpecification(name: "ContrastiveTensionLossInBatchNegatives")
        let sum = try LossRegistry.make(name: "Sum", options: ["losses": .array([.loss(plain), .loss(tension)])]).loss
        #expect(throws: TuttiError.self) { try sum.check(LossSetting(width: 4, columns: ["a", "b"])) }
    }

    @Test func columnsAreNamedByTheirPlace() {
        #expect(TextColumns.all.numbers(of: 3) == [0, 1, 2])
        #expect(TextColumns.first.numbers(of: 3) == [0] && TextColumns.last.numbers(of: 3) == [2])
        #expect(TextColumns.last.numbers(of: 1) == [0])
    }

    /// A loss hands out the head that it trains, under the name that its parameters have outside.
    @Test func aLossHandsOutItsClassifier() throws {
        let softmax = LossSpecification(name: "SoftmaxLoss", options: ["num_labels": .integer(3)])
        let alone = try LossRegistry.make(softmax).loss.classifier
        #expect(alone == LossClassifier(classes: 3, features: SoftmaxLoss.Features(), prefix: "classifier."))
        let plain = LossSpecification(name: "CoSENTLoss")
        let sum = LossSpecification(name: "Sum", options: ["losses": .array([.loss(plain), .loss(softmax)])])
        let inner = try LossRegistry.make(sum).loss
        #expect(inner.classifier?.prefix == "losses.1.classifier.")
        let names = inner.parameters(LossSetting(width: 4, columns: ["a", "b"], labels: .integers(0...2))).map(\.name)
        #expect(names == ["losses.1.classifier.weight", "losses.1.classifier.bias"])
        #expect(try LossRegistry.make(plain).loss.classifier == nil)
    }
}
