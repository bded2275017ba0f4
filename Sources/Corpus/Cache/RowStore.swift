// The rows of a data set in files: what a table in memory holds, mapped, so that a run over any number of rows keeps
// nothing of them in memory but their order.
//
//   texts      the UTF-8 of all texts, row by row           offsets   where each is, 4.1 bytes a text
//   labels     8 bytes a number, if there are labels        numbers   4 bytes a text: equal texts have equal numbers
//   rows.json  names, counts, digests, under a digest of its own
//
// A folder is written whole under another name and then renamed (CacheFolder), so one that is there is whole unless its
// disk has damaged it: sizes, offsets, labels and numbers are checked when it is opened, texts page by page as they are read.

import Foundation
import TuttiFormats
import TuttiGround

/// Rows in the files of a cache.
package final class RowStore: Sendable {
    /// The format that is written, and the newest that is read.
    static let format = 1
    static let header = "rows.json"

    /// Its folder.
    package let path: String
    let columnNames: [String]
    let labelName: String?
    /// As of a table; nil where it is last.
    let labelPlace: Int?
    /// The number of rows.
    package let rowCount: Int
    let texts: CheckedFile
    let offsets: OffsetTable
    let labels: LabelColumn
    /// The number of every text: 0 of one that occurs once, else equal for equal texts and from 1 to `repeatedTexts`.
    let numbers: NumberColumn<UInt32>
    let repeatedTexts: Int
    /// As `Table.contentDigest`.
    package let contentDigest: String
    let notices: [String]
    /// What the rows were read from when they were written.
    let sources: [SourceFile]

    /// Opens the folder at `path`.
    ///
    /// - Parameter isTrusted: whether another process of this machine has just checked the tables of the folder.
    /// - Throws: `.missingFile` without it; `.data` if it is damaged or of a newer format.
    package init(path: String, isTrusted: Bool = false) throws(TuttiError) {
        self.path = path
        let json = try CacheFolder.header(path + "/" + RowStore.header, format: RowStore.format)
        func file(_ name: String) throws(TuttiError) -> CheckedFile {
            let member = json["files"]?[name] ?? .null
            return try CheckedFile(
                path: "\(path)/\(member["name"]?.string ?? name)", try CacheFolder.extent(member, path))
        }
        guard let rows = json["rows"]?.int, rows > 0, rows <= Int(Int32.max),
            let names = json["columns"]?.array?.compactMap(\.string), !names.isEmpty,
            let digest = json["content_sha256"]?.string, let repeated = json["repeated_texts"]?.int
        else { throw CacheFolder.damaged(path + "/" + RowStore.header) }
        columnNames = names
        rowCount = rows
        contentDigest = digest
        repeatedTexts = repeated
        labelName = json["label"]?.string
        labelPlace = json["label_place"]?.int
        notices = json["notices"]?.array?.compactMap(\.string) ?? []
        sources = json["sources"]?.array?.compactMap { SourceFile($0) } ?? []
        texts = try file("texts")
        let ends = try file("offsets")
        offsets = try OffsetTable(ends, count: rows * names.count, path: path + "/offsets")
        let numbering = try file("numbers")
        numbers = NumberColumn(numbering)
        guard numbers.count == offsets.count else { throw CacheFolder.damaged(path + "/numbers") }
        var checked = [ends, numbering]
        switch json["label_kind"]?.string {
        case nil: labels = .none
        case "integers", "floats", "lists":
            let numbers = try file("labels")
            checked.append(numbers)
            let width = json["label_width"]?.int ?? 1
            guard width > 0, numbers.bytes.count == 8 * width * rows else {
                throw CacheFolder.damaged(path + "/labels")
            }
            switch json["label_kind"]?.string {
            case "integers": labels = .integers(NumberColumn(numbers))
            case "floats": labels = .floats(NumberColumn(numbers))
            default: labels = .lists(NumberColumn(numbers), width: width)
            }
        default: throw CacheFolder.damaged(path + "/" + RowStore.header)
        }
        guard !isTrusted else { return }
        for file in checked { try file.checkAll() }
        let last = offsets[offsets.count - 1]
        guard last.upperBound == texts.bytes.count else { throw CacheFolder.damaged(path + "/offsets") }
    }

    /// Compares the texts of row `row` with their fingerprints.
    ///
    /// Throws: `.data` if they are damaged.
    package func check(row: Int) throws(TuttiError) {
        let width = columnNames.count
        try texts.check(offsets[row * width].lowerBound..<offsets[row * width + width - 1].upperBound)
    }

    /// Whether it belongs to one run, which deletes it.
    package var isTemporary: Bool { path.split(separator: "/").last?.hasPrefix("stream-") ?? false }

    /// Text `number`, counted row by row.
    package func text(_ number: Int) -> String { TableTexts.stored(self).string(number) }

    /// Gives back the memory of all pages that were read.
    package func release() {
        texts.release()
        offsets.release()
    }

    /// The table of all rows, as if it had been read from `source`, the files `paths`.
    func table(source: String, paths: [String]) -> Table {
        // Notices begin with the name of a file, which may be another one now.
        let notices = notices.map { line in
            for (old, new) in zip(sources.map(\.path), paths) where line.hasPrefix(old + ":") {
                return new + line.dropFirst(old.count)
            }
            return line
        }
        return Table(
            columnNames: columnNames, rowCount: rowCount, labelName: labelName,
            labelPlace: labelPlace.map { max(0, $0) },
            source: source, texts: .stored(self), labels: labels, notices: notices)
    }
}

extension Table {
    /// Where its rows are, if they are in files of a cache.
    package var store: RowStore? { if case .stored(let store) = texts { store } else { nil } }

    /// The number of a cell's text in the files of a cache.
    package func storedText(row: Int, column: Int) -> Int { number(row: row, column: column) }

    /// Compares the texts of rows with the fingerprints of their files, if they are in files of a cache.
    ///
    /// Throws: `.data` where one is damaged.
    package func check(rows: some Sequence<Int32>) throws(TuttiError) {
        guard let store else { return }
        for row in rows { try store.check(row: selection.map { Int($0[Int(row)]) } ?? Int(row)) }
    }
}
