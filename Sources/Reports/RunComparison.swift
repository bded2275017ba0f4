// Several runs side by side: in which keys their configurations differ, and their metrics.

import TuttiFormats
import TuttiGround

/// Runs that are compared.
package struct RunComparison: Sendable {
    /// A value of every run, under one name.
    package struct Row: Sendable, Equatable {
        package let name: String
        /// One a run; nil where a run has none.
        package let values: [JSONValue?]
    }

    /// Keys in which the configurations differ, dotted.
    package let differences: [Row]
    /// The best value of every metric that an evaluation gave, and what the closing lines say.
    package let metrics: [Row]
    /// Steps done, last loss, seconds, speed.
    package let courses: [Row]

    /// Compares runs.
    package init(_ runs: [RunRecord]) {
        let flat = runs.map { Self.flattened($0.configuration) }
        differences = Self.rows(flat).filter { row in row.values.contains { $0 != row.values[0] } }
        metrics = Self.rows(runs.map(Self.best))
        courses = Self.rows(runs.map(Self.course))
    }

    /// The members of all objects under one name each, in the order of their first appearance.
    private static func rows(_ objects: [JSONObject]) -> [Row] {
        var names: [String] = []
        var seen: Set<String> = []
        for object in objects { for key in object.keys where seen.insert(key).inserted { names.append(key) } }
        return names.map { name in Row(name: name, values: objects.map { $0[name] }) }
    }

    /// The leaves of a configuration under dotted keys.
    static func flattened(_ value: JSONValue) -> JSONObject { value.leaves(separator: ".", entersArrays: true) }

    /// Members of log lines that are no metrics.
    private static let notMetrics: Set<String> = ["step", "epoch"]

    /// The best value of each metric: the least of a loss, the greatest of anything else, as the reference takes it.
    private static func best(_ run: RunRecord) -> JSONObject {
        var best = JSONObject()
        for line in run.evaluations + (run.closing.map { [$0] } ?? []) {
            for (key, value) in line where !notMetrics.contains(key) && !key.hasPrefix("train_") {
                guard let new = value.double, isPace(key) == false else { continue }
                let old = best[key]?.double
                let isBetter = old.map { largerIsBetter(key) ? new > $0 : new < $0 } ?? true
                if isBetter { best[key] = value }
            }
        }
        return best
    }

    /// Whether a member tells time or speed.
    private static func isPace(_ key: String) -> Bool { key.hasSuffix("_runtime") || key.hasSuffix("_per_second") }

    private static func course(_ run: RunRecord) -> JSONObject {
        var facts: JSONObject = ["status": .string(run.status)]
        facts["steps"] = run.closing?["step"] ?? run.training.last?["step"]
        facts["epochs"] = run.closing?["epoch"] ?? run.training.last?["epoch"]
        facts["last_loss"] = run.training.last?["loss"]
        for key in ["train_loss", "train_runtime"] { facts[key] = run.closing?[key] }
        let speeds = run.training.compactMap { $0["tokens_per_second"]?.double }.sorted()
        if !speeds.isEmpty { facts["tokens_per_second"] = .number(speeds[speeds.count / 2].rounded()) }
        return facts
    }
}
