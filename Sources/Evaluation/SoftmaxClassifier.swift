// The head that SoftmaxLoss trains: which class has a pair of sentences?
//
// What: logits = features W^T + b of the features [u, v, |u - v|, u * v], as far as they are switched on. Parameters
// are read anew for every evaluation, so that during training the head of the run's own loss is judged as it is then:
// Training makes one whose `parameters` read the loss and passes it as `EvaluatorOptions.classifier`. A trained head is
// read from the file beside a model, loss.safetensors: classifier.weight and, with a bias, classifier.bias, perhaps
// behind the name of the loss's data set.
// Legend: u, v embeddings of the two sentences [D], C classes, F = D times the number of feature blocks.
//
// Reference: sentence_transformers/sentence_transformer/losses/softmax.py.

import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// A linear classifier of pairs of embeddings.
package final class SoftmaxClassifier {
    /// The feature blocks in their order.
    package typealias Features = SoftmaxLoss.Features

    /// A weight [C, F], row after row, and perhaps a bias [C].
    package typealias Parameters = (weight: [Float], bias: [Float]?)

    /// The number of classes.
    package let classCount: Int
    /// The width of the embeddings.
    package let dimension: Int
    private let features: Features
    private let parameters: () -> Parameters

    /// A classifier whose `parameters` are asked for before every evaluation.
    package init(classCount: Int, dimension: Int, features: Features, parameters: @escaping () -> Parameters) {
        precondition(
            classCount > 0 && dimension > 0 && features.count > 0,
            "\(classCount) classes of \(features.count) blocks of \(dimension)")
        self.classCount = classCount
        self.dimension = dimension
        self.features = features
        self.parameters = parameters
    }

    /// The classifier that the file at `path` holds.
    ///
    /// Throws: `.missingFile`; `.data` naming file and tensor when it holds no such head.
    package convenience init(path: String, features: Features) throws(TuttiError) {
        let file = try SafetensorsFile(path: path)
        let weights = file.tensors.filter { $0.name.hasSuffix("classifier.weight") }
        guard let info = weights.first, weights.count == 1 else {
            throw TuttiError(
                .data, "read classifier", path, "holds \(weights.count) tensors classifier.weight, where one is needed",
                hint: "It is in the loss.safetensors of a model that was trained with SoftmaxLoss.")
        }
        guard info.shape.count == 2, info.shape[0] > 0, info.shape[1] > 0, info.shape[1] % features.count == 0 else {
            throw file.tensorError(
                info, "has the shape \(info.shape), where [classes, \(features.count) * width] is needed")
        }
        let classCount = info.shape[0]
        let weight = try file.floats(info.name)
        var bias: [Float]?
        if let info = file.info(info.name.dropLast("weight".count) + "bias") {
            guard info.shape == [classCount] else {
                throw file.tensorError(info, "has the shape \(info.shape), which does not fit classifier.weight")
            }
            bias = try file.floats(info.name)
        }
        self.init(
            classCount: classCount, dimension: info.shape[1] / features.count, features: features,
            parameters: { (weight, bias) })
    }

    /// The class of every pair (first[i], second[i]), the lowest of equally likely ones; nil where a logit is NaN.
    func classes(_ first: Embeddings, _ second: Embeddings) -> [Int?] {
        precondition(
            first.count == second.count && first.dimension == dimension && second.dimension == dimension,
            "[\(first.count), \(first.dimension)] and [\(second.count), \(second.dimension)], width \(dimension)")
        let (weight, bias) = parameters()
        let width = features.count * dimension
        precondition(
            weight.count == classCount * width && bias?.count ?? classCount == classCount,
            "a weight of \(weight.count), a bias of \(bias?.count ?? 0) for [\(classCount), \(width)]")
        return (0..<first.count).map { row in
            let features = featureRow(first[row], second[row])
            var best: (place: Int, logit: Double)?
            for place in 0..<classCount {
                var logit = Double(bias?[place] ?? 0)
                for column in 0..<width { logit += Double(weight[place * width + column]) * features[column] }
                if logit.isNaN { return nil }
                if best.map({ logit > $0.logit }) ?? true { best = (place, logit) }
            }
            return best?.place
        }
    }

    /// The features of one pair, [F].
    private func featureRow(_ u: UnsafeBufferPointer<Float>, _ v: UnsafeBufferPointer<Float>) -> [Double] {
        var row: [Double] = []
        row.reserveCapacity(features.count * dimension)
        if features.embeddings { row += u.map(Double.init) + v.map(Double.init) }
        if features.difference { row += zip(u, v).map { Double(abs($0 - $1)) } }
        if features.product { row += zip(u, v).map { Double($0 * $1) } }
        return row
    }
}
