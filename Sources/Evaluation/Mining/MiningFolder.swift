// The work folder of a mining run, beside its output: what a killed run left is not computed again.
//
//   OUTPUT.work/identity.json                what the folder belongs to, and whether the output is finished
//   OUTPUT.work/documents-00000.npy ...      unit embeddings of the documents, chunk after chunk
//   OUTPUT.work/queries-00000.npy ...        of the queries
//   OUTPUT.work/candidates-00000.safetensors candidates of a chunk of queries, and scores of its positives
//   OUTPUT.work/mining.lock                  while a run works here: two of them never mix
//
// Why three digests: embeddings depend on model, prompts and texts, candidates on how many are kept as well, the output
// on every option. A run with other margins thus searches nothing again, and one with another range encodes nothing.
// Every file is whole or not there (AtomicWrite). Only rank zero reads and writes here.

import Foundation
import TuttiFormats
import TuttiGround
import TuttiModels

/// Digests of everything that a mining run depends on.
struct MiningIdentity: Sendable, Equatable {
    /// Model, prompts, texts, batches.
    let embeddings: String
    /// `embeddings`, similarity, positives and the depth of the search.
    let candidates: String
    /// `candidates` and the options of selection and output.
    let result: String
}

/// The state in which a run finds its work folder.
enum MiningFolderState: Equatable {
    /// There is something to do.
    case open
    /// The output of the same run is there, with these statistics.
    case finished(JSONObject)
}

/// The folder OUTPUT.work.
struct MiningFolder: Sendable {
    /// The file that mining writes.
    let output: String
    /// The work folder.
    var path: String { output + ".work" }
    /// Held by rank zero while there is something to do.
    private var lock: FolderLock?
    private static let operation = "mine negatives"
    private static let format = 1

    /// The folder beside `output`.
    init(output: String) { self.output = output }

    /// Makes the folder ready for a run of `identity`: makes it, goes on with it, or empties it of what does not fit.
    /// Holds it until `release`, after a wait where another process holds it; a finished output needs no hold.
    ///
    /// Throws: `.usage` when output or folder belong to another run and `overwrites` is false, or when a living process
    /// does not give the folder up in time; `.retryable`.
    mutating func open(
        _ identity: MiningIdentity, overwrites: Bool, times: FolderLock.Times, waiting: (String) -> Void
    ) throws(TuttiError) -> MiningFolderState {
        if case .finished(let statistics) = try look(for: identity, overwrites: overwrites).state {
            return .finished(statistics)
        }
        try make()
        lock = try FolderLock(
            path: path + "/mining.lock", purpose: "mine \(output)", setting: "--output", times: times,
            waiting: waiting, onLoss: {})
        // Looked at again: who held the folder has changed it.
        let (state, previous) = try look(for: identity, overwrites: overwrites)
        guard state == .open else { return state }
        // What does not fit goes before the folder says whose it is: a crash between the two keeps nothing wrong.
        if previous?.embeddings != identity.embeddings {
            try remove("documents-")
            try remove("queries-")
        }
        if previous?.candidates != identity.candidates { try remove("candidates-") }
        try write(identity, statistics: nil)
        return .open
    }

    /// Gives the folder up.
    mutating func release() {
        lock?.release()
        lock = nil
    }

    /// Returns if this process may still write here: asked before it does.
    ///
    /// Throws: `.retryable` once another process has taken the folder over.
    func checkIsHeld() throws(TuttiError) { try lock?.check() }

    /// What is there to do for `identity`, and whose the folder was.
    private func look(
        for identity: MiningIdentity, overwrites: Bool
    ) throws(TuttiError) -> (state: MiningFolderState, previous: MiningIdentity?) {
        let hasOutput = FileManager.default.fileExists(atPath: output)
        let previous = try readIdentity()
        if previous?.identity.result == identity.result, !overwrites {
            if hasOutput, let statistics = previous?.statistics { return (.finished(statistics), previous?.identity) }
        } else if hasOutput || previous != nil, !overwrites {
            throw TuttiError(
                .usage, MiningFolder.operation, previous == nil ? output : path,
                previous == nil
                    ? "exists and was not written by this mining run"
                    : "belongs to another run: model, data or options differ",
                hint: "Name another --output, or pass --overwrite.")
        }
        return (.open, previous?.identity)
    }

    private func make() throws(TuttiError) {
        guard mkdir(path, 0o777) != 0, errno != EEXIST else { return }
        let code = errno
        throw TuttiError(
            code == ENOENT || code == ENOTDIR ? .missingFile : .retryable, MiningFolder.operation, path,
            "the folder cannot be made: \(String(cString: strerror(code)))")
    }

    /// Records that the output is whole.
    func finish(_ identity: MiningIdentity, statistics: JSONObject) throws(TuttiError) {
        try checkIsHeld()
        try write(identity, statistics: statistics)
    }

    /// Where embeddings of one side are kept, "documents" or "queries".
    func embeddings(_ side: String) -> MiningEmbeddingStore {
        MiningEmbeddingStore(prefix: "\(path)/\(side)-", lock: lock)
    }

    /// Whether the candidates of a chunk of queries are kept.
    func hasCandidates(chunk: Int) -> Bool { FileManager.default.fileExists(atPath: candidatesPath(chunk)) }

