// Embeddings of very many texts, chunk after chunk, each chunk kept on disk as soon as it is whole.
//
// What: a chunk is a fixed run of texts. Its texts are sorted by falling length and cut into batches, and each batch is
// encoded by one rank alone; so neither a batch nor any bit of its embeddings depends on the number of ranks, whoever
// computes the matrix products. With many ranks several chunks are encoded together, so that there are batches for all.
// Rows are scaled to unit length, as the reference's mining does whatever the model's similarity.
// Legend: W ranks, D width.

import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels

/// Encodes the texts of one side, queries or documents, chunk by chunk.
struct ChunkedEncoding {
    let model: any SentenceEncoding
    let ensemble: any Ensemble
    let prompt: String
    /// "query" or "document": the route of a model with a Router.
    let task: String
    let batchSize: Int
    let chunkSize: Int

    /// Calls `body` with the chunks numbered `chunks` of `texts` in turn: number, places of the texts, embeddings.
    ///
    /// Chunks that `store` holds are read, the others encoded and given to it. Every rank gets every chunk, so `body`
    /// may call collectives.
    /// Collective.
    func forEach(
        _ chunks: [Int], of texts: [String], store: EmbeddingStore,
        _ body: (_ chunk: Int, _ places: Range<Int>, _ rows: Embeddings) throws -> Void
    ) throws {
        let kept = Set(try ensemble.onRoot { store.keptChunks(among: chunks) })
        // Eight batches a rank and round even out their lengths: 64 batches of 32 make a chunk.
        let together = max(1, (ensemble.size * 8 * batchSize + chunkSize - 1) / chunkSize)
        var rest = chunks[...]
        while let next = rest.first {
            if kept.contains(next) {
                try body(next, places(next, texts), try received(next, count: places(next, texts).count, from: store))
                rest.removeFirst()
                continue
            }
            let round = rest.prefix { !kept.contains($0) }.prefix(together)
            let encoded = try encode(round.map { places($0, texts) }, of: texts)
            for (chunk, rows) in zip(round, encoded) {
                try ensemble.onRoot { try store.keep(rows, chunk: chunk) }
                try body(chunk, places(chunk, texts), rows)
            }
            rest = rest.dropFirst(round.count)
        }
    }

    /// The number of chunks that `count` texts make.
    func chunkCount(_ count: Int) -> Int { (count + chunkSize - 1) / chunkSize }

    private func places(_ chunk: Int, _ texts: [String]) -> Range<Int> {
        chunk * chunkSize..<min((chunk + 1) * chunkSize, texts.count)
    }

    /// A kept chunk, read by rank zero and sent to all: the folder need not be on a disk that all ranks see.
    private func received(_ chunk: Int, count: Int, from store: EmbeddingStore) throws -> Embeddings {
        var read: Embeddings?
        let shape = try ensemble.onRoot { () throws -> [Int] in
            let rows = try store.read(chunk: chunk, count: count)
            read = rows
            return [rows.count, rows.dimension]
        }
        let rows = read ?? Embeddings(count: shape[0], dimension: shape[1])
        try withExtendedLifetime(rows) {
            try ensemble.broadcast(UnsafeMutableRawBufferPointer(rows.values), root: 0)
        }
        return rows
    }

    /// Unit embeddings of some chunks, the same bits on every rank.
    private func encode(_ chunks: [Range<Int>], of texts: [String]) throws -> [Embeddings] {
        let batches = chunks.flatMap { self.batches($0, texts) }  // places of texts
        let (rank, world) = (ensemble.rank, ensemble.size)
        // Dealt in turn, longest first, so that the shares of all ranks cost about the same.
        let cost = batches.map { batch in batch.reduce(0) { $0 + texts[$1].utf8.count } }
        let order = batches.indices.sorted { cost[$0] != cost[$1] ? cost[$0] > cost[$1] : $0 < $1 }
        let shares = (0..<world).map { stride(from: $0, to: order.count, by: world).map { order[$0] } }
        let own = try ensemble.together("encode texts") {
            try shares[rank].map { batch in
                try model.encode(
                    batches[batch].map { texts[$0] }, prompt: prompt, task: task, tokensPerBatch: .max, ensemble: nil
                ).normalized()
            }
        }
        var width = [Double(own.first?.dimension ?? 0)]
        try width.withUnsafeMutableBufferPointer { try ensemble.allReduceMax($0) }
        let dimension = Int(width[0])
        let joined = Embeddings(count: batches.reduce(0) { $0 + $1.count }, dimension: dimension)
        let counts = shares.map { share in
            share.reduce(0) { $0 + batches[$1].count } * dimension * MemoryLayout<Float>.stride
        }
        let sent = own.flatMap(\.flattened)
        try withExtendedLifetime(joined) {
            try sent.withUnsafeBytes { sent in
                try counts.withUnsafeBufferPointer {
                    try ensemble.allGather(sent, counts: $0, into: UnsafeMutableRawBufferPointer(joined.values))
                }
            }
        }
        var rowOfPlace: [Int: Int] = [:]
        for (row, place) in shares.joined().flatMap({ batches[$0] }).enumerated() { rowOfPlace[place] = row }
        return chunks.map { chunk in joined.gathering(chunk.compactMap { rowOfPlace[$0] }) }
    }

    /// The batches of one chunk: its places by falling length, equal lengths in their order.
    private func batches(_ chunk: Range<Int>, _ texts: [String]) -> [[Int]] {
        let lengths = chunk.map { texts[$0].utf8.count }
        let order = chunk.sorted {
            let (a, b) = (lengths[$0 - chunk.lowerBound], lengths[$1 - chunk.lowerBound])
            return a != b ? a > b : $0 < $1
        }
        return stride(from: 0, to: order.count, by: batchSize).map {
            Array(order[$0..<min($0 + batchSize, order.count)])
        }
    }
}

/// Where embeddings are kept; only rank zero calls it.
protocol EmbeddingStore {
    /// Which of `chunks` are kept.
    func keptChunks(among chunks: [Int]) -> [Int]
    /// Reads a kept chunk of `count` texts.
    func read(chunk: Int, count: Int) throws(TuttiError) -> Embeddings
    /// Keeps a chunk.
    func keep(_ rows: Embeddings, chunk: Int) throws(TuttiError)
}
