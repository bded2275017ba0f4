// The timing of one collective at one size.

import Foundation
import TuttiEnsemble

/// Buffers for collectives of up to a size, and their timing.
final class CollectiveBench {
    /// What is measured.
    enum Operation: String, CaseIterable {
        case barrier
        case allReduce = "all_reduce"
        case reduceScatter = "reduce_scatter"
        case allGather = "all_gather"
        case broadcast

        /// busbw / algbw, as nccl-tests defines it.
        func busFactor(ranks: Int) -> Double {
            let others = Double(ranks - 1) / Double(ranks)
            switch self {
            case .allReduce: return 2 * others
            case .reduceScatter, .allGather: return others
            case .barrier, .broadcast: return 1
            }
        }
    }

    /// Bytes of one memcpy: far larger than any cache.
    let copyBytes = 128 << 20
    private let ensemble: any Ensemble
    private let values: UnsafeMutableBufferPointer<Float>
    private let received: UnsafeMutableBufferPointer<Float>

    /// - Parameter largest: bytes of the largest vector.
    init(ensemble: any Ensemble, largest: Int) {
        self.ensemble = ensemble
        let count = max(largest, copyBytes) / MemoryLayout<Float>.stride
        values = .allocate(capacity: count)
        received = .allocate(capacity: count)
        values.initialize(repeating: 0)  // sums of zeros stay zero
        received.initialize(repeating: 0)
    }

    deinit {
        values.deallocate()
        received.deallocate()
    }

    /// Seconds of one call, the slowest rank's, `repetitions` times. Collective.
    func measure(_ operation: Operation, bytes: Int, repetitions: Int) throws -> Samples {
        let count = bytes / MemoryLayout<Float>.stride
        try call(operation, count)  // connections and pages
        try ensemble.barrier()
        let one = try ensemble.maxima([try Stopwatch.seconds { try call(operation, count) }])[0]
        let calls = max(1, min(200, Int(0.01 / one)))
        var samples = Samples()
        for _ in 0..<repetitions {
            try ensemble.barrier()
            let seconds = try Stopwatch.seconds { for _ in 0..<calls { try call(operation, count) } }
            samples.add(try ensemble.maxima([seconds / Double(calls)])[0])
        }
        return samples
    }

    /// memcpy bandwidth in bytes per second while every rank copies; the slowest rank's. Collective.
    func copyBandwidth() throws -> Double {
        guard let source = values.baseAddress, let target = received.baseAddress else { return 0 }
        try ensemble.barrier()
        let seconds = Stopwatch.seconds { memcpy(target, source, copyBytes) }
        return Double(copyBytes) / (try ensemble.maxima([seconds])[0])
    }

    private func call(_ operation: Operation, _ count: Int) throws {
        let whole = UnsafeMutableBufferPointer(rebasing: values[0..<count])
        let (rank, ranks) = (ensemble.rank, ensemble.size)
        // Each rank's share, equal up to the remainder.
        func share(_ other: Int) -> Int { count * (other + 1) / ranks - count * other / ranks }
        switch operation {
        case .barrier: try ensemble.barrier()
        case .allReduce: try ensemble.allReduceSum(whole)
        case .broadcast: try ensemble.broadcast(UnsafeMutableRawBufferPointer(whole), root: 0)
        case .reduceScatter:
            try (0..<ranks).map(share).withUnsafeBufferPointer { counts in
                try ensemble.reduceScatterSum(
                    UnsafeBufferPointer(whole), counts: counts,
                    into: UnsafeMutableBufferPointer(rebasing: received[0..<share(rank)]))
            }
        case .allGather:
            let width = MemoryLayout<Float>.stride
            let all = UnsafeMutableRawBufferPointer(received)
            try (0..<ranks).map { share($0) * width }.withUnsafeBufferPointer { counts in
                try ensemble.allGather(
                    UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: values[0..<share(rank)])),
                    counts: counts, into: UnsafeMutableRawBufferPointer(rebasing: all[0..<count * width]))
            }
        }
    }
}
