// What the distance of two tokens means for their score: a bucket of a trained table, a slope, a row of a table.

import Glibc

/// The buckets of distances in both directions: near distances have one each, farther ones share buckets that grow with
/// the logarithm.
///
/// Reference: `_relative_position_bucket` of T5 and MPNet in transformers.
package struct DistanceBuckets: Sendable, Equatable {
    /// Buckets of both directions.
    package let count: Int
    /// The distance from which on all share the last bucket.
    package let farthest: Int

    package init(count: Int, farthest: Int) { (self.count, self.farthest) = (count, farthest) }

    /// T5's default, and MPNet's.
    package static let standard = DistanceBuckets(count: 32, farthest: 128)

    /// The bucket of a distance (key position - query position).
    package func bucket(_ distance: Int) -> Int {
        let (n, half) = (abs(distance), count / 2)
        let (first, exact) = (distance > 0 ? half : 0, half / 2)
        if n < exact { return first + n }
        if self == .standard {  // 8 + floor(8 ln(n / 8) / ln 16) = 2 + floor(log2 n^2), exact in integers
            let floorLog2 = Int.bitWidth - 1 - (n * n).leadingZeroBitCount
            return first + min(half - 1, 2 + floorLog2)
        }
        let growth = log(Double(n) / Double(exact)) / log(Double(farthest) / Double(exact))
        return first + min(half - 1, exact + Int(growth * Double(half - exact)))
    }
}

/// Scores minus the distance times a slope (ALiBi).
///
/// Reference: Press et al. 2021, arXiv 2108.12409.
package enum LinearBiases {
    /// [H] powers of 2^(-8 / P) for P heads, P a power of two; for other numbers of heads those of the power of two below,
    /// then every second one of the power above.
    package static func slopes(_ heads: Int) -> [Float] {
        var power = 1
        while power * 2 <= heads { power *= 2 }
        func geometric(_ count: Int) -> [Double] { (1...count).map { pow(2, -8 * Double($0) / Double(count)) } }
        let more = geometric(2 * power)
        let odd = stride(from: 0, to: more.count, by: 2).map { more[$0] }
        return (geometric(power) + odd.prefix(heads - power)).map { Float($0) }
    }
}

/// The rows of distances in a table of 2 S: near distances have one each; farther ones may share rows that grow with the
/// logarithm; those beyond the table share its first and last.
///
/// Reference: `make_log_bucket_position` of DeBERTa in transformers.
package struct DistanceRows: Sendable, Equatable {
    /// S.
    package let reach: Int
    /// Rows of both directions up to the distance `farthest`, if far distances share; nil = each has its own.
    package let buckets: DistanceBuckets?

    package init(reach: Int, buckets: DistanceBuckets? = nil) { (self.reach, self.buckets) = (reach, buckets) }

    /// The row of a distance (query position - key position).
    package func row(_ distance: Int) -> Int { min(max(folded(distance) + reach, 0), 2 * reach - 1) }

    private func folded(_ distance: Int) -> Int {
        guard let buckets else { return distance }
        let (n, middle) = (abs(distance), buckets.count / 2)
        if n <= middle { return distance }
        let growth = log(Double(n) / Double(middle)) / log(Double(buckets.farthest - 1) / Double(middle))
        let far = Int((growth * Double(middle - 1)).rounded(.up)) + middle
        return distance < 0 ? -far : far
    }
}
