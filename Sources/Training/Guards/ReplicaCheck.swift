// ReplicaCheck: whether the ranks still hold the same weights.
//
// Every rank updates its own copy with the same summed gradient, so copies are equal to the bit for ever, unless a memory
// cell, a processor or a network card errs: then each rank trains a model of its own, and nothing else tells. So the copies are
// fingerprinted every `replica_check_steps` steps and before each checkpoint, and the rank that differs from the majority
// is named. Where ranks keep one copy together (one per node) it is compared with those of other nodes.
//
// Reference: Megatron-LM, --check-weight-hash-across-dp-replicas-interval.

import TuttiEncoders
import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// Compares the copies of the weights, and of the optimizer's state where every memory keeps all of it.
package final class ReplicaCheck {
    private let memory: TrainingMemory
    private let ensemble: any Ensemble
    /// Steps between two checks; 0 = there are none.
    private let interval: Int
    private var checkedStep = 0
    private var chunks: [UInt64] = []

    init(_ memory: TrainingMemory, interval: Int, ensemble: any Ensemble) {
        (self.memory, self.ensemble) = (memory, ensemble)
        self.interval = ensemble.size > 1 ? interval : 0
    }

    /// Compares them if `step` is one of every `replica_check_steps`. Collective.
    func afterStep(_ step: Int) throws {
        if interval > 0, step % interval == 0 { try check(step) }
    }

    /// Compares them before the weights of `step` are written. Collective.
    func beforeSaving(_ step: Int) throws {
        if interval > 0, step > 0, step != checkedStep { try check(step) }
    }

    /// - Throws: a retryable error on every rank that names the ranks whose copies differ.
    private func check(_ step: Int) throws {
        let own = memory.isWriter ? Int(bitPattern: UInt(ownFingerprint())) : 0
        let answers = try ensemble.gatherCounts(own)
        let holders = answers.indices.filter { answers[$0] != 0 }
        let odd = ReplicaCheck.odd(holders.map { answers[$0] })
        if odd.isEmpty {
            checkedStep = step
            return
        }
        var error = TuttiError(
            .retryable, "compare the replicas", "step \(step)", "",
            hint: "A host's memory, processor or network erred; the same command resumes from the last checkpoint.")
        error.isShared = true
        let names = odd.map { ensemble.name(of: holders[$0]) }.joined(separator: ", ")
        let tensor = try firstDifference(among: holders)
        if odd.count == holders.count {
            error.problem =
                "\(names) hold different weights, and no majority agrees; the first difference is in \(tensor)"
        } else {
            let verb = odd.count == 1 ? "holds" : "hold"
            error.problem =
                "\(names) \(verb) other weights than the \(holders.count - odd.count) others; the first difference is in "
                + tensor
        }
        throw error
    }

    /// The places of what differs from the majority; of everything where there is no majority.
    package static func odd<Value: Hashable>(_ values: [Value]) -> [Int] {
        let counts = values.reduce(into: [Value: Int]()) { $0[$1, default: 0] += 1 }
        guard counts.count > 1 else { return [] }
        let most = counts.first { 2 * $0.value > values.count }?.key
        return values.indices.filter { values[$0] != most }
    }

    // MARK: Fingerprints

    /// A number that is not zero, of everything this rank keeps of its own.
    private func ownFingerprint() -> UInt64 {
        let arenas = [memory.parameters.values] + (keepsWholeState ? memory.state.arenas.map(\.floats) : [])
        let counts = arenas.map { ($0.count + OptimizerKernels.chunk - 1) / OptimizerKernels.chunk }
        let total = counts.reduce(0, +)
        if chunks.count != total { chunks = [UInt64](repeating: 0, count: total) }
        var first = 0
        for (arena, count) in zip(arenas, counts) {
            chunks.withUnsafeMutableBufferPointer { all in
                let into = UnsafeMutableBufferPointer(rebasing: all[first..<first + count])
                Parallel.forRange(count, grain: 1) { places in
                    for place in places {
                        let start = place * OptimizerKernels.chunk
                        let range = start..<min(start + OptimizerKernels.chunk, arena.count)
                        into[place] = fingerprint(
                            UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: arena[range])))
                    }
                }
            }
            first += count
        }
        return max(1, chunks.withUnsafeBytes { fingerprint($0) })
    }

    /// Whether this rank's memory has the state of all parameters, as every memory has then.
    private var keepsWholeState: Bool { !memory.state.isSharded }

    /// The name of the first tensor in which the copies of `holders` differ. Collective.
    private func firstDifference(among holders: [Int]) throws -> String {
        var tensors: [(name: String, values: UnsafeMutableBufferPointer<Float>)] = []
        for entry in memory.parameters.layout.entries {
            tensors.append((entry.name, memory.parameters.values(of: entry)))
        }
        for (name, arena) in zip(memory.state.names, keepsWholeState ? memory.state.arenas : []) {
            for entry in memory.parameters.layout.entries {
                tensors.append(("\(name).\(entry.name)", arena[entry.elements]))
            }
        }
        let own = tensors.map { fingerprint(UnsafeRawBufferPointer($0.values)) }
        let all = try ensemble.gather(own.withUnsafeBytes { Array($0) })
        let width = MemoryLayout<UInt64>.size
        let place = tensors.indices.first { place in
            Set(holders.map { all[$0][(place * width)..<((place + 1) * width)] }).count > 1
        }
        return place.map { tensors[$0].name } ?? "the padding between tensors"
    }
}
