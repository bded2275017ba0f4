// Finds or makes the rows of a data set in the cache: which data sets can be there, under which name, and how they get there.
//
// The name of an entry is the digest of the content of the files and of how they are read. What comes after reading - the
// filter, the shuffling, the share for validation - is applied to the entry at each start, as to a table in memory.

import Foundation
import TuttiFormats
import TuttiGround

/// When the rows and tokens of data sets are kept in files.
public enum TokenCacheChoice: String, Sendable, CaseIterable {
    /// For data sets that would take an eighth of the machine's memory or more.
    case auto
    /// For all data sets that can be.
    case always
    /// For none.
    case never
}

/// The rows of data sets in the cache.
package struct RowCache: Sendable {
    /// What became of a data set.
    package enum Outcome: Sendable, Codable {
        /// Its rows are in this folder, read from these files; `notice` says how they got there.
        case stored(path: String, sources: [SourceFile], notice: String)
        /// It is read into memory; why, if that is not what was asked for.
        case plain(reason: String?)
    }

    /// Where it is.
    package let folder: CacheFolder
    private let choice: TokenCacheChoice

    /// A cache in `folder`.
    package init(_ folder: CacheFolder, _ choice: TokenCacheChoice) {
        self.folder = folder
        self.choice = choice
    }

    /// Bytes that a byte of a compressed or columnar file stands for.
    private static let expansion = 4
    /// The share of the machine's memory that data may take before `auto` keeps them in files.
    private static let share = 8

    /// The rows of the data set `specification`, made if they are not there. One process a machine calls it; others wait.
    ///
    /// - Parameters:
    ///   - ranks: processes of this machine that would each hold the rows in memory.
    ///   - waiting: gets one line while another process makes them.
    /// - Throws: what reading the data set throws; `.retryable` where the cache cannot be written.
    package func rows(
        of specification: DatasetSpecification, ranks: Int, waiting: (String) -> Void
    ) throws(TuttiError) -> Outcome {
        let paths: [String]
        let options: ReaderOptions
        switch try files(of: specification, ranks: ranks) {
        case .failure(let refusal): return .plain(reason: refusal.reason)
        case .success(let files): (paths, options) = files
        }
        var sources: [SourceFile] = []
        for path in paths { sources.append(try SourceFile(reading: path, kept: folder)) }
        let name = "rows-" + key(specification, options, sources).prefix(32)
        let place = folder.entry(name)
        let found = Outcome.stored(path: place, sources: sources, notice: "rows found in \(place)")
        if try isWhole(place, { _ in }) { return found }
        let lock = try folder.lock(name, waiting: waiting)
        defer { lock.release() }
        if try isWhole(place, waiting) { return found }
        let began = Date()
        var isDeclined = false
        do {
            try AtomicWrite.directory(finalPath: place) { temporary in
                isDeclined = try !write(specification, options, sources, to: temporary)
                for source in sources { try source.checkIsUnchanged() }
                if isDeclined { throw TuttiError(.data, "make the cache", place, "lists") }
            }
        } catch {
            if isDeclined { return .plain(reason: declined("made of lists").reason) }
            throw TuttiError(error)
        }
        let seconds = (10 * Date().timeIntervalSince(began)).rounded() / 10
        return .stored(path: place, sources: sources, notice: "rows written to \(place) in \(seconds) s")
    }

    /// The first `count` rows of a data set that is streamed. One process of the run calls it where the source can be read
    /// once only, else one a machine.
    ///
    /// The folder of a source that can be read once only is the caller's to delete, when all ranks have opened it.
    /// - Throws: as `rows(of:)`.
    package func streamed(
        _ specification: DatasetSpecification, rows count: Int, waiting: (String) -> Void
    ) throws(TuttiError) -> Outcome {
        guard specification.isReadOnce else {
            var limited = specification
            let first = specification.rows?.first ?? 0
            limited.rows = RowWindow(first: first, end: min(specification.rows?.end ?? Int.max, first + count))
            let outcome = try RowCache(folder, .always).rows(of: limited, ranks: 1, waiting: waiting)
            guard case .plain(let reason) = outcome else { return outcome }
            throw TuttiError(
                .usage, "read the stream", specification.path, "cannot be streamed: \(reason ?? "")",
                hint: "Remove streaming: true.")
        }
        let stream = try StreamedRows(specification)
        let number = "\(ProcessInfo.processInfo.processIdentifier)-\(UInt32.random(in: 0...(.max)))"
        let place = folder.entry("stream-" + number)
        do {
            try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true)
            try AtomicWrite.directory(finalPath: place) { try stream.write(rows: count, to: $0) }
        } catch {
            throw TuttiError(error)
        }
        return .stored(path: place, sources: [], notice: "rows read from the stream, \(count) at most")
    }

    /// Whether a data set is to be in the cache, as far as its files tell; not if they tell that it cannot be read.
    package func wants(_ specification: DatasetSpecification, ranks: Int) -> Bool {
        guard choice != .always else { return true }  // and says why, where it cannot be
        do throws(TuttiError) {
            if case .success = try files(of: specification, ranks: ranks) { return true }
        } catch {}  // reading it says what is wrong
        return false
    }

    /// The files of a data set and how they are read; or why it is not in the cache.
    private func files(
        of specification: DatasetSpecification, ranks: Int
    ) throws(TuttiError) -> Result<(paths: [String], options: ReaderOptions), Refusal> {
        guard choice != .never else { return .failure(Refusal(reason: nil)) }
        var paths: [String] = []
        for part in try DatasetFiles.parts(of: specification) {
            guard case .file(let path) = part else { return .failure(declined("a retrieval data set")) }
            paths.append(path)
        }
        var options = specification.options
        options.takesAbsentTexts = specification.filter.empty
        for path in paths {
            if let refusal = DatasetReaders.refusal(of: path) { throw refusal }
            guard DatasetReaders.isBuiltIn(try DatasetReaders.reader(for: path, options: options)) else {
                return .failure(declined("read by a reader of the caller's own"))
            }
        }
        if choice == .auto, try !isLarge(paths, ranks: ranks) { return .failure(Refusal(reason: nil)) }
        return .success((paths, options))
    }

    /// Why a data set is not in the cache; no reason where nobody asked for it.
    private struct Refusal: Error {
        let reason: String?
    }

    private func declined(_ why: String) -> Refusal {
        Refusal(reason: "it is \(why), which is read into memory")
    }

    private func isWhole(_ place: String, _ notice: (String) -> Void) throws(TuttiError) -> Bool {
        try CacheFolder.isWhole(notice) { () throws(TuttiError) in _ = try RowStore(path: place) }
    }

    private func isLarge(_ paths: [String], ranks: Int) throws(TuttiError) -> Bool {
        var bytes = 0
        for path in paths {
            var status = stat()
            guard stat(path, &status) == 0 else { throw DatasetFiles.missing(path) }
            let isPlain =
                FileCompression(extensionOf: path) == nil
                && !(ParquetReader.extensions + ArrowReader.extensions).contains(DatasetReaders.fileExtension(of: path))
            bytes += Int(status.st_size) * (isPlain ? 1 : RowCache.expansion)
        }
        return UInt64(bytes) * UInt64(ranks) > ProcessInfo.processInfo.physicalMemory / UInt64(RowCache.share)
    }

    /// The digest of all that decides the rows.
    private func key(
        _ specification: DatasetSpecification, _ options: ReaderOptions, _ sources: [SourceFile]
    ) -> String {
        var reading = specification
        reading.paths = [""]
        reading.split = nil
        reading.filter = RowFilter()
        reading.shuffle = nil
        reading.validationSplit = nil
        reading.isStreamed = false
        var digest = Digest()
        digest.update("tutti rows")
        digest.update(RowStore.format)
        digest.update(reading.optionJSON.serialized(sortKeys: true))
        digest.update(options.takesAbsentTexts ? 1 : 0)
        for source in sources {
            digest.update(DatasetReaders.fileExtension(of: source.path))
            digest.update(source.digest)
        }
        return digest.hexadecimal
    }

    /// Reads the files of a data set into `folder`; false where a column has lists.
    private func write(
        _ specification: DatasetSpecification, _ options: ReaderOptions, _ sources: [SourceFile], to folder: String
    ) throws(TuttiError) -> Bool {
        let writer = try RowStoreWriter(folder: folder, firstRow: specification.rows?.first ?? 0)
        var options = options
        options.sink = writer
        let end = specification.rows?.end
        var first: Table?
        var notices: [String] = []
        for source in sources {
            if let end {
                guard writer.rows < end else { break }
                options.rowLimit = end - writer.rows
            }
            let file = try MappedFile.unpacked(path: source.path)
            writer.reading = file
            let reader = try DatasetReaders.reader(for: source.path, options: options)
            let head: Table
            do throws(TuttiError) {
                head = try reader.read(file, columns: specification.columns, options: options)
            } catch {
                if writer.hasLists { return false }
                try writer.checkFailure(file: source.path, first: first?.source ?? source.path)
                throw error
            }
            try writer.checkFailure(file: source.path, first: first?.source ?? source.path)
            try first?.checkJoins(head)
            notices += head.notices
            first = first ?? head
        }
        guard let first else { throw TuttiError(.data, "read table", specification.path, "names no file") }
        try writer.finish(of: first, source: specification.path, notices: notices, sources: sources)
        return true
    }
}

/// The table of the data set `specification` whose rows are in `store`, filtered and shuffled as it says.
///
/// Throws: `.data` where no row passes the filter.
package func loadTable(
    _ specification: DatasetSpecification, from store: RowStore
) throws(TuttiError) -> Table {
    let parts = specification.isReadOnce ? [] : try DatasetFiles.parts(of: specification)
    let paths = parts.map { part in
        if case .file(let path) = part { path } else { "" }
    }
    let table = try specification.filter.rows(of: store.table(source: specification.path, paths: paths))
    return specification.shuffle?.rows(of: table) ?? table
}

extension DatasetSpecification {
    /// Whether its source can be read once only.
    package var isReadOnce: Bool { isStreamed && paths.contains(where: StreamPieces.isOnce) }
}
