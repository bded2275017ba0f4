// Diagnosis: where a model places a sample of the pairs that it is trained for, before training, at every evaluation and at
// the end, for the reports that ask for it.
//
// The pairs are rows of the first data set of pairs without labels: of evaluation data if there is such a one, else of
// training data. The first column has anchors, the second positives; further ones add candidates. At most 256 rows are
// drawn, and no more than eight global batches, so that a diagnosis costs a few steps. Anchors are encoded as queries and
// candidates as documents. Legend: A rows, C candidates, D width.

import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports

/// Diagnoses the model of a run.
package struct Diagnosis {
    /// Rows of a sample at most, global batches at most, and pairs in doubt that are kept.
    private static let rows = 256, batches = 8, doubts = 20

    let sample: DiagnosisSample

    /// A diagnosis of this sample.
    package init(sample: DiagnosisSample) { self.sample = sample }

    /// What `inputs` gives to diagnose; nil for data without pairs.
    init?(_ inputs: TrainingInputs, batchRows: Int) {
        func isOfPairs(_ dataset: TrainingDataset) -> Bool {
            dataset.stream == nil && dataset.table.columnNames.count > 1 && dataset.table.labelName == nil
                && dataset.table.rowCount > 1
        }
        guard
            let table = (inputs.evalDatasets.first(where: isOfPairs) ?? inputs.trainDatasets.first(where: isOfPairs))?
                .table
        else { return nil }
        let count = min(table.rowCount, Self.rows, max(2, Self.batches * batchRows))
        let chosen = Self.draw(count, of: table.rowCount, seed: inputs.arguments.seed)
        func texts(_ column: Int) -> [String] { chosen.map { table.text(row: $0, column: column) } }
        let candidates = UniqueTexts(table.columnNames.indices.dropFirst().flatMap(texts))
        sample = DiagnosisSample(
            source: table.source, anchors: texts(0), candidates: candidates.texts,
            positives: Array(candidates.places.prefix(count)))
    }

    /// `count` different rows of `rowCount`, ascending.
    private static func draw(_ count: Int, of rowCount: Int, seed: UInt64) -> [Int] {
        if count == rowCount { return Array(0..<rowCount) }
        var random = CounterRandom(seed: seed, epoch: 0, purpose: 9)
        var chosen: Set<Int> = []
        while chosen.count < count { chosen.insert(Int(random.number(below: UInt64(rowCount)))) }
        return chosen.sorted()
    }

    /// Encodes the sample with `model` as it is, and tells the reports of `log`. Collective.
    func run(_ model: SentenceEncoder, step: Int, isFinal: Bool, log: RunLog, ensemble: any Ensemble) throws {
        let anchors = try model.encodeQueries(sample.anchors, ensemble: ensemble)  // [A, D]
        let candidates = try model.encodeDocuments(sample.candidates, ensemble: ensemble)  // [C, D]
        guard ensemble.isRoot else { return try log.onReports { _ in } }
        var diagnosis = judge(anchors.normalized(), candidates.normalized(), step: step)
        diagnosis.isFinal = isFinal
        try log.onReports { try $0.diagnosed(diagnosis, of: sample) }
    }

    /// The diagnosis that unit embeddings give.
    package func judge(_ anchors: Embeddings, _ candidates: Embeddings, step: Int) -> ContrastiveDiagnosis {
        let cosines = SimilarityFunction.dot.ofAll(anchors, candidates)
        var known: [ByteKey: Set<Int>] = [:]
        for (row, anchor) in sample.anchors.enumerated() {
            known[ByteKey(anchor), default: []].insert(sample.positives[row])
        }
        var (similarities, hardest, ranks): ([Double], [Double], [Int]) = ([], [], [])
        var doubts: [(gain: Double, doubt: ContrastiveDiagnosis.Doubt)] = []
        for (row, anchor) in sample.anchors.enumerated() {
            let own = Double(cosines[row][sample.positives[row]])
            let positives = known[ByteKey(anchor)] ?? []
            // An anchor that is among the candidates itself is no negative of its own.
            let others = sample.candidates.indices.filter {
                !positives.contains($0) && sample.candidates[$0] != anchor
            }
            let nearest = others.max { cosines[row][$0] < cosines[row][$1] }
            similarities.append(own)
            hardest.append(nearest.map { Double(cosines[row][$0]) } ?? own)
            ranks.append(1 + others.count { Double(cosines[row][$0]) > own })
            if let nearest, Double(cosines[row][nearest]) > own {
                let doubt = ContrastiveDiagnosis.Doubt(
                    row: row, candidate: nearest, similarity: Double(cosines[row][nearest]))
                doubts.append((doubt.similarity - own, doubt))
            }
        }
        let alignment = similarities.reduce(0) { $0 + 2 - 2 * $1 } / Double(max(1, similarities.count))
        return ContrastiveDiagnosis(
            step: step, alignment: max(0, alignment), uniformity: uniformity(anchors, candidates),
            similarities: similarities, hardest: hardest, ranks: ranks,
            doubts: doubts.sorted { $0.gain > $1.gain }.prefix(Self.doubts).map(\.doubt))
    }

    /// The logarithm of the mean of exp(-2 |x - y|^2) over all pairs of different texts.
    private func uniformity(_ anchors: Embeddings, _ candidates: Embeddings) -> Double {
        let texts = UniqueTexts(sample.anchors + sample.candidates)
        var first = [Int](repeating: -1, count: texts.texts.count)
        for (place, text) in texts.places.enumerated().reversed() { first[text] = place }
        let all = Embeddings(count: first.count, dimension: anchors.dimension)
        for (row, place) in first.enumerated() {
            let source = place < anchors.count ? anchors[place] : candidates[place - anchors.count]
            for column in 0..<all.dimension { all.values[row * all.dimension + column] = source[column] }
        }
        let cosines = SimilarityFunction.dot.ofAll(all, all)
        var sum = 0.0
        for row in 0..<all.count {
            for column in 0..<row { sum += exp(-2 * max(0, 2 - 2 * Double(cosines[row][column]))) }
        }
        return log(sum / (Double(all.count) * Double(all.count - 1) / 2))
    }
}
