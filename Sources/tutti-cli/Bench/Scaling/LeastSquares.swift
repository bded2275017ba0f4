// Least squares with coefficients that are not negative: costs of a model cannot be.
//
// Few observations and fewer coefficients. A coefficient that the observations do not determine (its column depends on
// earlier ones) is not fitted: it stays 0 and is reported. Of the others, those that come out negative are dropped, the
// most negative first, and the rest is fitted again.

/// A linear fit: `sum(coefficient * feature) = value`, weighted so that relative errors count.
struct LeastSquares {
    /// One a feature; 0 if it is not determined or was dropped.
    private(set) var coefficients: [Double]
    /// Whether the observations tell a feature from the others.
    private(set) var isDetermined: [Bool]
    /// Whether a feature was there at all.
    private(set) var isSeen: [Bool]

    /// Fits `values`, all positive, to rows of features.
    init(_ features: [[Double]], _ values: [Double]) {
        let count = features.first?.count ?? 0
        coefficients = [Double](repeating: 0, count: count)
        let weighted = zip(features, values).map { row, value in row.map { $0 / max(value, 1e-12) } }
        isSeen = (0..<count).map { feature in features.contains { $0[feature] != 0 } }
        isDetermined = Self.independent(weighted, count: count)
        var used = (0..<count).filter { isDetermined[$0] }
        while !used.isEmpty {
            let solved = Self.solve(weighted.map { row in used.map { row[$0] } })
            guard let worst = solved.indices.min(by: { solved[$0] < solved[$1] }) else { return }
            guard solved[worst] < 0 else {
                for (place, feature) in used.enumerated() { coefficients[feature] = solved[place] }
                return
            }
            used.remove(at: worst)
        }
    }

    /// What the fit says for one row of features.
    func value(_ features: [Double]) -> Double { zip(coefficients, features).reduce(0) { $0 + $1.0 * $1.1 } }

    /// The columns that are not combinations of earlier ones, by Gram and Schmidt.
    private static func independent(_ rows: [[Double]], count: Int) -> [Bool] {
        var basis: [[Double]] = []
        return (0..<count).map { feature in
            var column = rows.map { $0[feature] }
            let before = dot(column, column)
            guard before > 0 else { return false }
            for _ in 0..<2 {  // once more: what rounding left
                for other in basis {
                    let part = dot(column, other)
                    for place in column.indices { column[place] -= part * other[place] }
                }
            }
            let after = dot(column, column)
            // 0.01 % of a column is within what measurements tell apart, not within rounding.
            guard after > 1e-8 * before else { return false }
            let length = after.squareRoot()
            basis.append(column.map { $0 / length })
            return true
        }
    }

    /// The coefficients whose combination of the columns is nearest to 1 in every row, by orthogonal columns.
    private static func solve(_ rows: [[Double]]) -> [Double] {
        let count = rows.first?.count ?? 0
        var columns = (0..<count).map { feature in rows.map { $0[feature] } }
        var triangle = [[Double]](repeating: [Double](repeating: 0, count: count), count: count)
        var rest = [Double](repeating: 1, count: rows.count)
        var projections = [Double](repeating: 0, count: count)
        for pivot in 0..<count {
            triangle[pivot][pivot] = dot(columns[pivot], columns[pivot]).squareRoot()
            for place in rest.indices { columns[pivot][place] /= triangle[pivot][pivot] }
            for other in pivot + 1..<max(count, pivot + 1) {
                triangle[pivot][other] = dot(columns[pivot], columns[other])
                for place in rest.indices { columns[other][place] -= triangle[pivot][other] * columns[pivot][place] }
            }
            projections[pivot] = dot(columns[pivot], rest)
            for place in rest.indices { rest[place] -= projections[pivot] * columns[pivot][place] }
        }
        var solved = projections
        for row in stride(from: count - 1, through: 0, by: -1) {
            for other in row + 1..<max(count, row + 1) { solved[row] -= triangle[row][other] * solved[other] }
            solved[row] /= triangle[row][row]
        }
        return solved
    }

    private static func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
}
