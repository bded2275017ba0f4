// The section `sweep` of a configuration: which keys are tried with which values, and by what the trials are judged.
//
//   sweep:
//     strategy: random
//     trials: 12
//     parameters:
//       args.learning_rate: {min: 1.0e-5, max: 1.0e-4, log: true}
//       loss.scale: [10, 20, 30]
//
// Reference: hyperparameter_search of transformers, with its objective and direction. Successive halving: Jamieson and
// Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016.

import TuttiGround

/// How trials are chosen.
package enum SweepStrategy: String, Sendable, CaseIterable, OptionChoice {
    /// Every combination of values.
    case grid
    /// Random draws.
    case random
    /// Random draws trained shortly; the best of them longer, and so on.
    case halving
}

/// A search of hyper-parameters.
package struct SweepSettings: DescribedSettings {
    package var strategy = SweepStrategy.random
    package var trials = 10
    /// The metric that judges; nil for the run's `metric_for_best_model`.
    package var metric: String?
    package var greaterIsBetter: Bool?
    package var seed: UInt64 = 42
    package var reduction = 3
    package var parameters: [SweepParameter] = []

    package init() {}

    /// The section's key at the top level of a configuration.
    package static let key = "sweep"

    /// Reads the section of a configuration.
    ///
    /// - Throws: a usage error with the key's place.
    package init(_ root: JSONObject, places: ConfigurationPlaces) throws(TuttiError) {
        self.init()
        guard let object = root[Self.key]?.object else {
            throw places.error(
                Self.key, "is missing", hint: "sweep: {parameters: {args.learning_rate: [1.0e-5, 2.0e-5]}}")
        }
        do throws(OptionProblem) {
            try Self.options.checkKeys(of: object)
        } catch {
            throw places.error("\(Self.key).\(error.path)", error.problem, hint: error.hint)
        }
        try Self.options.read(object, into: &self) { path, problem, hint in
            places.error("\(Self.key).\(path)", problem, hint: hint)
        }
    }

    package static let options = OptionList<SweepSettings>([
        Option(
            "parameters", words: "a mapping of keys to values", "the keys that are tried, dotted: args.learning_rate",
            isRequired: true,
            read: { (json, settings) throws(OptionProblem) in
                guard let object = json.object, !object.isEmpty else {
                    throw .expected("a mapping (args.learning_rate: [...])", found: json)
                }
                settings.parameters = []
                for (key, value) in object { settings.parameters.append(try SweepParameter(key, value)) }
            },
            write: { settings in
                var object = JSONObject()
                for parameter in settings.parameters { object[parameter.key] = parameter.json }
                return .object(object)
            }),
        Option(
            "strategy", \.strategy,
            "grid: every combination; random: draws; halving: draws, of which the best go on with more steps"),
        Option("trials", \.trials, "draws of random and halving", check: .atLeast(1)),
        Option("metric", \.metric, "what judges a trial, as in metric_for_best_model, which it is by default"),
        Option(
            "greater_is_better", \.greaterIsBetter, "whether more of it is better; unless its name ends in loss"),
        Option("seed", \.seed, "seed of the draws"),
        Option(
            "reduction", \.reduction, "of halving: one trial of so many goes on, with so many times the steps",
            check: .atLeast(2)),
    ])
}

/// One key with the values that it is tried with.
package struct SweepParameter: Sendable, Equatable {
    /// The values of a parameter.
    package enum Values: Sendable, Equatable {
        case list([JSONValue])
        case range(ClosedRange<Double>, isLogarithmic: Bool, isInteger: Bool)
    }

    /// The key of the configuration, dotted.
    package let key: String
    package let values: Values

    init(_ key: String, _ json: JSONValue) throws(OptionProblem) {
        self.key = key
        if let list = json.array, !list.isEmpty {
            values = .list(list)
            return
        }
        guard let object = json.object else {
            throw .expected("a list of values, or {min: ..., max: ...}", found: json, at: key)
        }
        var range = Range()
        do throws(OptionProblem) {
            try Range.options.checkKeys(of: object)
            try Range.options.read(object, into: &range)
        } catch {
            throw error.inside(key)
        }
        guard range.minimum < range.maximum, !range.isLogarithmic || range.minimum > 0 else {
            throw OptionProblem(
                "min \(range.minimum) and max \(range.maximum) are no range\(range.isLogarithmic ? " for log" : "")",
                hint: "min must be below max, and above 0 with log: true.", at: key)
        }
        values = .range(
            range.minimum...range.maximum, isLogarithmic: range.isLogarithmic, isInteger: range.isInteger)
    }

    /// The keys of a range, in words.
    package static var rangeOptions: [OptionDescription] { Range.descriptions }

    private struct Range: DescribedSettings {
        var minimum = 0.0
        var maximum = 0.0
        var isLogarithmic = false
        var isInteger = false

        static let options = OptionList<Range>([
            Option("min", \.minimum, "the least value", isRequired: true),
            Option("max", \.maximum, "the greatest value", isRequired: true),
            Option("log", \.isLogarithmic, "whether each power of ten is as likely as any other"),
            Option("integer", \.isInteger, "whether values are whole numbers"),
        ])
    }

    /// The values as written in a configuration.
    var json: JSONValue {
        switch values {
        case .list(let list): .array(list)
        case .range(let range, let isLogarithmic, let isInteger):
            .object([
                "min": .number(range.lowerBound), "max": .number(range.upperBound), "log": .bool(isLogarithmic),
                "integer": .bool(isInteger),
            ])
        }
    }
}
