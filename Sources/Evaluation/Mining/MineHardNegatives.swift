// Mining of hard negatives as one call.

import TuttiCorpus
import TuttiEnsemble
import TuttiGround
import TuttiModels

/// Adds hard negatives to a data set of pairs: texts that `model` finds similar to an anchor and that are not its positives.
///
/// The first text column of `dataset` has the anchors, the second their positives; an anchor in several rows has several.
/// Negatives are taken from all positives and from `corpus`. The rows are written to `output`, a .csv or .jsonl file, beside
/// which OUTPUT.work keeps finished parts: a call after a killed one goes on, and one with the same arguments reads what
/// is there.
///
/// - Parameter overwrites: whether an `output` of other arguments is replaced.
/// - Returns: the rows of `output`.
/// - Throws: `.usage` for options that contradict each other, and for an `output` of other arguments; `.data` for a data set
///   with fewer than two text columns, or if no row has enough negatives; `.retryable` for a full disk.
///
/// Collective: every rank must call with the same model, data and options.
public func mineHardNegatives(
    model: SentenceEncoder, dataset: Table, corpus: [String] = [], options: MiningOptions = MiningOptions(),
    output: String, overwrites: Bool = false, ensemble: any Ensemble = LocalEnsemble.single()
) throws -> Table {
    guard dataset.columnNames.count > 1 else {
        throw TuttiError(
            .data, "mine hard negatives", dataset.source, "has one text column",
            hint: "Give anchors and positives: two columns.")
    }
    let pairs = MiningPairs(anchors: dataset.texts(column: 0), positives: dataset.texts(column: 1), corpus: corpus)
    let miner = try HardNegativeMiner(
        pairs, options: options, anchorName: dataset.columnNames[0], positiveName: dataset.columnNames[1],
        output: output)
    _ = try miner.mine(
        model: model, modelDigest: try model.contentDigest(), ensemble: ensemble, overwrites: overwrites)
    return try ensemble.together("read the mined rows") { try loadTable(DatasetSpecification(path: output)) }
}
