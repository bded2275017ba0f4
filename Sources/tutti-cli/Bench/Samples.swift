// Repeated measurements of one quantity: median and spread.

import TuttiFormats
import TuttiGround
import TuttiTraining

/// Measurements of one quantity.
struct Samples {
    private(set) var values: [Double] = []

    mutating func add(_ value: Double) { values.append(value) }

    /// The median: for an even count, the mean of the two middle values; 0 without values.
    var median: Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    var minimum: Double { values.min() ?? 0 }
    var maximum: Double { values.max() ?? 0 }

    /// The values mapped by `transform`.
    func map(_ transform: (Double) -> Double) -> Samples { Samples(values: values.map(transform)) }
}

/// Measures the seconds of a call.
struct Stopwatch {
    /// Seconds of one call of `body`.
    static func seconds(_ body: () throws -> Void) rethrows -> Double {
        let started = PhaseClock.now()
        try body()
        return max(PhaseClock.now() - started, 1e-9)
    }

    /// How many calls of `body` take at least `least` seconds; calls `body` at least twice, which also warms it up.
    static func calls(lasting least: Double, _ body: () throws -> Void) rethrows -> Int {
        try body()
        let one = try seconds(body)
        return max(1, Int((least / one).rounded(.up)))
    }
}

extension JSONObject {
    /// Sets `key` to the median, `key`_min and `key`_max to the minimum and maximum.
    mutating func set(_ key: String, _ samples: Samples) {
        self[key] = .number(samples.median)
        self[key + "_min"] = .number(samples.minimum)
        self[key + "_max"] = .number(samples.maximum)
    }

    /// Sets `key` to an integer.
    mutating func set(_ key: String, _ number: Int) { self[key] = .integer(Int64(number)) }
}
