// Similarities and distances on the tape: of all rows with all rows, and of row i with row i.
//
// The reference's functions by their bare names are `SimilarityFunction` and `DistanceFunction` (Similarity.swift).
// Euclidean distances have derivative 0 at 0, as torch.cdist's.

import TuttiKernels

extension Tape {
    /// Similarities of all rows of x with all rows of y: `[n, m]`; negative distances where the function is one.
    public func similarities(_ function: SimilarityFunction, _ x: TapeValue, _ y: TapeValue) -> TapeValue {
        comparisons(function, comparable(function, x), comparable(function, y))
    }

    /// x made ready for `comparisons`: unit vectors where the function is the cosine.
    public func comparable(_ function: SimilarityFunction, _ x: TapeValue) -> TapeValue {
        function == .cosine ? normalized(x) : x
    }

    /// `similarities` of values that `comparable` has made ready: `[n, m]`.
    public func comparisons(_ function: SimilarityFunction, _ x: TapeValue, _ y: TapeValue) -> TapeValue {
        switch function {
        case .cosine, .dot: return products(x, y)
        case .euclidean: return scaled(distances(x, y, .euclidean), by: -1)
        case .manhattan: return scaled(distances(x, y, .manhattan), by: -1)
        }
    }

    /// The similarity of row i of x with row i of y: `[n, 1]`.
    public func pairSimilarities(_ function: SimilarityFunction, _ x: TapeValue, _ y: TapeValue) -> TapeValue {
        switch function {
        case .cosine: return pairCosines(x, y, epsilon: 1e-12)
        case .dot: return rowProducts(x, y)
        case .euclidean: return scaled(lengths(subtract(x, y)), by: -1)
        case .manhattan: return scaled(rowSums(abs(subtract(x, y))), by: -1)
        }
    }

    /// The similarity of row i of x with row i of y: `[n, 1]`.
    public func pairSimilarities(_ function: PairSimilarity, _ x: TapeValue, _ y: TapeValue) -> TapeValue {
        switch function {
        case .angle: return pairAngles(x, y)
        case .other(let function): return pairSimilarities(function, x, y)
        }
    }

    /// |cosine + sine| of row i of x with row i of y: `[n, 1]`.
    ///
    /// The halves of a row are the real and the imaginary parts of complex numbers; a zero is added to an odd width.
    public func pairAngles(_ x: TapeValue, _ y: TapeValue) -> TapeValue {
        let (x, y, width) = (normalized(x), normalized(y), x.columns)
        let (real, imaginary) = (0..<width / 2, (width + 1) / 2..<width)  // the middle one's partner is the zero
        let sines = subtract(
            rowProducts(columns(x, imaginary), columns(y, real)), rowProducts(columns(x, real), columns(y, imaginary)))
        return abs(add(rowProducts(x, y), sines))
    }

    /// The cosine of row i of x with row i of y, each norm at least `epsilon`: `[n, 1]` (torch's F.cosine_similarity).
    ///
    /// Where rows are nearly parallel, the derivative is a small difference of large numbers: it is taken in fp64.
    public func pairCosines(_ x: TapeValue, _ y: TapeValue, epsilon: Double = 1e-8) -> TapeValue {
        precondition(x.rows == y.rows && x.columns == y.columns, "Tape: cosines of other shapes")
        let (width, result) = (x.columns, newMatrix(x.rows, 1))
        func inner(_ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>) -> Double {
            var sum = 0.0
            for k in 0..<width { sum += Double(a[k]) * Double(b[k]) }
            return sum
        }
        func norm(_ a: UnsafeMutablePointer<Float>) -> Double { inner(a, a).squareRoot() }
        for row in 0..<x.rows {
            let (a, b) = (x.matrix.row(row), y.matrix.row(row))
            result[row, 0] = Float(inner(a, b) / (max(norm(a), epsilon) * max(norm(b), epsilon)))
        }
        return record(result, from: [x, y]) { [unowned self] d in
            let (dX, dY) = (gradient(of: x), gradient(of: y))
            for row in 0..<d.rows where d[row, 0] != 0 {
                let (a, b, slope) = (x.matrix.row(row), y.matrix.row(row), Double(d[row, 0]))
                let (normA, normB) = (norm(a), norm(b))
                let (lengthA, lengthB) = (max(normA, epsilon), max(normB, epsilon))
                let cosine = inner(a, b) / (lengthA * lengthB)
                let shrinkA = normA > epsilon ? cosine / (normA * normA) : 0
                let shrinkB = normB > epsilon ? cosine / (normB * normB) : 0
                for k in 0..<width {
                    let (p, q) = (Double(a[k]), Double(b[k]))
                    dX?.row(row)[k] += Float(slope * (q / (lengthA * lengthB) - shrinkA * p))
                    dY?.row(row)[k] += Float(slope * (p / (lengthA * lengthB) - shrinkB * q))
                }
            }
        }
    }

    /// The Euclidean length of each row: `[n, 1]`.
    public func lengths(_ x: TapeValue) -> TapeValue { squareRoot(rowSums(square(x))) }

    /// Which metric `distances` takes.
    public enum Metric: Sendable { case euclidean, manhattan }

    /// Distances of all rows of x from all rows of y: `[n, m]`.
    public func distances(_ x: TapeValue, _ y: TapeValue, _ metric: Metric) -> TapeValue {
        precondition(x.columns == y.columns, "Tape: distances of widths \(x.columns) and \(y.columns)")
        let result = newMatrix(x.rows, y.rows)
        let width = x.columns
        let grain = max(1, (1 << 16) / max(1, y.rows * width))
        Parallel.forRange(x.rows, grain: grain) { rows in
            for i in rows {
                for j in 0..<y.rows {
                    let (a, b) = (x.matrix.row(i), y.matrix.row(j))
                    var sum = 0.0
                    switch metric {
                    case .euclidean:
                        for k in 0..<width {
                            let difference = Double(a[k]) - Double(b[k])
                            sum += difference * difference
                        }
                        result[i, j] = Float(sum.squareRoot())
                    case .manhattan:
                        for k in 0..<width { sum += Swift.abs(Double(a[k]) - Double(b[k])) }
                        result[i, j] = Float(sum)
                    }
                }
            }
        }
        return record(result, from: [x, y]) { [unowned self] d in
            let (dX, dY) = (gradient(of: x), gradient(of: y))
            for i in 0..<d.rows {
                for j in 0..<d.columns where d[i, j] != 0 {
                    let (a, b) = (x.matrix.row(i), y.matrix.row(j))
                    let distance = result[i, j]
                    guard distance > 0 else { continue }
                    for k in 0..<width {
                        let difference = a[k] - b[k]
                        let slope: Float
                        switch metric {
                        case .euclidean: slope = difference / distance
                        case .manhattan: slope = difference > 0 ? 1 : difference < 0 ? -1 : 0
                        }
                        dX?.row(i)[k] += d[i, j] * slope
                        dY?.row(j)[k] -= d[i, j] * slope
                    }
                }
            }
        }
    }
}
