// What the tests of this module share: files in a temporary folder, tables of made-up rows, errors as values.

import Foundation
import TestSupport
import TuttiCorpus
import TuttiFormats
import TuttiGround

/// A temporary folder that goes away with the object.
final class Scratch {
    private let folder: TemporaryDirectory
    var path: String { folder.path }

    init() throws { folder = try TemporaryDirectory() }

    /// Writes `text` to a file and gives its path.
    func file(_ name: String, _ text: String) throws -> String {
        try file(name, bytes: Array(text.utf8))
    }

    func file(_ name: String, bytes: [UInt8]) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
        return path + "/" + name
    }

    /// The table in a file of this content.
    func table(_ name: String, _ text: String, columns: [String]? = nil) throws -> Table {
        try loadTable(DatasetSpecification(path: try file(name, text), columns: columns))
    }

    /// The error of reading a file of this content, without the folder's name.
    func flaw(_ name: String, _ text: String, columns: [String]? = nil) throws -> TuttiError? {
        var error = failure { try table(name, text, columns: columns) }
        error?.subject.removeFirst(path.count + 1)
        return error
    }
}

/// The error that `body` throws, or nil.
func failure<Value>(_ body: () throws -> Value) -> TuttiError? {
    do {
        _ = try body()
        return nil
    } catch {
        return error as? TuttiError
    }
}

/// All rows of a table as texts.
func rows(_ table: Table) -> [[String]] {
    (0..<table.rowCount).map { row in table.columnNames.indices.map { table.text(row: row, column: $0) } }
}

/// A table with two columns of texts drawn from `anchors` and `positives` different ones; deterministic.
func madeTable(rows: Int, anchors: Int, positives: Int) throws -> Table {
    var generator = CounterRandom(seed: 99, epoch: 0, purpose: 77)
    let first = (0..<rows).map { _ in "anchor \(Int.random(in: 0..<anchors, using: &generator))" }
    let second = (0..<rows).map { _ in "positive \(Int.random(in: 0..<positives, using: &generator))" }
    return try Table(columns: [("anchor", first), ("positive", second)])
}
