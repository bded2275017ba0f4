// LogicalShards: a step whose bits do not depend on the number of ranks (args.deterministic: world_size).
//
// A global batch is cut into a fixed number of logical shards, whatever the number of ranks. A shard is encoded by itself,
// always in the same pieces, so that its products have the same shapes and its gradient the same bits wherever it is
// computed. All gradients are added along one binary tree over the shards: a rank adds those of its own shards, and the
// ranks, which have equal powers of two of them, continue the same tree (SharedNode, Streams). The loss is evaluated on
// the whole global batch by every rank alike, so that no sum in it depends on the dealing either.
//
// The cost: every text is encoded twice (as with chunks), every rank evaluates the whole loss, and a rank keeps a gradient
// arena for each of its shards.
//
// Reference: Li et al. 2022, "EasyScale" (arXiv 2208.14228), for the idea of logical workers.
//
// Legend: b rows on this rank, N rows of the global batch, C text columns, L layers looked at, D width.

import TuttiEncoders
import TuttiEnsemble
import TuttiKernels
import TuttiObjectives

/// The logical shards of this rank, and the sum of their gradients.
final class LogicalShards {
    private let ensemble: any Ensemble
    private let count: Int
    private let own: Range<Int>
    private let parameters: ParameterStore
    private let leaves: [UnsafeMutablePointer<Float>]  // [own shards][floats of the model]
    private let sources: [UnsafePointer<Float>]  // the same
    private var arena = Arena()

    /// - Parameter count: shards of all ranks together; a multiple of the ranks.
    init(count: Int, parameters: ParameterStore, ensemble: any Ensemble) {
        (self.count, self.parameters, self.ensemble) = (count, parameters, ensemble)
        let perRank = count / ensemble.size
        own = ensemble.rank * perRank..<(ensemble.rank + 1) * perRank
        var arena = Arena()
        leaves = (0..<perRank).map { _ in arena.zeros(parameters.layout.modelCount) }
        sources = leaves.map { UnsafePointer($0) }
        swap(&self.arena, &arena)
    }

    // ---- texts -----------------------------------------------------------------------------------------------------

    /// The sequences of each shard of this rank, column by column, in a batch of `columns` columns of the rank's rows.
    func pieces(of globalRows: Int, columns: Int) -> [[Range<Int>]] {
        let first = own.lowerBound * globalRows / count
        let rows = own.upperBound * globalRows / count - first
        return own.map { shard in
            let start = shard * globalRows / count - first
            let end = (shard + 1) * globalRows / count - first
            return (0..<columns).map { $0 * rows + start..<$0 * rows + end }.filter { !$0.isEmpty }
        }
    }

    // ---- loss ------------------------------------------------------------------------------------------------------

    /// Evaluates the loss on the global batch and hands out this rank's part of the gradients of embeddings. The value is
    /// rank zero's, others return 0. Collective.
    ///
    /// - Parameters:
    ///   - globalRows: rows of the global batch.
    ///   - gradients: those of the rank's own rows.
    ///   - memory: for the global batch.
    func evaluate(
        _ loss: any Loss, _ batch: LossBatch, globalRows: Int, gradients: LossGradients, in context: LossContext,
        memory: inout Arena
    ) throws -> Double {
        let ranks = context.ensemble
        var context = context
        context.ensemble = LocalEnsemble.single()
        var whole = LossBatch(
            embeddings: try gather(
                batch.embeddings, blocks: batch.layers * batch.columns, globalRows: globalRows, among: ranks, &memory),
            rows: globalRows, columns: batch.columns, layers: batch.layers)
        whole.textColumns = batch.textColumns
        whole.layerNumbers = batch.layerNumbers
        for (role, matrix) in batch.others.sorted(by: { "\($0.key)" < "\($1.key)" }) {
            let columns = try ensemble.gatherCounts(batch.rows > 0 ? matrix.rows / batch.rows : 0).max() ?? 0
            whole.others[role] = try gather(matrix, blocks: columns, globalRows: globalRows, among: ranks, &memory)
        }
        let labels: [Float] = try gather(
            batch.labels, blocks: 1, width: batch.labelWidth, globalRows: globalRows, among: ranks)
        let keys: [UInt64] = try gather(
            batch.textKeys, blocks: batch.textColumns, width: 1, globalRows: globalRows, among: ranks)
        let whenWhole = LossGradients(
            embeddings: memory.matrix(whole.embeddings.rows, whole.embeddings.columns))
        let value = try labels.withUnsafeBufferPointer { labels in
            try keys.withUnsafeBufferPointer { keys in
                if !labels.isEmpty { (whole.labels, whole.labelWidth) = (labels, batch.labelWidth) }
                if !keys.isEmpty { whole.textKeys = keys }
                return try loss.evaluate(whole, gradients: whenWhole, in: context)
            }
        }
        let first = own.lowerBound * globalRows / count
        for block in 0..<batch.layers * batch.columns {
            gradients.embeddings.rows(block * batch.rows..<(block + 1) * batch.rows)
                .copy(
                    from: whenWhole.embeddings.rows(
                        block * globalRows + first..<block * globalRows + first + batch.rows))
        }
        if ensemble.isRoot { return value }
        // Every rank has the whole gradient of the loss's own parameters: one contributes it.
        UnsafeMutableBufferPointer(rebasing: parameters.gradients[parameters.layout.lossRange]).update(repeating: 0)
        return 0
    }