    /// Keeps the candidates of a chunk of queries.
    func keep(_ candidates: Candidates, chunk: Int) throws(TuttiError) {
        try checkIsHeld()
        let (documents, scores) = (candidates.documents, candidates.scores)
        let (positives, path) = (candidates.positiveScores, candidatesPath(chunk))
        let shape = [candidates.depth == 0 ? 0 : documents.count / candidates.depth, candidates.depth]
        let outcome: Result<Void, TuttiError> = documents.withUnsafeBytes { documents in
            scores.withUnsafeBytes { scores in
                positives.withUnsafeBytes { positives in
                    do throws(TuttiError) {
                        try SafetensorsWriter.write(
                            path: path,
                            tensors: [
                                (name: "documents", dtype: .i32, shape: shape, bytes: documents),
                                (name: "scores", dtype: .f32, shape: shape, bytes: scores),
                                (
                                    name: "positive_scores", dtype: .f32, shape: [candidates.positiveScores.count],
                                    bytes: positives
                                ),
                            ])
                        return .success(())
                    } catch {
                        return .failure(error)
                    }
                }
            }
        }
        try outcome.get()
    }

    /// The kept candidates of a chunk of `queries` queries with `positives` positives.
    ///
    /// Throws: `.data` naming the file when it does not hold them.
    func candidates(chunk: Int, queries: Int, positives: Int) throws(TuttiError) -> Candidates {
        let path = candidatesPath(chunk)
        let (file, scores, positiveScores, documents) = try MiningFolder.reading { () throws(TuttiError) in
            let file = try SafetensorsFile(path: path)
            return (
                file, try file.floats("scores"), try file.floats("positive_scores"), try file.rawBytes("documents")
            )
        }
        let numbers = withExtendedLifetime(file) {
            stride(from: 0, to: documents.count, by: 4).map {
                Int32(littleEndian: documents.loadUnaligned(fromByteOffset: $0, as: Int32.self))
            }
        }
        guard numbers.count == scores.count, scores.count % queries == 0, positiveScores.count == positives else {
            throw MiningFolder.damaged(path, "does not hold the candidates of \(queries) queries")
        }
        return Candidates(
            depth: scores.count / queries, documents: numbers, scores: scores, positiveScores: positiveScores)
    }

    /// The error about a file that is not as it was written.
    static func damaged(_ path: String, _ problem: String) -> TuttiError {
        TuttiError(.data, operation, path, problem, hint: remedy)
    }

    /// Reads a kept file; whatever is wrong with it, it can be removed.
    static func reading<T>(_ body: () throws(TuttiError) -> T) throws(TuttiError) -> T {
        do throws(TuttiError) {
            return try body()
        } catch {
            var error = error
            error.hint = remedy
            throw error
        }
    }

    private static let remedy = "Remove this file: it will be computed again."

    private func candidatesPath(_ chunk: Int) -> String { "\(path)/candidates-\(paddedNumber(chunk)).safetensors" }

    private func remove(_ prefix: String) throws(TuttiError) {
        let members: [String]
        do {
            members = try FileManager.default.contentsOfDirectory(atPath: path)
        } catch {
            throw TuttiError(
                .retryable, MiningFolder.operation, path, "cannot be listed: \(error.localizedDescription)")
        }
        for name in members where name.hasPrefix(prefix) { try AtomicWrite.removeTree(path + "/" + name) }
    }

    private var identityPath: String { path + "/identity.json" }

    private func write(_ identity: MiningIdentity, statistics: JSONObject?) throws(TuttiError) {
        var object: JSONObject = [
            "format": .integer(Int64(MiningFolder.format)), "embeddings": .string(identity.embeddings),
            "candidates": .string(identity.candidates), "result": .string(identity.result),
        ]
        if let statistics { object.set("finished", .object(statistics)) }
        try AtomicWrite.file(path: identityPath, text: object.serialized(indent: 2) + "\n")
    }

    private func readIdentity() throws(TuttiError) -> (identity: MiningIdentity, statistics: JSONObject?)? {
        guard FileManager.default.fileExists(atPath: identityPath) else { return nil }
        let value = try JSONValue.parse(file: identityPath)
        guard value["format"]?.int == MiningFolder.format, let embeddings = value["embeddings"]?.string,
            let candidates = value["candidates"]?.string, let result = value["result"]?.string
        else {
            throw TuttiError(
                .data, MiningFolder.operation, identityPath, "is not as this version writes it",
                hint: "Remove the folder: everything in it can be computed again.")
        }
        return (
            MiningIdentity(embeddings: embeddings, candidates: candidates, result: result), value["finished"]?.object
        )
    }
}

/// Embeddings of one side, a .npy file a chunk.
struct MiningEmbeddingStore: EmbeddingStore, Sendable {
    let prefix: String
    let lock: FolderLock?

    func keptChunks(among chunks: [Int]) -> [Int] {
        chunks.filter { FileManager.default.fileExists(atPath: path($0)) }
    }

    func read(chunk: Int, count: Int) throws(TuttiError) -> Embeddings {
        let array = try MiningFolder.reading { () throws(TuttiError) in try NumPy.read(path: path(chunk)) }
        guard array.columns > 0, array.rows == count else {
            throw MiningFolder.damaged(path(chunk), "does not hold the embeddings of \(count) texts")
        }
        return Embeddings(rows: array.floats, dimension: array.columns)
    }

    func keep(_ rows: Embeddings, chunk: Int) throws(TuttiError) {
        try lock?.check()
        try NumPy.write(path: path(chunk), floats: rows.flattened, rows: rows.count, columns: rows.dimension)
    }

    private func path(_ chunk: Int) -> String { "\(prefix)\(paddedNumber(chunk)).npy" }
}

/// Five digits, so that files sort as chunks do.
private func paddedNumber(_ chunk: Int) -> String {
    let digits = String(chunk)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
}
