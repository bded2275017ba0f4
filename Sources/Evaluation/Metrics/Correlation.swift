// Pearson and Spearman correlation of two series.
//
// Why: EmbeddingSimilarityEvaluator reports both between gold scores and similarities. The definitions are SciPy's:
// Spearman is Pearson on ranks, ranks of equal values are averaged, and a constant or non-finite series has no
// correlation (NaN), which the results keep as NaN instead of hiding it behind a zero.
//
// Reference: scipy.stats.pearsonr, scipy.stats.spearmanr, scipy.stats.rankdata(method="average").

/// The correlation coefficients that semantic similarity is judged by.
package enum Correlation {
    /// Pearson's product-moment correlation of two series of equal length; NaN where it is not defined.
    package static func pearson(_ x: [Double], _ y: [Double]) -> Double {
        precondition(x.count == y.count, "pearson of \(x.count) and \(y.count) values")
        guard x.count >= 2, isVarying(x), isVarying(y) else { return .nan }
        let xCentred = centred(x)
        let yCentred = centred(y)
        let xNorm = norm(xCentred)
        let yNorm = norm(yCentred)
        guard xNorm > 0, yNorm > 0 else { return .nan }
        var sum = 0.0
        for i in x.indices { sum += (xCentred[i] / xNorm) * (yCentred[i] / yNorm) }
        return min(1, max(-1, sum))
    }

    /// Spearman's rank correlation of two series of equal length, equal values sharing the mean of their ranks.
    package static func spearman(_ x: [Double], _ y: [Double]) -> Double {
        precondition(x.count == y.count, "spearman of \(x.count) and \(y.count) values")
        guard x.allSatisfy({ !$0.isNaN }), y.allSatisfy({ !$0.isNaN }) else { return .nan }
        return pearson(averageRanks(x), averageRanks(y))
    }

    /// Ranks from 1, equal values sharing the mean of the ranks that they occupy.
    package static func averageRanks(_ values: [Double]) -> [Double] {
        let order = values.indices.sorted { values[$0] < values[$1] }
        var ranks = [Double](repeating: 0, count: values.count)
        var start = 0
        while start < order.count {
            var end = start + 1
            while end < order.count, values[order[end]] == values[order[start]] { end += 1 }
            let rank = Double(start + 1 + end) / 2
            for place in start..<end { ranks[order[place]] = rank }
            start = end
        }
        return ranks
    }

    /// False for a constant series and for one that holds NaN or an infinity.
    private static func isVarying(_ values: [Double]) -> Bool {
        values.allSatisfy(\.isFinite) && values.contains { $0 != values[0] }
    }

    private static func centred(_ values: [Double]) -> [Double] {
        let mean = values.reduce(0, +) / Double(values.count)
        return values.map { $0 - mean }
    }

    /// The Euclidean norm, scaled by the largest magnitude so that tiny series do not underflow.
    private static func norm(_ values: [Double]) -> Double {
        let largest = values.reduce(0) { max($0, abs($1)) }
        guard largest > 0 else { return 0 }
        return largest * values.reduce(0) { $0 + ($1 / largest) * ($1 / largest) }.squareRoot()
    }
}