    // ---- gradients -------------------------------------------------------------------------------------------------

    /// Adds the model's gradient, which a shard's backward pass has left, to the shard's sum over micro-batches, and clears
    /// it. The marks of touched rows stay.
    func take(shard: Int) {
        guard let gradient = parameters.gradients.baseAddress else { return }
        let leaf = leaves[shard]
        let both = [UnsafePointer(leaf), UnsafePointer(gradient)]
        parameters.touched.collect()
        Parallel.forRange(parameters.layout.modelCount, grain: OptimizerKernels.chunk) { range in
            parameters.touched.forEachStretch(in: range) { stretch in
                OptimizerKernels.sum(both, over: stretch, into: leaf)
                (gradient + stretch.lowerBound).update(repeating: 0, count: stretch.count)
            }
        }
    }

    /// Makes the model's gradient the sum over this rank's shards and clears the sums.
    func complete() {
        guard let gradient = parameters.gradients.baseAddress else { return }
        Parallel.forRange(parameters.layout.modelCount, grain: OptimizerKernels.chunk) { range in
            parameters.touched.forEachStretch(in: range) { stretch in
                OptimizerKernels.sumTree(sources, over: stretch, into: gradient)
                for leaf in leaves { (leaf + stretch.lowerBound).update(repeating: 0, count: stretch.count) }
            }
        }
    }

    // ---- gathering -------------------------------------------------------------------------------------------------

    /// The rows of all ranks, block by block: [blocks * b, D] of every rank becomes [blocks * N, D].
    private func gather(
        _ own: Matrix, blocks: Int, globalRows: Int, among ranks: any Ensemble, _ memory: inout Arena
    ) throws -> Matrix {
        let width = own.columns
        let all = memory.matrix(blocks * globalRows, width)
        let values: [Float] = try gather(
            UnsafeBufferPointer(start: UnsafePointer(own.pointer), count: own.rows * width),
            blocks: blocks, width: width, globalRows: globalRows, among: ranks)
        values.withUnsafeBufferPointer { values in
            if let base = values.baseAddress { all.pointer.update(from: base, count: values.count) }
        }
        return all
    }

    private func gather<Element: BitwiseCopyable & ExpressibleByIntegerLiteral>(
        _ own: UnsafeBufferPointer<Element>?, blocks: Int, width: Int, globalRows: Int, among ranks: any Ensemble
    ) throws -> [Element] {
        let has = own.map { !$0.isEmpty } ?? false
        guard try ensemble.agree(code: has ? 1 : 0) == 1 else { return [] }
        let size = MemoryLayout<Element>.stride
        let perRow = blocks * width
        let bounds = (0...ensemble.size).map { $0 * globalRows / ensemble.size }
        let counts = (0..<ensemble.size).map { (bounds[$0 + 1] - bounds[$0]) * perRow * size }
        var byRank = [Element](repeating: 0, count: globalRows * perRow)
        try byRank.withUnsafeMutableBytes { all in
            try counts.withUnsafeBufferPointer { counts in
                try ranks.allGather(
                    UnsafeRawBufferPointer(own ?? UnsafeBufferPointer(start: nil, count: 0)), counts: counts, into: all)
            }
        }
        if ensemble.size == 1 { return byRank }
        var byBlock = byRank
        for rank in 0..<ensemble.size {
            let rows = bounds[rank + 1] - bounds[rank]
            for block in 0..<blocks {
                let from = bounds[rank] * perRow + block * rows * width
                let to = (block * globalRows + bounds[rank]) * width
                byBlock.replaceSubrange(to..<to + rows * width, with: byRank[from..<from + rows * width])
            }
        }
        return byBlock
    }
}
