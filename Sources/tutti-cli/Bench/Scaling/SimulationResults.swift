// What a simulation says: the time of the run, the best interval between checkpoints beside Young's and Daly's, and what
// losing a node costs.

import Foundation
import TuttiFormats
import TuttiGround

/// Writes a simulation.
struct SimulationResults {
    let step: ExtrapolatedStep
    let simulation: ClusterSimulation

    func write(to report: BenchReport) throws {
        let settings = simulation.settings
        let intervals = simulation.intervals
        guard let best = intervals.min(by: { $0.seconds < $1.seconds }) else { return }
        try report.note(
            "\nSimulated: \(settings.steps) steps on \(settings.ranks) ranks, \(settings.nodes) nodes, "
                + "\(settings.replicas) runs, seed \(settings.seed); a checkpoint takes \(settings.checkpointSeconds) s, "
                + (settings.nodeHours > 0 ? "a node fails every \(settings.nodeHours) h" : "no node fails")
                + ", \(settings.detectSeconds) s to notice, \(settings.restartSeconds) s to restart; "
                + "\(settings.stragglerRate) of the ranks take \(settings.stragglerFactor) times as long")
        var whole = JSONObject()
        whole.set("ranks", settings.ranks)
        whole.set("nodes", settings.nodes)
        whole.set("steps", settings.steps)
        whole["seed"] = .integer(Int64(bitPattern: settings.seed))
        whole["model_step_seconds"] = .number(step.parts.step)
        whole["step_seconds"] = .number(simulation.stepSeconds / Double(settings.steps))
        whole["seconds_without_failures"] = .number(simulation.stepSeconds)
        whole["seconds"] = .number(best.seconds)
        whole["failures"] = .number(best.failures)
        whole.set("best_interval_steps", best.steps)
        let mean = settings.secondsBetweenFailures
        if mean.isFinite {
            whole["seconds_between_failures"] = .number(mean)
            for (name, seconds) in [("young", settings.young), ("daly", settings.daly)] {
                let steps = simulation.steps(lasting: seconds)
                whole[name + "_interval_seconds"] = .number(seconds)
                whole.set(name + "_interval_steps", steps)
                whole[name + "_seconds"] = .number(simulation.cost(interval: steps).seconds)
            }
            if best.failures > 0 {
                whole["steps_lost_seconds"] = .number(best.lostSeconds)
                whole["failure_seconds"] = .number(
                    best.lostSeconds + settings.detectSeconds + settings.restartSeconds)
            }
        }
        whole["overhead"] = .number(best.seconds / simulation.stepSeconds - 1)
        if report.isJSON {
            try report.add("simulation", whole)
        } else {
            try writeTable(whole, to: report)
        }
        try report.table(
            "Intervals between checkpoints",
            [
                BenchColumn("steps", "interval_steps", 10, .number(0)), BenchColumn("hours", "hours", 10, .number(3)),
                BenchColumn("failures", "failures", 9, .number(1)),
            ])
        for interval in intervals {
            var line = JSONObject()
            line.set("interval_steps", interval.steps)
            line["seconds"] = .number(interval.seconds)
            line["hours"] = .number(interval.seconds / 3600)
            line["failures"] = .number(interval.failures)
            try report.add("interval", line)
        }
    }

    private func writeTable(_ whole: JSONObject, to report: BenchReport) throws {
        try report.table(
            "Simulated run",
            [BenchColumn("quantity", "name", 34, .text), BenchColumn("value", "value", 16, .number(3))])
        for (key, value) in whole where key != "seed" {
            try report.add(
                "simulation", ["name": .string(key.replacing("_", with: " ")), "value": value])
        }
    }
}
