// `auto_find_batch_size`: the largest batch that the memory of all ranks holds, at most the one that is asked for.
//
// First by estimate: nine tenths of the rows, and again, until what the run takes fits a rank's share of the memory that is
// free within control groups. Then for real: before the first step every rank takes that much memory and writes to all of
// it, at the same time; where one gets none, all give it back and begin again with nine tenths. Every rank comes to the same
// size. It is kept with the run (KeptBatch.swift) and binds its resumptions.
//
// What the estimate has missed, Linux tells nobody: it kills. So the number of such kills is kept too, and a start that finds
// more of them, and no checkpoint, begins from step 0 with nine tenths.
//
// Reference: accelerate's find_executable_batch_size, which takes int(0.9 x) after each failure, down to an error at 0.

import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// How the rows of a run's batches were found.
struct FoundBatch: Codable, Equatable, Sendable {
    /// Rows on a rank that the arguments ask for.
    var asked: Int
    /// Rows on a rank that the memory holds.
    var found: Int
    /// Processes of the run's machines that the kernel had killed for want of memory until then.
    var kills: Int
}

/// Looks for a batch size that fits.
struct BatchSizeSearch {
    /// Of a rank's share of the free memory, what stays for everything that is not estimated.
    private static let spare = 8

    private let arguments: TrainingArguments
    private let datasets: [TrainingDataset]
    private let batches: [BatchMemory]
    /// Bytes of gradients, optimizer state and the like, which do not depend on the batch.
    private let fixedBytes: Int
    private let machine: MachineMemory
    private let ensemble: any Ensemble
    /// Megabytes that are free on this rank's machine, and its ranks; nil where the system does not say.
    private let free: Int?
    private let sharers: Int

    /// Measures what batches of the run take. Collective.
    ///
    /// - Throws: what reading a sample of the data throws.
    init(
        _ inputs: TrainingInputs, objectives: [Objective], _ source: RankBatches, ensemble: any Ensemble
    ) throws {
        (arguments, datasets, machine) = (inputs.arguments, inputs.trainDatasets, inputs.machineMemory)
        self.ensemble = ensemble
        let nodes = try ensemble.gatherCounts(ensemble.node)
        let sharers = nodes.count { $0 == ensemble.node }
        self.sharers = sharers
        (batches, fixedBytes) = try ensemble.together("estimate the memory of a batch") {
            let batches = try inputs.trainDatasets.map { try BatchMemory($0, objectives[$0.loss], source) }
            return (batches, try Self.fixedBytes(inputs, sharers: sharers, world: ensemble.size))
        }
        let all = try ensemble.gatherCounts(inputs.machineMemory.freeMegabytes() ?? Int.max)
        let least = zip(nodes, all).filter { $0.0 == ensemble.node }.map(\.1).min() ?? .max
        free = least == .max ? nil : least
    }

    /// Processes of the run's machines that the kernel has killed for want of memory. Collective.
    static func kills(_ machine: MachineMemory, ensemble: any Ensemble) throws -> Int {
        let nodes = try ensemble.gatherCounts(ensemble.node)
        let counts = nodes.firstIndex(of: ensemble.node) == ensemble.rank
        return try ensemble.gatherCounts(counts ? machine.kills() : 0).reduce(0, +)
    }

    private static func fixedBytes(_ inputs: TrainingInputs, sharers: Int, world: Int) throws(TuttiError) -> Int {
        let arguments = inputs.arguments
        let layout = inputs.model.encoder.parameters.layout
        let arena = layout.count * MemoryLayout<Float>.stride
        let kept = try OptimizerRegistry.make(arguments).stateNames.count * arena
        // Ranks of a machine share state and values; the values are there already, but for the shared copy.
        let isShared = arguments.exchange != .messages && world > 1
        let state = isShared ? (kept + arena) / sharers : kept
        let shards = arguments.deterministic == .worldSize ? arguments.deterministicShards / max(1, world) : 0
        return arena + state + shards * layout.modelCount * MemoryLayout<Float>.stride
    }

    /// Bytes that a rank takes for a run with `rows` rows on each rank.
    func bytes(rows: Int) -> Int {
        fixedBytes + (batches.map { $0.bytes(rows: rows, world: ensemble.size) }.max() ?? 0)
    }

    /// Bytes that a rank may take; nil where the system does not say.
    private var room: Int? {
        free.map { max(0, $0) * 1_048_576 / sharers / BatchSizeSearch.spare * (BatchSizeSearch.spare - 1) }
    }

    /// The largest number of rows on a rank that fits, at most `start`, and how it was found, in words. Collective.
    ///
    /// - Throws: `.retryable` where not even one row fits, on all ranks.
    func rows(from start: Int) throws -> (rows: Int, summary: String) {
        var rows = start
        if let room { while rows > 0, bytes(rows: rows) > room { rows = rows * 9 / 10 } }
        rows = try ensemble.gatherCounts(rows).min() ?? rows
        var refusals = 0
        while rows > 0, try isRefused(rows) {
            rows = rows * 9 / 10
            refusals += 1
        }
        let least = try ensemble.gatherCounts(room ?? .max).min() ?? .max
        guard rows > 0 else {
            throw TuttiError(
                .retryable, "find a batch size", "args.auto_find_batch_size",
                "no batch fits: one row on each rank takes about \(megabytes(bytes(rows: 1)))"
                    + (least == .max ? "" : ", and a rank may take \(megabytes(least))"),
                hint: "Free memory, start fewer ranks on a machine, or set gradient_checkpointing or mini_batch_size.")
        }
        rows = suited(rows, asked: start)
        let refused =
            refusals == 0 ? "" : "; memory for more was refused \(refusals == 1 ? "once" : "\(refusals) times")"
        let may = least == .max ? "" : " of the \(megabytes(least)) that a rank may take"
        return (rows, "about \(megabytes(bytes(rows: rows)))\(may)\(refused)")
    }

    /// Whether one of the ranks, which all take at once what `rows` rows need, does not get it. Collective.
    private func isRefused(_ rows: Int) throws -> Bool {
        let memory = machine.take(bytes(rows: rows), (free ?? 0) / (2 * BatchSizeSearch.spare))
        let refusals = try ensemble.gatherCounts(memory == nil ? 1 : 0).reduce(0, +)  // until then all hold theirs
        return withExtendedLifetime(memory) { refusals > 0 }
    }

    /// `rows`, or somewhat less where the sampler cannot make batches of so many, as it can of those that were asked for.
    private func suited(_ rows: Int, asked: Int) -> Int {
        func suits(_ rows: Int) -> Bool {
            datasets.allSatisfy { dataset in
                do throws(TuttiError) {
                    try arguments.batchSampler.check(dataset.table, globalBatchSize: rows * ensemble.size)
                    return true
                } catch {
                    return false
                }
            }
        }
        guard suits(asked) else { return rows }  // and planning the run says what is wrong
        return (1...rows).reversed().first(where: suits) ?? rows
    }

    private func megabytes(_ bytes: Int) -> String { "\((bytes + 1_048_575) / 1_048_576) MB" }
}
