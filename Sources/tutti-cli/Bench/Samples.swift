// Repeated measurements of one thing: the median and how far they spread.

import TuttiFormats
import TuttiGround
import TuttiTraining

/// Measurements of one quantity.
struct Samples {
    private(set) var values: [Double] = []

    mutating func add(_ value: Double) { values.append(value) }

    /// The middle value, the mean of the two middle ones of an even number; 0 without values.
    var median: Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    var minimum: Double { values.min() ?? 0 }
    var maximum: Double { values.max() ?? 0 }

    /// What `transform` makes of each value.
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

    /// How many calls of `body` last at least `least` seconds; `body` is called at least twice, which also warms it up.
    static func calls(lasting least: Double, _ body: () throws -> Void) rethrows -> Int {
        try body()
        let one = try seconds(body)
        return max(1, Int((least / one).rounded(.up)))
    }
}

extension JSONObject {
    /// Sets `key` to the median, `key`_min and `key`_max to the ends of the spread.
    mutating func set(_ key: String, _ samples: Samples) {
        self[key] = .number(samples.median)
        self[key + "_min"] = .number(samples.minimum)
        self[key + "_max"] = .number(samples.maximum)
    }

    /// Sets `key` to a whole number.
    mutating func set(_ key: String, _ number: Int) { self[key] = .integer(Int64(number)) }
}
