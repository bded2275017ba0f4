// LossSamples: every registered loss once, with a synthetic batch, for the laws over real MPI.
//
// A sample covers all ranks; a rank evaluates its own rows. What a loss requires (guide, twin, layers, text keys, own
// parameters) is synthetic too. Adding a loss: one line in `all`.

import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiObjectives

/// A loss and the shape of a batch for it.
struct LossSample: Sendable {
    /// The kind of labels.
    enum Labels: Sendable {
        case none, binary, scores
        case classes(Int)
        case lists(Int)
    }

    let specification: LossSpecification
    let columns: Int
    var labels = Labels.none
    /// Layers of the model; the batch has those that the loss samples.
    var modelLayers = 3
    let rows = 37
    let width = 24
    let guideWidth = 16

    init(_ name: String, _ options: JSONObject = [:], columns: Int, labels: Labels = .none) {
        specification = LossSpecification(name: name, options: options)
        self.columns = columns
        self.labels = labels
    }

    private static let ranking = JSONValue.loss(LossSpecification(name: "MultipleNegativesRankingLoss"))

    /// Candidates are passed around the ranks.
    static let travelling = LossSample("MultipleNegativesRankingLoss", ["ring_exchange": .bool(true)], columns: 3)

    /// Samples of the registered losses.
    static let all: [LossSample] = [
        LossSample("MultipleNegativesRankingLoss", columns: 3),
        LossSample("CachedMultipleNegativesRankingLoss", ["similarity_fct": .string("dot_score")], columns: 6),
        LossSample(
            "MatryoshkaLoss", ["loss": ranking, "matryoshka_dims": .array([.integer(24), .integer(12), .integer(5)])],
            columns: 2),
        LossSample("AdaptiveLayerLoss", ["loss": ranking, "n_layers_per_step": .integer(2)], columns: 2),
        LossSample(
            "Matryoshka2dLoss", ["loss": ranking, "matryoshka_dims": .array([.integer(24), .integer(8)])], columns: 2),
        LossSample("Sum", ["losses": .array([ranking, ranking])], columns: 3),
        travelling,
        LossSample(
            "MultipleNegativesRankingLoss",
            [
                "mask_false_negatives": .string("text"),
                "directions": .array(["query_to_doc", "query_to_query", "doc_to_query"].map { .string($0) }),
            ], columns: 3),
        LossSample("MultipleNegativesSymmetricRankingLoss", columns: 3),
        LossSample("CachedMultipleNegativesSymmetricRankingLoss", ["scale": .integer(5)], columns: 2),
        LossSample("GISTEmbedLoss", ["guide": .string("guide"), "temperature": .number(0.1)], columns: 3),
        LossSample("CachedGISTEmbedLoss", ["guide": .string("guide"), "temperature": .number(0.2)], columns: 4),
        LossSample("SigmoidContrastiveLoss", columns: 3),
        LossSample("MegaBatchMarginLoss", columns: 2),
        LossSample("GlobalOrthogonalRegularizationLoss", columns: 2),
        LossSample("ContrastiveTensionLoss", columns: 2, labels: .binary),
        LossSample("ContrastiveTensionLossInBatchNegatives", ["scale": .number(2)], columns: 1),
        LossSample("CosineSimilarityLoss", columns: 2, labels: .scores),
        LossSample("CoSENTLoss", columns: 2, labels: .scores),
        LossSample("AnglELoss", columns: 2, labels: .scores),
        LossSample("ContrastiveLoss", ["distance_metric": .string("EUCLIDEAN")], columns: 2, labels: .binary),
        LossSample("OnlineContrastiveLoss", columns: 2, labels: .binary),
        LossSample("SoftmaxLoss", ["num_labels": .integer(3)], columns: 2, labels: .classes(3)),
        LossSample("MSELoss", ["projection_dim": .integer(7)], columns: 2, labels: .lists(7)),
        LossSample("EmbedDistillLoss", columns: 1, labels: .lists(24)),
        LossSample("MarginMSELoss", columns: 3, labels: .scores),
        LossSample("DistillKLDivLoss", columns: 4, labels: .lists(3)),
        LossSample("TripletLoss", ["triplet_margin": .number(1)], columns: 3),
        LossSample("BatchAllTripletLoss", columns: 1, labels: .classes(5)),
        LossSample("BatchHardTripletLoss", columns: 1, labels: .classes(5)),
        LossSample("BatchHardSoftMarginTripletLoss", columns: 1, labels: .classes(5)),
        LossSample("BatchSemiHardTripletLoss", columns: 1, labels: .classes(5)),
    ]
}

/// The result on a rank: value, gradient of its embeddings, of the twin's, and of the loss's own parameters.
struct LossSampleResult {
    var value: Double
    var blocks: Int
    var gradient: [Float]
    var twin: [Float]
    var parameters: [Float]
}

