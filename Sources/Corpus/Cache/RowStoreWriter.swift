// Writes the rows of a data set to the files of a `RowStore` while readers read them: never more than a few pages of them
// are in memory.
//
// A `TableBuilder` hands its texts and labels over one by one. Failures are kept until the reader has stopped, because
// building a table does not throw.

import Foundation
import TuttiFormats
import TuttiGround

/// Where the rows of a data set go that are not kept in memory. Used by one thread at a time.
final class RowStoreWriter: @unchecked Sendable, Equatable {
    private let folder: String
    /// Rows before this one are left out.
    private let firstRow: Int
    private let texts: CheckedFileWriter
    private let digests: CheckedFileWriter
    private var offsets: OffsetTableWriter
    private var labels: LabelFile
    private var width = 0
    private var cells = 0
    private var labelCount = 0
    private var failure: TuttiError?
    /// Whether a column has lists, which have no place here.
    private(set) var hasLists = false
    /// The file that is being read, of which no more is kept in memory than need be.
    var reading: MappedFile?
    private var unreleased = 0

    /// Writes to `folder`, which is there.
    ///
    /// Throws: as `OutputFile`.
    init(folder: String, firstRow: Int) throws(TuttiError) {
        self.folder = folder
        self.firstRow = firstRow
        texts = try CheckedFileWriter(path: folder + "/texts")
        digests = try CheckedFileWriter(path: folder + "/digests")
        offsets = try OffsetTableWriter(path: folder + "/offsets")
        labels = LabelFile(folder: folder)
    }

    static func == (a: RowStoreWriter, b: RowStoreWriter) -> Bool { a === b }

    /// Whether nothing more can be taken.
    var hasFailed: Bool { failure != nil }

    /// Rows so far, those that are left out included.
    var rows: Int { width == 0 ? 0 : cells / width }

    func begin(textNames: [String]) { width = textNames.count }

    /// Refuses a column of lists, and says so afterwards.
    func refuseLists(_ place: String) -> TuttiError {
        hasLists = true
        return TuttiError(.data, "write the cache", place, "has lists, which are not cached")
    }

    func append(text: UnsafeRawBufferPointer) {
        defer { cells += 1 }
        guard failure == nil, cells >= firstRow * width else { return }
        do throws(TuttiError) {
            try texts.append(text)
            try offsets.append(length: text.count)
            try digests.append(TextNumbering.hash(text))
        } catch {
            failure = error
        }
        unreleased += text.count
        if unreleased > 64 << 20 {
            unreleased = 0
            reading?.releasePages()
        }
    }

    func append(label: Label) {
        defer { labelCount += 1 }
        guard failure == nil, labelCount >= firstRow else { return }
        do throws(TuttiError) { try labels.append(label) } catch { failure = error }
    }

    /// The error that stopped the writing, if one did.
    func checkFailure(file: String, first: String) throws(TuttiError) {
        guard let failure else { return }
        throw failure == LabelFile.mixed ? Table.otherLabels(file, first) : failure
    }

