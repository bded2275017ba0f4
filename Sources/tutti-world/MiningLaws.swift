// Laws of hard-negative mining: W ranks write the bytes of one process, and a rank that encodes differently is detected.
//
// Chunks and batches are small, so that every rank has some of the 168 texts of Tests/Golden/training/bert-sgd; the
// program is run from the root of the repository.

import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiModels

let miningLaws: [Law] = [
    Law(name: "mined negatives: the bytes of one process") { ensemble, findings in
        try TinyMining().compare(ensemble, findings) { $0 }
    },
    // All but one: a single rank of many has too few rows to be seen.
    .control("mined negatives: ranks whose embeddings are off by a millionth") { ensemble, findings in
        let isOff = ensemble.rank > 0
        try TinyMining().compare(ensemble, findings) { isOff ? SlantedModel($0) as any SentenceEncoding : $0 }
    },
]

/// Mining with a tiny model in its golden rows.
private struct TinyMining {
    private let folder = "Tests/Golden/training/bert-sgd"

    /// Checks that all ranks together, each with its model changed by `altered`, write the same as one rank.
    func compare(
        _ ensemble: any Ensemble, _ findings: Findings, altered: (SentenceEncoder) -> any SentenceEncoding
    ) throws {
        let scratch = temporaryFolder("mining")
        defer { removeQuietly(scratch) }
        let alone = try ensemble.together("mine alone") { () throws -> [UInt8] in
            try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
            let output = scratch + "/alone.jsonl"
            try mine(SentenceEncoder.load(folder + "/model"), output, LocalEnsemble.single())
            return try MappedFile(path: output).contents
        }
        let output = try ensemble.broadcast(scratch) + "/together.jsonl"
        let model = try ensemble.together("load the model") { try SentenceEncoder.load(folder + "/model") }
        try mine(altered(model), output, ensemble)
        let isEqual = try ensemble.onRoot { try MappedFile(path: output).contents == alone }
        findings.require(alone.count > 10_000, "\(alone.count) bytes prove nothing")
        findings.require(isEqual, "the output is not that of one process")
    }

    private func mine(_ model: any SentenceEncoding, _ output: String, _ ensemble: any Ensemble) throws {
        let table = try loadTable(DatasetSpecification(path: folder + "/rows.jsonl"))
        var options = MiningOptions()
        options.relativeMargin = 0.01
        options.writesScores = true
        options.batchSize = 4
        options.chunkSize = 16
        let miner = try HardNegativeMiner(
            MiningPairs(
                anchors: table.texts(column: 0), positives: table.texts(column: 1), corpus: table.texts(column: 2)),
            options: options, anchorName: "anchor", positiveName: "positive", output: output)
        _ = try miner.mine(model: model, modelDigest: "", ensemble: ensemble)
    }
}

/// A model with slightly rotated embeddings.
private final class SlantedModel: SentenceEncoding {
    private let model: SentenceEncoder

    init(_ model: SentenceEncoder) { self.model = model }

    var similarity: String { model.similarity }
    var prompts: [String: String] { model.prompts }

    func encode(
        _ texts: [String], prompt: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?
    ) throws -> Embeddings {
        let rows = try model.encode(texts, prompt: prompt, tokensPerBatch: tokensPerBatch, ensemble: ensemble)
        for row in 0..<rows.count { rows.values[row * rows.dimension] += 1e-6 }
        return withExtendedLifetime(rows) { rows }
    }
}
