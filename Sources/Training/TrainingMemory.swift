// Where the arenas of a run lie, and which part of them this rank sums and updates.
//
// Ranks of one node share memory: ONE copy of the values and of the optimizer's state, and a gradient arena for each
// rank that all can read. Each rank then sums over ranks and updates only its shard, and nothing has to be copied
// anywhere. Ranks of several nodes keep all of it to themselves and exchange messages; their shard is everything.
//
// A shard is made of whole chunks of 64 K floats, dealt like cards: chunk c belongs to rank c mod W. Dense layers cost
// more than the word table with its untouched rows, and every rank gets its share of both.
//
// Who may write when, with shared memory: a rank reads values from the start of a step to the end of its backward
// pass, and between steps (evaluation, saving). Values and state are written only between the second and the third
// meeting of a step (Reducer.swift), which every rank enters with its backward pass done and leaves when all shards
// are written; and by rank zero while the others wait (loading a checkpoint). Gradients and marks are written by their
// own rank only, and read by the others only between the first and the second meeting.

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels

/// Values, gradients and optimizer state of a run. Empty until `allocate`.
final class TrainingMemory {
    let parameters: ParameterStore
    /// Whether the ranks share memory.
    private(set) var isShared = false
    /// What the optimizer remembers.
    private(set) var state: OptimizerState
    /// The chunks of the arena that this rank sums and updates, ascending.
    private(set) var shard: [Range<Int>] = []
    /// The update runs of this rank's shard.
    private(set) var runs: [UpdateRun]
    /// The sum of squares of every chunk, `[chunks]`.
    private(set) var squares = UnsafeMutableBufferPointer<Double>(start: nil, count: 0)
    /// With shared memory: the gradient arena and the marked rows of every rank, in the order of ranks.
    private(set) var gradientsOfRanks: [UnsafePointer<Float>] = []
    private(set) var marksOfRanks: [UnsafeMutableBufferPointer<Float>] = []
    /// Whether this rank is to write values and state where all ranks would write the same: one for shared memory.
    private(set) var isWriter = true
    private var arena = Arena()

    /// Memory for `parameters`, `runs` of which are updated, and for the state that an optimizer names.
    init(_ parameters: ParameterStore, runs: [UpdateRun], stateNames: [String]) {
        self.parameters = parameters
        self.runs = runs
        state = OptimizerState(names: stateNames)
    }

    /// Takes the memory, shared if the ranks can; the model's values, equal on all ranks, move with it. A second call
    /// does nothing. Collective.
    ///
    /// - Returns: why ranks of one node keep private memory, or "" if they share it or need not.
    func allocate(among ensemble: any Ensemble) throws -> String {
        guard squares.isEmpty else { return "" }
        let count = parameters.layout.count
        let chunks = (count + OptimizerKernels.chunk - 1) / OptimizerKernels.chunk
        var obstacle = ""
        if ensemble.sharesNode {
            let marks = parameters.touched.marks.count
            let arenas = 1 + state.names.count + ensemble.size
            let regions =
                Array(repeating: count * 4, count: arenas) + Array(repeating: marks * 4, count: ensemble.size)
                + [chunks * 8]
            let answer = try NodeMemory.share(regions: regions, among: ensemble)
            obstacle = answer.obstacle
            if let memory = answer.memory { try move(to: memory, chunks: chunks, ensemble) }
        }
        if !isShared {
            parameters.allocateGradients()
            state.arenas = state.names.map { _ in
                UnsafeMutableBufferPointer(start: arena.zeros(count), count: count)
            }
            squares = UnsafeMutableBufferPointer(start: arena.doubles(chunks), count: chunks)
        }
        let (first, step) = isShared ? (ensemble.rank, ensemble.size) : (0, 1)
        shard = stride(from: first, to: chunks, by: step).map { chunk in
            let start = chunk * OptimizerKernels.chunk
            return start..<min(start + OptimizerKernels.chunk, count)
        }
        runs = shard.flatMap { chunk in
            runs.filter { $0.range.overlaps(chunk) }.map { run in
                var part = run
                part.range = run.range.clamped(to: chunk)
                return part
            }
        }
        return obstacle
    }

    /// Lays everything into `memory`, in the same order on every rank; rank zero brings the values. Collective.
    private func move(to memory: NodeMemory, chunks: Int, _ ensemble: any Ensemble) throws {
        let count = parameters.layout.count
        let values = memory.take(Float.self, count)
        state.arenas = state.names.map { _ in memory.take(Float.self, count) }
        let gradients = (0..<ensemble.size).map { _ in memory.take(Float.self, count) }
        marksOfRanks = (0..<ensemble.size).map { _ in memory.take(Float.self, parameters.touched.marks.count) }
        squares = memory.take(Double.self, chunks)
        gradientsOfRanks = gradients.compactMap { UnsafePointer($0.baseAddress) }
        if ensemble.isRoot { _ = values.update(fromContentsOf: parameters.values) }
        try ensemble.barrier()
        // Written by its own rank first: a node of several memories keeps it near.
        gradients[ensemble.rank].update(repeating: 0)
        parameters.move(
            values: values, gradients: gradients[ensemble.rank], marks: marksOfRanks[ensemble.rank], owner: memory)
        isShared = true
        isWriter = ensemble.isRoot
    }
}
