// Hard negatives: for every anchor, texts that a model finds similar and that are not its positives.
//
// What: all distinct documents are encoded and spread over the ranks; queries are encoded and searched chunk by chunk;
// rank zero then strikes out what options forbid and writes rows. Each finished chunk is kept in OUTPUT.work, so that a
// killed run goes on where it was and ends with the same bytes, on any number of ranks.
//
// Where the reference differs on purpose: a column that is not there is an error (it silently takes the first or
// second), kept embeddings are told apart by the weights of the model (it looks at the base model's name only), random
// sampling has a seed. NegativeSelection and MiningStatistics name two more.
//
// Reference: sentence_transformers/util/hard_negatives.py (6.2), mine_hard_negatives.

import Foundation
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// How far mining is; told to rank zero after every chunk.
package enum MiningProgress: Sendable, Equatable {
    /// Documents whose embeddings are there.
    case documents(Int, of: Int)
    /// Queries whose candidates are there.
    case queries(Int, of: Int)
}

/// What a mining run ends with.
package struct MiningOutcome: Sendable, Equatable {
    /// Whether the output was there already and nothing was done.
    package let wasFinished: Bool
    /// Counts and scores.
    package let statistics: JSONObject
    /// The reference's table, line by line; empty when nothing was done.
    package let report: [String]
}

