// The named summands of the loss (the reference's losses that return a dictionary), added up between two log lines.

import TuttiEnsemble
import TuttiFormats
import TuttiGround

/// Sums of named losses and the steps that they come from.
struct LossPartSums {
    private var sums: [(name: String, sum: Double, steps: Int)] = []

    init() {}

    /// The mean of each over the steps that had it, in the order of their first appearance.
    var means: [(name: String, mean: Double)] { sums.map { ($0.name, $0.sum / Double(max(1, $0.steps))) } }

    /// Adds a step's shares, which have the same names on every rank. Collective, unless there are none.
    mutating func add(_ parts: [(name: String, value: Double)], among ensemble: any Ensemble) throws {
        if parts.isEmpty { return }
        var values = parts.map(\.value)
        try values.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
        for (part, value) in zip(parts, values) {
            if let place = sums.firstIndex(where: { $0.name == part.name }) {
                sums[place].sum += value
                sums[place].steps += 1
            } else {
                sums.append((part.name, value, 1))
            }
        }
    }

    /// As a checkpoint keeps them.
    var json: JSONValue {
        .array(sums.map { .array([.string($0.name), .number($0.sum), .integer(Int64($0.steps))]) })
    }

    /// Reads what `json` wrote; nothing where there is none.
    init(_ json: JSONValue?) {
        for item in json?.array ?? [] {
            guard let item = item.array, item.count == 3, let name = item[0].string, let sum = item[1].double,
                let steps = item[2].int
            else { continue }
            sums.append((name, sum, steps))
        }
    }
}