    /// Ends the files and writes the header: the store is then whole.
    ///
    /// - Parameter table: has the columns, and no rows.
    /// - Throws: `.data` without rows; `.retryable` with the system's reason.
    func finish(
        of table: Table, source: String, notices: [String], sources: [SourceFile]
    ) throws(TuttiError) {
        guard offsets.count > 0 else {
            throw TuttiError(.data, "read table", source, "has \(rows) rows, and rows: begins at \(firstRow)")
        }
        let count = offsets.count
        guard count / width <= Int(Int32.max), count < Int(UInt32.max) else {
            throw TuttiError(.data, "read table", source, "has more than \(Int32.max) rows")
        }
        var files = JSONObject()
        func note(_ name: String, _ extent: CheckedFile.Extent, file: String? = nil) throws(TuttiError) -> CheckedFile {
            files[name] = CacheFolder.json(extent, file: file ?? name)
            return try CheckedFile(path: "\(folder)/\(file ?? name)", extent)
        }
        let textFile = try note("texts", texts.finish())
        let offsetTable = try OffsetTable(note("offsets", offsets.finish()), count: count, path: folder)
        let digestFile = try CheckedFile(path: folder + "/digests", digests.finish())
        let numbering = StoredNumbering(texts: textFile, offsets: offsetTable, digests: NumberColumn(digestFile))
        let numberFile = try CheckedFileWriter(path: folder + "/numbers")
        for number in numbering.numbers { try numberFile.append(number) }
        _ = try note("numbers", numberFile.finish())
        unlink(folder + "/digests")
        var header = JSONObject()
        if let extent = try labels.finish() {
            _ = try note("labels", extent, file: labels.name)
            header["label_kind"] = .string(labels.kindName)
            header["label_width"] = .integer(Int64(labels.width))
        }
        header["columns"] = .array(table.columnNames.map { .string($0) })
        header["label"] = table.labelName.map { .string($0) }
        if table.labelPlace < table.columnNames.count { header["label_place"] = .integer(Int64(table.labelPlace)) }
        header["rows"] = .integer(Int64(count / width))
        header["repeated_texts"] = .integer(Int64(numbering.repeated))
        header["notices"] = .array(notices.map { .string($0) })
        header["sources"] = .array(sources.map(\.json))
        header["files"] = .object(files)
        header["content_sha256"] = .string("")
        try CacheFolder.write(header, to: folder + "/" + RowStore.header, format: RowStore.format)
        let store = try RowStore(path: folder, isTrusted: true)
        header["content_sha256"] = .string(
            Table.contentDigest(
                columnNames: table.columnNames, labelName: table.labelName, rowCount: store.rowCount,
                texts: .stored(store), labels: store.labels))
        try CacheFolder.write(header, to: folder + "/" + RowStore.header, format: RowStore.format)
    }
}

/// The labels in a file: whole numbers as such until a fraction comes, then all as fractions.
private struct LabelFile {
    /// What is thrown where labels are of two kinds; who knows the files says which.
    static let mixed = TuttiError(.data, "read labels", "", "labels of two kinds")

    private let folder: String
    private var file: CheckedFileWriter?
    private(set) var name = "labels"
    private(set) var kindName = ""
    /// Numbers of a row.
    private(set) var width = 1

    init(folder: String) { self.folder = folder }

    mutating func append(_ label: Label) throws(TuttiError) {
        if file == nil { file = try CheckedFileWriter(path: "\(folder)/\(name)") }
        switch (kindName, label) {
        case ("", .integer), ("integers", .integer): kindName = "integers"
        case ("", .float), ("floats", .float), ("floats", .integer): kindName = "floats"
        case ("integers", .float):
            try makeFractions()
            kindName = "floats"
        case ("", .floats(let values)): (kindName, width) = ("lists", values.count)
        case ("lists", .floats(let values)) where values.count == width: break
        default: throw LabelFile.mixed
        }
        switch label {
        case .integer(let value) where kindName == "integers": try file?.append(Int64(value))
        case .integer(let value): try file?.append(Double(value).bitPattern)
        case .float(let value): try file?.append(value.bitPattern)
        case .floats(let values): for value in values { try file?.append(value.bitPattern) }
        }
    }

    /// Writes the whole numbers once more, as fractions.
    private mutating func makeFractions() throws(TuttiError) {
        guard let written = try file?.finish() else { return }
        let whole = NumberColumn<Int>(try CheckedFile(path: "\(folder)/\(name)", written))
        unlink("\(folder)/\(name)")
        name = "labels-fractions"
        let fractions = try CheckedFileWriter(path: "\(folder)/\(name)")
        for value in whole { try fractions.append(Double(value).bitPattern) }
        file = fractions
    }

    mutating func finish() throws(TuttiError) -> CheckedFile.Extent? { try file?.finish() }
}