extension LossSample {
    private var setting: LossSetting {
        let kind: LossLabels
        switch labels {
        case .none: kind = .none
        case .binary: kind = .integers(0...1)
        case .scores: kind = .numbers(0...1)
        case .classes(let count): kind = .integers(0...count - 1)
        case .lists(let width): kind = .lists(width)
        }
        return LossSetting(
            width: width, layers: modelLayers, columns: (0..<columns).map { "text\($0)" }, labels: kind)
    }

    /// Numbers of the rows `own`, block by block; rows of one item are similar, as embeddings are.
    private func matrix(_ own: Range<Int>, blocks: Int, width: Int, salt: UInt64, _ arena: inout Arena) -> Matrix {
        let result = arena.matrix(blocks * own.count, width)
        for block in 0..<blocks {
            for row in own {
                var numbers = Numbers(seed: salt + UInt64(block * rows + row))
                var item = Numbers(seed: salt + UInt64(1_000_000 + row))
                let place = block * own.count + row - own.lowerBound
                for index in 0..<width { result[place, index] = numbers.next() + 0.5 * item.next() }
            }
        }
        return result
    }

    private func label(_ row: Int) -> [Float] {
        switch labels {
        case .none: return []
        case .binary: return [row % 3 == 0 ? 0 : 1]
        case .scores: return [Float((row * 5) % 7) / 6]
        case .classes(let count): return [Float(row % count)]
        case .lists(let width):
            var numbers = Numbers(seed: UInt64(5_000_000 + row))
            return (0..<width).map { _ in numbers.next() }
        }
    }

    /// Evaluates the rows `own`; `findings` gets a value that depends on whether gradients are computed.
    func evaluate(_ own: Range<Int>, _ ensemble: any Ensemble, _ findings: Findings) throws -> LossSampleResult {
        var arena = Arena()
        let loss = try LossRegistry.make(specification).loss
        let needs = loss.requirements
        let draw = LossDraw(seed: 3, step: 2)
        let layers = needs.needsLayers ? loss.layers(of: modelLayers, draw: draw) : []
        let encoded = needs.columns(of: .student).numbers(of: columns).count
        let blocks = max(layers.count, 1) * encoded
        var batch = LossBatch(
            embeddings: matrix(own, blocks: blocks, width: width, salt: 0, &arena), rows: own.count, columns: encoded,
            layers: max(layers.count, 1))
        batch.layerNumbers = layers
        batch.textColumns = columns
        for (place, path) in needs.guides.enumerated() {
            batch.others[.guide(path)] = matrix(
                own, blocks: encoded, width: guideWidth, salt: 7_000 + UInt64(100 * place), &arena)
        }
        var gradients = LossGradients(embeddings: arena.matrix(blocks * own.count, width))
        if needs.texts[.twin] != nil {
            batch.others[.twin] = matrix(own, blocks: encoded, width: width, salt: 9_000, &arena)
            gradients.others[.twin] = arena.matrix(encoded * own.count, width)
        }
        gradients.embeddings.fill(.nan)
        gradients[.twin]?.fill(.nan)
        var context = LossContext(ensemble: ensemble)
        context.draw = draw
        var tensors: [String: LossParameters.Tensor] = [:]
        var owned: [Matrix] = []
        for parameter in loss.parameters(setting) {
            let count = parameter.shape.reduce(1, *)
            let columns = parameter.shape.last ?? 1
            let values = arena.matrix(count / max(1, columns), columns)
            parameter.fill(UnsafeMutableBufferPointer(start: values.pointer, count: count), seed: 1)
            let gradient = arena.matrix(values.rows, columns)
            gradient.fill(0)
            owned.append(gradient)
            tensors[parameter.name] = .init(values: values, gradient: gradient)
        }
        context.parameters = LossParameters(tensors)
        let labels = own.flatMap(label)
        let keys = (0..<columns).flatMap { column in own.map { UInt64(column * 1000 + $0 / 2) } }
        let (value, only) = try labels.withUnsafeBufferPointer { labels in
            try keys.withUnsafeBufferPointer { keys in
                if case .none = self.labels {} else { (batch.labels, batch.labelWidth) = (labels, label(0).count) }
                if needs.needsTextKeys { batch.textKeys = keys }
                return (
                    try loss.evaluate(batch, gradients: gradients, in: context),
                    try loss.evaluate(batch, gradients: nil, in: context)
                )
            }
        }
        findings.require(abs(only - value) <= 1e-12, "evaluation only gives \(only), with gradients \(value)")
        func numbers(_ matrix: Matrix?) -> [Float] {
            guard let matrix else { return [] }
            return Array(UnsafeBufferPointer(start: matrix.pointer, count: matrix.rows * matrix.columns))
        }
        return LossSampleResult(
            value: value, blocks: blocks, gradient: numbers(gradients.embeddings), twin: numbers(gradients[.twin]),
            parameters: owned.flatMap { numbers($0) })
    }
}