/// Mines hard negatives of a data set of pairs.
package struct HardNegativeMiner: Sendable {
    private let pairs: MiningPairs
    private let options: MiningOptions
    private let window: CandidateWindow
    private let format: MinedRows
    private let fileFormat: MinedFileFormat
    private let folder: MiningFolder
    /// What was read and derived before anything is computed, line by line; the reference prints the same.
    package let plan: [String]

    /// A miner that writes the file `output` (.csv or .jsonl), with the data set's names of its two columns.
    ///
    /// Throws: `.usage` for options that contradict each other.
    package init(
        _ pairs: MiningPairs, options: MiningOptions, anchorName: String, positiveName: String, output: String
    ) throws(TuttiError) {
        let (options, notices) = options.resolved()
        self.pairs = pairs
        self.options = options
        window = try options.window(maximumPositives: pairs.maximumPositives)
        format = try MinedRows(options, anchorName: anchorName, positiveName: positiveName)
        fileFormat = try MinedFileFormat(path: output)
        folder = MiningFolder(output: output)
        var plan = notices
        if options.rangeMaximum == nil {
            plan.append("Setting range_max to \(window.ranks.upperBound) based on the provided parameters.")
        }
        if pairs.queries.count != pairs.rowCount {
            plan.append("Found \(pairs.queries.count) unique queries out of \(pairs.rowCount) total queries.")
        }
        if pairs.maximumPositives > 1 {
            let average = Double(pairs.rowCount) / Double(pairs.queries.count)
            plan.append("Found an average of \(String(format: "%.3f", average)) positives per query.")
        }
        self.plan = plan
    }

    /// Mines with `model`, whose weights and files have the digest `modelDigest`, and writes the output.
    ///
    /// An error of `observe`, which rank zero calls after every chunk, stops all ranks; what is finished stays kept.
    /// `waiting` gets one line where another process is mining to the same output.
    /// Throws: `.usage` when the output belongs to another run and `overwrites` is false, or to a process that does not
    /// end in time; `.retryable` for a full disk.
    /// Collective: every rank must call with the same model, pairs and options.
    package func mine(
        model: any SentenceEncoding, modelDigest: String, ensemble: any Ensemble, overwrites: Bool = false,
        lockTimes: FolderLock.Times = FolderLock.Times(), waiting: (String) -> Void = { _ in },
        observe: (MiningProgress) throws -> Void = { _ in }
    ) throws -> MiningOutcome {
        guard let similarity = SimilarityFunction(rawValue: model.similarity) else {
            preconditionFailure("a model with the similarity \(model.similarity)")
        }
        let queryPrompt = options.queryPrompt ?? model.queryPrompt
        let documentPrompt = options.documentPrompt ?? model.documentPrompt
        let identity = identity(modelDigest, similarity, queryPrompt: queryPrompt, documentPrompt: documentPrompt)
        try ensemble.verifyIdentity("mine negatives, inputs \(identity.result)")
        var folder = folder
        defer { folder.release() }
        let kept = try ensemble.onRoot { () throws -> String? in
            let state = try folder.open(identity, overwrites: overwrites, times: lockTimes, waiting: waiting)
            guard case .finished(let statistics) = state else { return nil }
            return statistics.serialized()
        }
        if let kept {
            let statistics = try JSONValue.parse(kept).object ?? JSONObject()
            return MiningOutcome(wasFinished: true, statistics: statistics, report: [])
        }
        try search(
            model, similarity, in: folder, queries: encoding(model, ensemble, queryPrompt, "query"),
            documents: encoding(model, ensemble, documentPrompt, "document"), ensemble, observe)
        let written = try ensemble.onRoot { () throws -> [String] in
            let statistics = try write(to: folder)
            try folder.finish(identity, statistics: statistics.object)
            return [statistics.object.serialized()] + statistics.lines
        }
        return MiningOutcome(
            wasFinished: false, statistics: try JSONValue.parse(written[0]).object ?? JSONObject(),
            report: Array(written.dropFirst()))
    }

    private func encoding(
        _ model: any SentenceEncoding, _ ensemble: any Ensemble, _ prompt: String, _ task: String
    ) -> ChunkedEncoding {
        ChunkedEncoding(
            model: model, ensemble: ensemble, prompt: prompt, task: task, batchSize: options.batchSize,
            chunkSize: options.chunkSize)
    }

    /// Finds the candidates of every chunk of queries that has none yet.
    private func search(
        _ model: any SentenceEncoding, _ similarity: SimilarityFunction, in folder: MiningFolder,
        queries: ChunkedEncoding, documents: ChunkedEncoding, _ ensemble: any Ensemble,
        _ observe: (MiningProgress) throws -> Void
    ) throws {
        let queryChunks = queries.chunkCount(pairs.queries.count)
        let missing = try ensemble.onRoot { (0..<queryChunks).filter { !folder.hasCandidates(chunk: $0) } }
        guard !missing.isEmpty else { return }
        var search = CandidateSearch(
            ensemble: ensemble, similarity: similarity, documentCount: pairs.documents.count,
            chunkSize: options.chunkSize)
        try documents.forEach(
            Array(0..<documents.chunkCount(pairs.documents.count)), of: pairs.documents,
            store: folder.embeddings("documents")
        ) { chunk, places, rows in
            search.add(chunk: chunk, places: places, rows: rows)
            try ensemble.onRoot { try observe(.documents(places.upperBound, of: pairs.documents.count)) }
        }
        try queries.forEach(missing, of: pairs.queries, store: folder.embeddings("queries")) { chunk, places, rows in
            let candidates = try search.candidates(
                of: rows, positives: places.map { pairs.positives[pairs.positivePlaces(of: $0)] }, depth: window.depth)
            try ensemble.onRoot {
                try folder.keep(candidates, chunk: chunk)
                try observe(.queries(places.upperBound, of: pairs.queries.count))
            }
        }
    }

    /// Chooses negatives among the kept candidates and writes the output. For rank zero.
    private func write(to folder: MiningFolder) throws -> MiningStatistics {
        var statistics = MiningStatistics(options, window: window, pairs: pairs)
        var selection = NegativeSelection(options, window: window)
        try AtomicWrite.file(path: folder.output) { output throws(TuttiError) in
            try output.write(fileFormat.head(format.columns))
            for first in stride(from: 0, to: pairs.queries.count, by: options.chunkSize) {
                let queries = first..<min(first + options.chunkSize, pairs.queries.count)
                let candidates = try folder.candidates(
                    chunk: first / options.chunkSize, queries: queries.count,
                    positives: pairs.positivePlaces(of: queries).count)
                for query in queries {
                    let found = mined(query, first: first, candidates, &selection)
                    let rows = format.rows(found)
                    statistics.add(found, rows: rows.count)
                    for row in rows { try output.write(fileFormat.line(format.columns, row)) }
                }
            }
            try folder.checkIsHeld()
        }
        statistics.skipped = selection.skipped
        return statistics
    }

    /// The positives and negatives of one query, whose chunk begins with query `first`.
    private func mined(
        _ query: Int, first: Int, _ candidates: Candidates, _ selection: inout NegativeSelection
    ) -> MinedQuery {
        let places = pairs.positivePlaces(of: query)
        let before = pairs.positivePlaces(of: first).lowerBound
        let ranking = (query - first) * candidates.depth..<(query - first + 1) * candidates.depth
        let positiveScores = candidates.positiveScores[places.lowerBound - before..<places.upperBound - before]
        let negatives = selection.choose(
            RankedCandidates(
                documents: candidates.documents[ranking], scores: candidates.scores[ranking],
                positives: pairs.positives[places], positiveScores: positiveScores), query: query)
        return MinedQuery(
            anchor: pairs.queries[query],
            positives: zip(pairs.positives[places], positiveScores).map { (pairs.documents[$0], $1) },
            negatives: negatives.map { (pairs.documents[$0.document], $0.score) })
    }

    /// The digests of everything that the run depends on.
    private func identity(
        _ modelDigest: String, _ similarity: SimilarityFunction, queryPrompt: String, documentPrompt: String
    ) -> MiningIdentity {
        var digest = Digest()
        digest.update("\(modelDigest) \(Gemm.choice) \(options.batchSize) \(options.chunkSize)")
        digest.update(queryPrompt)
        digest.update(documentPrompt)
        pairs.update(&digest, .documents)
        pairs.update(&digest, .queries)
        let embeddings = digest.hexadecimal
        digest.update("\(similarity.rawValue) \(window.depth)")
        pairs.update(&digest, .positives)
        let candidates = digest.hexadecimal
        digest.update(format.columns.joined(separator: "\n"))
        digest.update("\(options)")
        digest.update(folder.output.hasSuffix(".csv") ? "csv" : "jsonl")
        return MiningIdentity(
            embeddings: embeddings, candidates: candidates,
            result: digest.hexadecimal)
    }
}

extension SentenceEncoder {
    /// A fingerprint of what decides its embeddings: weights, and the small files of its folder (configuration,
    /// tokenizer, modules).
    ///
    /// Throws: `.data` naming a file that cannot be read.
    package func contentDigest() throws(TuttiError) -> String {
        var digest = Digest()
        digest.update(UnsafeRawBufferPointer(encoder.parameters.values))
        if encoder.frozenProducts != .fp32 { digest.update(encoder.frozenProducts.name) }
        digest.update(maximumLength)
        let members: [String]
        do {
            members = try FileManager.default.subpathsOfDirectory(atPath: directory.path)
        } catch {
            throw TuttiError(
                .data, "read model", directory.path, "cannot be listed: \(error.localizedDescription)")
        }
        for name in members.sorted() where name.hasSuffix(".json") || name.hasSuffix(".txt") {
            digest.update(name)
            let file = try MappedFile(path: directory.path + "/" + name)
            withExtendedLifetime(file) { digest.update(file.bytes) }
        }
        return digest.hexadecimal
    }
}
