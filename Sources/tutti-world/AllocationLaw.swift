// Law: a step allocates nothing once the largest batch has been seen.
//
// Counted on the training thread, from the end of one step to the end of the next: more than from zeroing the gradients
// to the update. MPI and the preparation of batches run on their own threads and are not counted, nor are allocations
// inside BLAS. The first step of an epoch plans it and is excluded.

import CAllocationCounter
import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiReports
import TuttiTraining

let allocationLaws: [Law] =
    ["bert-sgd", "mpnet-sgd"].map { name in
        Law(name: "\(name): no allocation in a step once the largest batch was seen") { ensemble, findings in
            try countAllocations(TinyTraining(name), ensemble, findings)
        }
    } + [
        Law(name: "a Router: no allocation in a step once the largest batch was seen") { ensemble, findings in
            try countAllocations(TinyTraining.routed(), ensemble, findings)
        },
        Law(name: "bert-sgd: nor in one on nodes of two ranks", fewestRanks: 3, needsNode: true) { ensemble, findings in
            try countAllocations(TinyTraining("bert-sgd"), AlteredEnsemble(ensemble, .pairsOfRanks), findings)
        },
    ]

private func countAllocations(_ given: TinyTraining, _ ensemble: any Ensemble, _ findings: Findings) throws {
    let counter = AllocationCounter()
    var training = given
    training.sampler = SequentialBatchSampler()
    let output = try ensemble.broadcast(temporaryFolder("allocations"))
    defer { if ensemble.isRoot { removeQuietly(output) } }
    _ = try training.run(ensemble, output: output, seed: 42, logs: false, report: counter)
    // Rank zero sees every step; the first epoch contains the largest batch.
    guard ensemble.isRoot else { return }
    findings.require(counter.counts.count >= 8, "only \(counter.counts.count) steps were seen")
    let late = counter.counts.enumerated().dropFirst(8).filter { $0.offset % training.stepsOfEpoch != 0 }
    findings.require(late.allSatisfy { $0.element == 0 }, "allocations per step: \(counter.counts)")
    let control = AllocationCounter.allocations { _ = [Int](repeating: 1, count: 100).map { $0 + 1 } }
    findings.require(control > 0, "the counter counts nothing")
}

/// Reads the counter at the end of each step.
private final class AllocationCounter: Report {
    private(set) var counts: [UInt64] = []
    private var last: UInt64 = 0

    init() { counts.reserveCapacity(1000) }

    func began(_ run: ReportedRun) {
        tutti_count_allocations(1)
        last = tutti_allocation_count()
    }

    func stepped(_ progress: StepProgress) {
        let now = tutti_allocation_count()
        counts.append(now - last)
        last = now
        if progress.step == progress.totalSteps { tutti_count_allocations(0) }
    }

    /// Allocations of `body` on this thread.
    @inline(never)
    static func allocations(_ body: () -> Void) -> UInt64 {
        tutti_count_allocations(1)
        let before = tutti_allocation_count()
        body()
        let after = tutti_allocation_count()
        tutti_count_allocations(0)
        return after - before
    }
}
