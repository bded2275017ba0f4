// The data sets of a run in the cache: made once a node, by its first rank where rows are read and by all of its ranks
// where texts become tokens; then every rank maps the same files.
//
// Nodes may share the folder. So no rank waits for another node while its own node makes an entry: a node whose entry
// another one makes waits for that one's lock, and all nodes meet when theirs are there.

import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels

/// Makes and finds the data sets of a run in the cache. Collective.
struct DatasetCaches {
    private let configuration: TrainingConfiguration
    private let ensemble: any Ensemble
    /// The ranks of this node.
    private let node: any Ensemble
    private let cache: RowCache
    private let notice: (String) -> Void

    /// Caches for the run of `configuration`; nil where none of its data sets is cached. Collective.
    ///
    /// - Parameter notice: gets a line while a node waits for another that makes an entry, on rank zero.
    init?(
        _ configuration: TrainingConfiguration, ensemble: any Ensemble, notice: @escaping (String) -> Void
    ) throws {
        let arguments = configuration.arguments
        guard arguments.tokenCache != .never else { return nil }  // then nothing is streamed either
        let cache = RowCache(CacheFolder(arguments.tokenCacheFolder), arguments.tokenCache)
        let nodes = try ensemble.gatherCounts(ensemble.node)
        let ranks = Dictionary(grouping: nodes, by: { $0 }).values.map(\.count).max() ?? 1
        let specifications = configuration.trainDatasets + configuration.evalDatasets
        let isWanted = try ensemble.onRoot {
            specifications.contains { $0.isStreamed || cache.wants($0, ranks: ranks) }
        }
        guard isWanted else { return nil }
        self.configuration = configuration
        self.ensemble = ensemble
        self.cache = cache
        self.notice = { if ensemble.isRoot { notice($0) } }
        node = try ensemble.splitByNode().own
    }

    /// What becomes of each data set's rows. Collective.
    ///
    /// - Throws: what reading a data set throws, on every rank.
    func rows(_ specifications: [DatasetSpecification]) throws -> [RowCache.Outcome] {
        try specifications.map { specification in
            if specification.isStreamed { return try streamed(specification) }
            return try shared("read the data") {
                try node.onRoot { try cache.rows(of: specification, ranks: node.size, waiting: notice) }
            }
        }
    }

    /// The rows of a stream that the run trains on. Collective.
    private func streamed(_ specification: DatasetSpecification) throws -> RowCache.Outcome {
        let arguments = configuration.arguments
        let batch = try ensemble.onRoot {
            RunDirectory.keptBatch(in: configuration.outputDirectory)?.askedRows
                ?? arguments.trainBatchRows(world: ensemble.size)
        }
        let rows = arguments.maxSteps * arguments.gradientAccumulationSteps * batch
        if try ensemble.onRoot({ specification.isReadOnce }) {
            return try ensemble.onRoot { try cache.streamed(specification, rows: rows, waiting: notice) }
        }
        return try shared("read the stream") {
            try node.onRoot { try cache.streamed(specification, rows: rows, waiting: notice) }
        }
    }

    /// Deletes the files of a data set that belong to this run alone; they stay mapped. Collective.
    func forget(_ dataset: TrainingDataset) throws {
        guard let store = dataset.table.store, store.isTemporary else { return }
        try ensemble.onRoot {
            for path in [store.path, dataset.tokens?.path].compactMap({ $0 }) { try AtomicWrite.removeTree(path) }
        }
    }

    /// The tokens of a data set that is in the cache, as `model` reads them. Collective.
    ///
    /// - Parameter texts: how its columns become tokens.
    /// - Throws: `.retryable` where the cache cannot be written, on every rank.
    func tokens(of store: RowStore, columns: Int, _ texts: Collator) throws -> TokenStore {
        let digest = texts.digest(columns: columns)
        let rows = store.path.split(separator: "/").last.map(String.init) ?? ""
        let name = "tokens-" + hexadecimalDigest(ofText: rows + digest).prefix(32)
        let place = cache.folder.entry(name)
        let isMade = try shared("make the tokens") {
            try make(name, place) { number, parts in
                try TokenWriting(store: store, columns: columns, collator: texts).write(
                    part: number, of: parts, threads: ensemble.computeThreads, to: place + ".tmp")
            } header: { parts in
                try TokenStore.writeHeader(
                    parts, bytesAnID: TokenWriting.bytesAnID(texts), readerDigest: digest, to: place + ".tmp")
            }
        }
        if isMade { notice("Tokens of \(store.rowCount) rows written to \(place).") }
        return try ensemble.together("open the tokens") { try TokenStore(path: place, isTrusted: true) }
    }

    /// Makes the entry unless it is there; false if it is. Collective of the node.
    private func make(
        _ name: String, _ place: String, part: (Int, Int) throws -> [TokenStore.Part],
        header: ([TokenStore.Part]) throws -> Void
    ) throws -> Bool {
        var lock: FolderLock?
        defer { lock?.release() }
        let isMissing = try node.onRoot {
            if try isWhole(place, { _ in }) { return false }
            lock = try cache.folder.lock(name, waiting: notice)
            if try isWhole(place, notice) { return false }
            _ = try AtomicWrite.beginDirectory(finalPath: place)
            return true
        }
        guard isMissing else { return false }
        do {
            let own = try node.together("make the tokens") { try part(node.rank, node.size) }
            let all = try node.gather([UInt8](JSONEncoder().encode(own)))
            try node.onRoot {
                try header(all.flatMap { try JSONDecoder().decode([TokenStore.Part].self, from: Data($0)) })
                try AtomicWrite.endDirectory(finalPath: place)
            }
        } catch {
            // What was written is of no use to anybody; the error that came first is told.
            if node.isRoot { do throws(TuttiError) { try AtomicWrite.removeTree(place + ".tmp") } catch {} }
            throw error
        }
        return true
    }

    private func isWhole(_ place: String, _ notice: (String) -> Void) throws(TuttiError) -> Bool {
        try CacheFolder.isWhole(notice) { () throws(TuttiError) in _ = try TokenStore(path: place) }
    }

    /// Runs a collective of each node on all nodes; an error on one is everybody's.
    private func shared<Value>(_ operation: String, _ body: () throws -> Value) throws -> Value {
        let outcome = Result(catching: body)
        return try ensemble.together(operation) { try outcome.get() }
    }
}
