// LinkMatrix: latency and bandwidth between every two hosts, and which pairs stand out.

/// What was measured between hosts.
package struct LinkMatrix: Codable, Equatable, Sendable {
    /// Two hosts.
    package struct Pair: Codable, Equatable, Sendable {
        /// The places of the hosts.
        package var first: Int
        package var second: Int
        /// Half of a round trip of one byte, in microseconds.
        package var latency: Double
        /// Megabits a second in one direction.
        package var bandwidth: Double

        /// The given facts.
        package init(first: Int, second: Int, latency: Double, bandwidth: Double) {
            (self.first, self.second, self.latency, self.bandwidth) = (first, second, latency, bandwidth)
        }
    }

    /// The hosts, one rank on each.
    package var hosts: [String]
    /// Every two of them once.
    package var pairs: [Pair]

    /// Measurements of `pairs` of `hosts`.
    package init(hosts: [String], pairs: [Pair]) { (self.hosts, self.pairs) = (hosts, pairs) }

    /// A pair is slow below this share of the median bandwidth.
    private static let slowBandwidth = 0.6
    /// ... or above this multiple of the median latency, and so many microseconds above it.
    private static let slowLatency = 3.0
    private static let leastDelay = 50.0

    /// The rounds in which `count` hosts meet in pairs, every two of them once: the circle method.
    package static func rounds(_ count: Int) -> [[(Int, Int)]] {
        let even = count + count % 2
        guard even >= 2 else { return [] }
        return (0..<even - 1).map { round in
            (0..<even / 2).compactMap { place in
                let one = place == 0 ? even - 1 : (round + place) % (even - 1)
                let other = (round + even - 1 - place) % (even - 1)
                return one < count && other < count ? (min(one, other), max(one, other)) : nil
            }
        }
    }

    /// The pairs that are much slower than the others, in words.
    package var judgement: [String] {
        let latency = LinkMatrix.median(pairs.map(\.latency))
        let bandwidth = LinkMatrix.median(pairs.map(\.bandwidth))
        return pairs.compactMap { pair in
            let names = "\(hosts[pair.first]) and \(hosts[pair.second])"
            if pair.bandwidth < LinkMatrix.slowBandwidth * bandwidth {
                return "\(names): \(Int(pair.bandwidth)) Mbit/s, where the median is \(Int(bandwidth))"
            }
            if pair.latency > LinkMatrix.slowLatency * latency, pair.latency > latency + LinkMatrix.leastDelay {
                return "\(names): \(Int(pair.latency)) us, where the median is \(Int(latency))"
            }
            return nil
        } + common
    }

    /// A host all of whose pairs are slow has a slow link itself.
    private var common: [String] {
        guard hosts.count > 2 else { return [] }
        let bandwidth = LinkMatrix.median(pairs.map(\.bandwidth))
        return hosts.indices.compactMap { host in
            let own = pairs.filter { $0.first == host || $0.second == host }
            let isSlow = own.allSatisfy { $0.bandwidth < LinkMatrix.slowBandwidth * bandwidth }
            return !own.isEmpty && isSlow ? "\(hosts[host]): slow to all others: look at its link" : nil
        }
    }

    /// A table: latency in microseconds above the diagonal, Mbit/s below it.
    package var table: [String] {
        let names = hosts.map { $0.count > 16 ? String($0.prefix(15)) + "~" : $0 }
        let width = max(8, names.map(\.count).max() ?? 0) + 1
        func cell(_ text: String) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
        let head = cell("") + names.map(cell).joined()
        let rows = hosts.indices.map { row in
            cell(names[row])
                + hosts.indices.map { column in
                    let pair = pairs.first { $0.first == min(row, column) && $0.second == max(row, column) }
                    guard row != column, let pair else { return cell("-") }
                    return cell(row < column ? "\(Int(pair.latency))" : "\(Int(pair.bandwidth))")
                }.joined()
        }
        return [head] + rows
    }

    /// The middle of some numbers; 0 of none.
    private static func median(_ numbers: [Double]) -> Double {
        let sorted = numbers.sorted()
        guard !sorted.isEmpty else { return 0 }
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }
}
