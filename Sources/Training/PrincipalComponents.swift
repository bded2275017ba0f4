// The principal components of embeddings, with which a Dense of a run may begin: fewer dimensions that keep the most of what
// tells texts apart.
//
// Rank zero alone embeds the texts, by the model up to the Dense, and the others get its numbers: they are the same whatever
// the number of ranks. A component's largest number is positive, as in scikit-learn.
//
// Reference: examples/sentence_transformer/training/distillation/dimensionality_reduction.py; sklearn.decomposition.PCA.

import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiGround
import TuttiKernels
import TuttiModels

/// The directions in which embeddings differ most.
package enum PrincipalComponents {
    /// The first `count` components of `embeddings`, row by row, [count, D].
    package static func rows(of embeddings: Embeddings, count: Int) -> [Float] {
        let width = embeddings.dimension
        precondition(count <= width && embeddings.count > 1, "PrincipalComponents: \(count) of \(width)")
        var mean = [Double](repeating: 0, count: width)
        for row in 0..<embeddings.count {
            for (column, value) in embeddings[row].enumerated() { mean[column] += Double(value) }
        }
        for column in 0..<width { mean[column] /= Double(embeddings.count) }
        let solved = SymmetricMatrix(covariance(of: embeddings, mean), size: width)
        var rows: [Float] = []
        for place in 0..<count {
            var component = (0..<width).map { solved.vectors[$0 * width + width - 1 - place] }
            let largest = component.max { abs($0) < abs($1) } ?? 1
            if largest < 0 { component = component.map { -$0 } }
            rows += component.map(Float.init)
        }
        return rows
    }

    /// [D, D] the sums of products of the centred embeddings, in blocks that single precision adds up well.
    private static func covariance(of embeddings: Embeddings, _ mean: [Double]) -> [Double] {
        let (width, block) = (embeddings.dimension, 256)
        var arena = Arena()
        let (centred, product) = (arena.matrix(block, width), arena.matrix(width, width))
        var sums = [Double](repeating: 0, count: width * width)
        for start in stride(from: 0, to: embeddings.count, by: block) {
            let rows = centred.rows(0..<min(block, embeddings.count - start))
            for row in 0..<rows.rows {
                for (column, value) in embeddings[start + row].enumerated() {
                    rows[row, column] = Float(Double(value) - mean[column])
                }
            }
            Gemm.multiply(rows, transposeA: true, rows, into: product)
            for place in sums.indices { sums[place] += Double(product.pointer[place]) }
        }
        return sums
    }
}

extension TrainingConfiguration {
    /// Gives the Dense of `model` that begins with principal components its weights; a model without one is left alone.
    /// Collective.
    ///
    /// - Parameters:
    ///   - tables: the training data, whose texts are taken where no file is named.
    ///   - kept: the digest of the texts of which a checkpoint has the weights, which then are not computed; asked on rank
    ///     zero.
    /// - Throws: what reading the texts throws; `.usage` where there are none, or fewer than dimensions.
    package func fillComponents(
        of model: SentenceEncoder, tables: [Table], kept: () throws -> String? = { nil }, ensemble: any Ensemble
    ) throws {
        let requests = modules ?? []
        guard let place = requests.firstIndex(where: { $0.componentTexts != nil }),
            let request = requests[place].componentTexts
        else { return }
        let found = try ensemble.onRoot { () throws -> ComponentsFound in
            guard !requests[(place + 1)...].contains(where: { $0.componentTexts != nil }) else {
                throw places.error("modules", "two Dense modules begin with principal components, and one can")
            }
            if let texts = try kept() { return ComponentsFound(rows: nil, texts: texts) }
            let texts = try componentTexts(request, tables, at: place)
            let before = try loadModel(self, modules: Array(requests[..<place]))
            let embeddings = try before.encode(texts, prompt: nil)
            guard embeddings.count > request.outputWidth else {
                throw places.error(
                    "modules.\(place).text_count",
                    "\(embeddings.count) texts cannot tell \(request.outputWidth) components apart")
            }
            let rows = withExtendedLifetime(embeddings) {
                PrincipalComponents.rows(of: embeddings, count: request.outputWidth)
            }
            var digest = Digest()
            for text in texts { digest.update(text) }
            return ComponentsFound(rows: rows.map(\.bitPattern), texts: digest.hexadecimal)
        }
        try ensemble.together("take the components") {
            try model.begin(
                module: place, with: found.rows?.map { Float(bitPattern: $0) }, of: found.texts)
        }
    }

    /// The texts whose components are sought, drawn by the run's seed where there are more than needed.
    private func componentTexts(_ request: DenseRequest, _ tables: [Table], at place: Int) throws -> [String] {
        var texts: [String] = []
        if let path = request.texts {
            texts = try loadTextColumn(path, column: request.column)
        } else {
            for table in tables { for column in table.columnNames.indices { texts += table.texts(column: column) } }
        }
        guard !texts.isEmpty else {
            throw places.error("modules.\(place).texts", "is missing: there is no training data to take texts of")
        }
        guard texts.count > request.textCount else { return texts }
        var random = CounterRandom(seed: arguments.seed, stream: 0x7063_61)
        return random.permutation(of: texts.count).prefix(request.textCount).map { texts[Int($0)] }
    }
}

/// What rank zero hands to the others.
private struct ComponentsFound: Codable {
    /// Nil where a checkpoint has them.
    let rows: [UInt32]?
    let texts: String
}
