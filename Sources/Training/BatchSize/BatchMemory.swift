// What a batch takes in memory, found from a sample of rows before any is trained on.
//
// Activations are linear in the tokens of texts of one length, and longer texts take no less a token. So the rate is that of
// the longest sampled row, and a batch is taken to hold the longest rows of the sample: real batches need less.
//
// Legend: b rows on a rank, N of all ranks, C text columns, L layers looked at, D width of an embedding.

import TuttiCorpus
import TuttiEncoders
import TuttiGround
import TuttiObjectives

/// The memory that a rank's share of a batch of a data set takes.
struct BatchMemory {
    private let rowCount: Int
    private let roles: [RoleMemory]
    /// Bytes of embeddings and their gradients, of one row.
    private let rowBytes: Int

    /// Rows whose texts are measured.
    private static let sample = 1024

    /// That of batches of `dataset`, which `objective` reads.
    ///
    /// Throws: what reading the sampled rows throws.
    init(_ dataset: TrainingDataset, _ objective: Objective, _ batches: RankBatches) throws(TuttiError) {
        let (table, preparation) = try batches.preparation(of: dataset, epoch: 0)
        rowCount = table.rowCount
        let count = min(Self.sample, rowCount)
        let rows = (0..<count).map { Int32($0 * table.rowCount / count) }
        let batch = try preparation.batch(of: table, rows[...], rank: 0, world: 1)
        let student = RoleMemory(batch[.student], rows: count, objective.student, isTraining: true)
        var roles = [student]
        for (role, encoder) in objective.others {
            roles.append(RoleMemory(batch[role], rows: count, encoder, isTraining: role.isTrained))
        }
        if objective.decoder != nil { roles.append(RoleMemory(batch[.decoder], rows: count, decodedAs: student)) }
        self.roles = roles
        let encoder = objective.student.encoder
        let layers = objective.requirements.needsLayers ? encoder.layerCount + 1 : 1
        rowBytes = 2 * layers * batch.columns * encoder.outputWidth * MemoryLayout<Float>.stride
    }

    /// Bytes of a batch with `rows` rows on each of `world` ranks.
    func bytes(rows: Int, world: Int) -> Int {
        let own = min(rows, (rowCount + world - 1) / world)
        let gathered = world > 1 ? own * world : 0
        return roles.reduce((own + gathered) * rowBytes) { $0 + $1.bytes(rows: own) }
    }
}

/// The memory that one role takes.
private struct RoleMemory {
    /// Tokens of the longest sampled row, of the two longest, and so on.
    private var tokens: [Int] = []
    private var longestText = 0
    private var chunking: Chunking?
    /// Bytes of the longest row, and of a token more.
    private var bytesOfOne = 0
    private var bytesAToken = 0.0

    /// That of `encoder` over texts like those of `packed`, the columns of `rows` rows.
    init(_ packed: PackedBatch, rows: Int, _ encoder: ChunkedEncoder, isTraining: Bool) {
        guard let longest = measure(packed, rows: rows) else { return }
        chunking = encoder.chunking
        func bytes(copies: Int) -> Int {
            var batch = PackedBatch()
            for _ in 0..<copies {
                for text in stride(from: longest, to: packed.sequenceCount, by: rows) {
                    batch.append(sequence: text, of: packed)
                }
            }
            return encoder.encoder.compute.run {
                encoder.encoder.activationBytes(of: batch, isTraining: isTraining)
            }
        }
        bytesOfOne = bytes(copies: 1)
        bytesAToken = Double(bytes(copies: 2) - bytesOfOne) / Double(max(1, tokens[0]))
    }

    /// That of a decoder, whose layers attend twice.
    init(_ packed: PackedBatch, rows: Int, decodedAs encoder: RoleMemory) {
        guard measure(packed, rows: rows) != nil else { return }
        chunking = encoder.chunking
        bytesAToken = 2 * encoder.bytesAToken
        bytesOfOne = Int(bytesAToken * Double(tokens[0]))
    }

    /// Adds up the lengths; the longest row, nil where there is none.
    private mutating func measure(_ packed: PackedBatch, rows: Int) -> Int? {
        let lengths = packed.lengths
        var ofRows = [Int](repeating: 0, count: rows)
        for (text, length) in lengths.enumerated() { ofRows[text % rows] += length }
        longestText = lengths.max() ?? 0
        guard let most = ofRows.max(), let longest = ofRows.firstIndex(of: most), most > 0 else { return nil }
        var sum = 0
        tokens = ofRows.sorted(by: >).map { count in
            sum += count
            return sum
        }
        return longest
    }

    /// Bytes that it takes for `rows` rows.
    func bytes(rows: Int) -> Int {
        guard let all = tokens.last, rows > 0 else { return 0 }
        var most = rows <= tokens.count ? tokens[rows - 1] : Int(Double(all) / Double(tokens.count) * Double(rows))
        if let chunking {
            if let texts = chunking.rows { most = min(most, texts * longestText) }
            if let limit = chunking.tokens { most = min(most, max(limit, longestText)) }
        }
        return bytesOfOne + Int(bytesAToken * Double(max(0, most - tokens[0])))
    }
}
