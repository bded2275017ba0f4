// Where the members of a long list of byte strings end, in 4.1 bytes a member: groups of 64, each with the start of its
// first member in eight bytes and the ends of all relative to it in four.

import TuttiGround

/// The ranges of the members of a list.
package struct OffsetTable: Sendable {
    fileprivate static let group = 64
    fileprivate static let stride = 8 + 4 * group

    /// How many members there are.
    package let count: Int
    private let file: CheckedFile

    /// The table of `count` members in `file`.
    ///
    /// Throws: `.data` if the file has another length.
    package init(_ file: CheckedFile, count: Int, path: String) throws(TuttiError) {
        guard count >= 0, file.bytes.count == OffsetTable.bytes(of: count) else {
            throw TuttiError(
                .data, "read the cache", path, "is not a table of \(count) members",
                hint: "Delete its folder; the next run makes it again.")
        }
        self.count = count
        self.file = file
    }

    private static func bytes(of count: Int) -> Int {
        let rest = count % group
        return count / group * stride + (rest > 0 ? 8 + 4 * rest : 0)
    }

    /// Compares the whole table with its fingerprints, so that its ranges can be trusted.
    ///
    /// Throws: `.data` where it is damaged.
    package func checkAll() throws(TuttiError) { try file.checkAll() }

    /// Gives back the memory of the pages that were read.
    package func release() { file.release() }

    /// The range of member `index`.
    package subscript(index: Int) -> Range<Int> {
        precondition(index >= 0 && index < count, "OffsetTable: member \(index) of \(count)")
        let place = index / OffsetTable.group * OffsetTable.stride
        let inside = index % OffsetTable.group
        let start = Int(file.bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
        func end(_ inside: Int) -> Int {
            Int(file.bytes.loadUnaligned(fromByteOffset: place + 8 + 4 * inside, as: UInt32.self))
        }
        return start + (inside == 0 ? 0 : end(inside - 1))..<start + end(inside)
    }
}

/// Writes an `OffsetTable`.
package struct OffsetTableWriter {
    private let file: CheckedFileWriter
    /// Members so far.
    package private(set) var count = 0
    private var end = 0
    private var start = 0

    /// Creates the file at `path`.
    ///
    /// Throws: as `OutputFile`.
    package init(path: String) throws(TuttiError) { file = try CheckedFileWriter(path: path) }

    /// Adds a member of `length` bytes.
    ///
    /// Throws: `.data` where 64 members are longer than 4 GB; `.retryable` with the system's reason.
    package mutating func append(length: Int) throws(TuttiError) {
        if count % OffsetTable.group == 0 {
            start = end
            try file.append(UInt64(start))
        }
        end += length
        guard let relative = UInt32(exactly: end - start) else {
            throw TuttiError(.data, "write the cache", "", "texts of more than 4 GB in 64 rows cannot be cached")
        }
        try file.append(relative)
        count += 1
    }

    /// Makes the file durable.
    ///
    /// Throws: `.retryable` with the path and the system's reason.
    package func finish() throws(TuttiError) -> CheckedFile.Extent { try file.finish() }
}
