// Large binary files whose pages are checked as they are read: data, then a fingerprint of every page.
//
// A cache of many gigabytes cannot be read whole before each start. The size is checked when the file is opened, and so is
// the list of fingerprints; a page of data is compared with its own when it is first used. Who opens a file knows its
// `Extent`, which is written elsewhere, in a header with a digest of its own.

import Foundation
import Synchronization
import TuttiGround

/// A mapped file with a fingerprint of every page.
package final class CheckedFile: Sendable {
    /// How long a file is, and what its list of fingerprints is.
    package struct Extent: Sendable, Equatable, Codable {
        /// Bytes of data.
        package let bytes: Int
        /// The fingerprint of the list.
        package let sum: UInt64

        /// An extent as it was written down.
        package init(bytes: Int, sum: UInt64) { (self.bytes, self.sum) = (bytes, sum) }
    }

    /// Bytes of a page.
    static let page = 4096

    /// The data; valid as long as this object.
    package nonisolated(unsafe) let bytes: UnsafeRawBufferPointer
    private let file: MappedFile
    private let checked: Mutex<[Bool]>

    /// Opens the file at `path`, of which `extent` was written down.
    ///
    /// Throws: `.missingFile`; `.data` for a file of another length, or whose list of fingerprints is damaged.
    package init(path: String, _ extent: Extent) throws(TuttiError) {
        file = try MappedFile(path: path)
        let pages = (extent.bytes + CheckedFile.page - 1) / CheckedFile.page
        guard extent.bytes >= 0, file.bytes.count == extent.bytes + pages * MemoryLayout<UInt64>.size else {
            throw CheckedFile.damaged(path, "has \(file.bytes.count) bytes, which is not the length that was written")
        }
        bytes = UnsafeRawBufferPointer(rebasing: file.bytes[..<extent.bytes])
        guard CheckedFile.sum(of: UnsafeRawBufferPointer(rebasing: file.bytes[extent.bytes...])) == extent.sum else {
            throw CheckedFile.damaged(path, "has damaged fingerprints")
        }
        checked = Mutex([Bool](repeating: false, count: pages))
    }

    /// Compares the pages of `range` with their fingerprints, those that were not compared before.
    ///
    /// Throws: `.data` for one that differs.
    package func check(_ range: Range<Int>) throws(TuttiError) {
        guard !range.isEmpty else { return }
        precondition(
            range.lowerBound >= 0 && range.upperBound <= bytes.count, "CheckedFile: \(range) of \(bytes.count)")
        let pages = (range.lowerBound / CheckedFile.page)...((range.upperBound - 1) / CheckedFile.page)
        let damage = checked.withLock { checked -> Int? in
            for page in pages where !checked[page] {
                guard isWhole(page) else { return page }
                checked[page] = true
            }
            return nil
        }
        guard let damage else { return }
        throw CheckedFile.damaged(file.path, "is damaged near byte \(damage * CheckedFile.page)")
    }

    /// Compares all pages, and gives their memory back.
    ///
    /// Throws: `.data` for one that differs.
    package func checkAll() throws(TuttiError) {
        let stretch = 64 << 20
        for start in stride(from: 0, to: bytes.count, by: stretch) {
            try check(start..<min(bytes.count, start + stretch))
            release()
        }
    }

    /// Gives back the memory of the pages that were read; they are read again when they are used.
    package func release() { file.releasePages() }

    private func isWhole(_ page: Int) -> Bool {
        let start = page * CheckedFile.page
        let data = UnsafeRawBufferPointer(rebasing: bytes[start..<min(bytes.count, start + CheckedFile.page)])
        let place = bytes.count + page * MemoryLayout<UInt64>.size
        return fingerprint(data) == file.bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
    }

    /// The fingerprint of a list of fingerprints; that of an empty one does not depend on where it is.
    fileprivate static func sum(of list: UnsafeRawBufferPointer) -> UInt64 { list.isEmpty ? 0 : fingerprint(list) }

    private static func damaged(_ path: String, _ problem: String) -> TuttiError {
        TuttiError(.data, "read the cache", path, problem, hint: "Delete its folder; the next run makes it again.")
    }
}

/// Writes a `CheckedFile`.
package final class CheckedFileWriter {
    /// Bytes of data so far.
    package private(set) var count = 0
    private let output: OutputFile
    private var page = [UInt8](repeating: 0, count: CheckedFile.page)
    private var filled = 0
    private var sums: [UInt64] = []

    /// Creates the file at `path`.
    ///
    /// Throws: as `OutputFile`.
    package init(path: String) throws(TuttiError) { output = try OutputFile(path: path) }

    /// Adds bytes.
    ///
    /// Throws: `.retryable` with the path and the system's reason.
    package func append(_ bytes: UnsafeRawBufferPointer) throws(TuttiError) {
        count += bytes.count
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(CheckedFile.page - filled)
            page.withUnsafeMutableBytes { page in
                UnsafeMutableRawBufferPointer(rebasing: page[filled..<filled + piece.count]).copyBytes(from: piece)
            }
            filled += piece.count
            rest = rest.dropFirst(piece.count)
            if filled == CheckedFile.page { try endPage() }
        }
    }

    /// Adds a number, its lowest byte first.
    ///
    /// Throws: `.retryable` with the path and the system's reason.
    package func append(_ number: some FixedWidthInteger & BitwiseCopyable) throws(TuttiError) {
        let number = number.littleEndian
        var failure: TuttiError?
        withUnsafeBytes(of: number) { bytes in
            do throws(TuttiError) { try append(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Makes the file durable.
    ///
    /// Throws: `.retryable` with the path and the system's reason.
    package func finish() throws(TuttiError) -> CheckedFile.Extent {
        if filled > 0 { try endPage() }
        let sum = try sums.withUnsafeBufferPointer { sums throws(TuttiError) in
            let bytes = UnsafeRawBufferPointer(sums)
            try output.write(bytes)
            return CheckedFile.sum(of: bytes)
        }
        try output.finish()
        return CheckedFile.Extent(bytes: count, sum: sum)
    }

    private func endPage() throws(TuttiError) {
        try page.withUnsafeBufferPointer { page throws(TuttiError) in
            let data = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(page)[..<filled])
            sums.append(fingerprint(data))
            try output.write(data)
        }
        filled = 0
    }
}
