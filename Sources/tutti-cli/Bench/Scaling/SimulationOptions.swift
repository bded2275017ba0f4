// The rates of a simulated run, as options.

import ArgumentParser
import TuttiGround

/// Options of `tutti bench scale --simulate`.
struct SimulationOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Simulate a run on this many ranks.", valueName: "ranks"))
    var simulate: Int?

    @Option(help: ArgumentHelp("Steps of the simulated run.", valueName: "n"))
    var simulatedSteps = 100_000

    @Option(help: ArgumentHelp("Rate of a node's link in the simulation, Gbit/s.", valueName: "rate"))
    var gigabits = 25.0

    @Option(help: ArgumentHelp("Probability that a rank straggles in a step.", valueName: "p"))
    var stragglerRate = 0.0

    @Option(help: ArgumentHelp("How many times as long a straggler works.", valueName: "x"))
    var stragglerFactor = 2.0

    @Option(help: ArgumentHelp("Mean hours between failures of one node; 0 = none fails.", valueName: "hours"))
    var nodeHours = 8760.0

    @Option(help: ArgumentHelp("Seconds of a checkpoint.", valueName: "s"))
    var checkpointSeconds = 5.0

    @Option(help: ArgumentHelp("Seconds until a failure is noticed.", valueName: "s"))
    var detectSeconds = 15.0

    @Option(help: ArgumentHelp("Seconds from there to the next step.", valueName: "s"))
    var restartSeconds = 60.0

    @Option(help: ArgumentHelp("Simulated runs that are averaged.", valueName: "n"))
    var replicas = 20

    @Option(help: ArgumentHelp("Seed of the simulation.", valueName: "n"))
    var seed: UInt64 = 42

    func validate() throws {
        guard simulate.map({ $0 > 0 }) ?? true else { throw ValidationError("--simulate must be positive") }
        guard simulatedSteps > 0, replicas > 0, simulatedSteps <= 100_000_000 / replicas else {
            throw ValidationError(
                "--simulated-steps and --replicas must be positive, their product at most 100000000")
        }
        guard gigabits > 0, gigabits.isFinite else { throw ValidationError("--gigabits must be positive") }
        guard (0..<1).contains(stragglerRate) else { throw ValidationError("--straggler-rate must be in 0 ..< 1") }
        guard stragglerFactor >= 1, stragglerFactor.isFinite else {
            throw ValidationError("--straggler-factor must be at least 1")
        }
        for (name, value) in [
            ("--node-hours", nodeHours), ("--detect-seconds", detectSeconds), ("--restart-seconds", restartSeconds),
        ] where !(value >= 0 && value.isFinite) {
            throw ValidationError("\(name) must not be negative")
        }
        guard checkpointSeconds > 0, checkpointSeconds.isFinite else {
            throw ValidationError("--checkpoint-seconds must be positive")
        }
    }

    /// The rates of a run on `step`'s ranks.
    func settings(_ step: ExtrapolatedStep) -> SimulationSettings {
        SimulationSettings(
            ranks: step.ranks, nodes: step.nodes, steps: simulatedSteps, stragglerRate: stragglerRate,
            stragglerFactor: stragglerFactor, nodeHours: nodeHours, checkpointSeconds: checkpointSeconds,
            detectSeconds: detectSeconds, restartSeconds: restartSeconds, replicas: replicas, seed: seed)
    }
}
