// Similarities of embeddings: of pairs, and of every query with every document.
//
// What: cosine, dot product and the negatives of the Euclidean and Manhattan distances, larger meaning more alike.
// Pairs are summed in double precision and rounded once, so that equal pairs tie exactly, as the strict comparisons of
// the evaluators need. Legend: D width of the embeddings, Q queries, N documents.
//
// Reference: sentence_transformers/util/similarity.py (cos_sim, dot_score, pairwise_*).

import TuttiKernels
import TuttiModels
import TuttiObjectives

extension SimilarityFunction {
    /// The names in the order in which the reference lists them.
    static let names = ["cosine", "dot", "euclidean", "manhattan"]

    /// The similarity of row i of `a` with row i of `b`, for every i.
    public func ofPairs(_ a: Embeddings, _ b: Embeddings) -> [Float] {
        precondition(
            a.count == b.count && a.dimension == b.dimension,
            "pairs of [\(a.count), \(a.dimension)] and [\(b.count), \(b.dimension)]")
        return (0..<a.count).map { ofPair(a[$0], b[$0]) }
    }

    /// The similarity of two embeddings.
    func ofPair(_ x: UnsafeBufferPointer<Float>, _ y: UnsafeBufferPointer<Float>) -> Float {
        switch self {
        case .cosine:
            let xLength = Embeddings.length(x)
            let yLength = Embeddings.length(y)
            var sum = 0.0
            for i in 0..<x.count { sum += Double(x[i] / xLength) * Double(y[i] / yLength) }
            return Float(sum)
        case .dot:
            var sum = 0.0
            for i in 0..<x.count { sum += Double(x[i]) * Double(y[i]) }
            return Float(sum)
        case .euclidean:
            var sum = 0.0
            for i in 0..<x.count {
                let difference = Double(x[i] - y[i])
                sum += difference * difference
            }
            return -Float(sum.squareRoot())
        case .manhattan:
            var sum = 0.0
            for i in 0..<x.count { sum += Double(abs(x[i] - y[i])) }
            return -Float(sum)
        }
    }
}

extension Embeddings {
    /// The rows as a matrix, which borrows from these embeddings.
    func matrix(_ rows: Range<Int>) -> Matrix {
        guard let base = values.baseAddress else { preconditionFailure("a matrix of no embeddings") }
        return Matrix(base + rows.lowerBound * dimension, rows.count, dimension)
    }
}
