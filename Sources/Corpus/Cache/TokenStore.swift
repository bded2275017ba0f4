// The token ids of all texts of a `RowStore`, as one model reads them, in files: 2 bytes a token where every id fits, else 4,
// and 4.1 bytes a text.
//
// The ranks of a node write it together, a stretch of texts each, so there are several parts; which text is where follows
// from the header. Ids are checked page by page as they are read.

import Foundation
import Synchronization
import TuttiFormats
import TuttiGround

/// Token ids in the files of a cache.
package final class TokenStore: Sendable {
    private static let format = 1
    private static let header = "tokens.json"
    /// Texts that are read before the memory of their pages is given back: the system maps up to 64 KB around each.
    private static let textsAtATime = 2048

    /// A stretch of texts.
    package struct Part: Sendable, Codable {
        /// Its first text, and how many it has.
        let first, count: Int
        let ids, offsets: CheckedFile.Extent
    }

    private struct OpenPart: Sendable {
        let first: Int
        let ids: CheckedFile
        let offsets: OffsetTable
    }

    /// Its folder.
    package let path: String
    /// The digest of how texts became tokens.
    package let readerDigest: String
    private let parts: [OpenPart]
    private let bytesAnID: Int
    private let reads: ReadCount

    /// Opens the folder at `path`.
    ///
    /// - Parameter isTrusted: whether another process of this machine has just checked the tables of the folder.
    /// - Throws: `.missingFile` without it; `.data` if it is damaged or of a newer format.
    package init(path: String, isTrusted: Bool = false) throws(TuttiError) {
        self.path = path
        let file = path + "/" + TokenStore.header
        let json = try CacheFolder.header(file, format: TokenStore.format)
        guard let width = json["bytes_an_id"]?.int, width == 2 || width == 4,
            let reader = json["reader_sha256"]?.string,
            let texts = json["texts"]?.int, let members = json["parts"]?.array
        else { throw CacheFolder.damaged(file) }
        var parts: [OpenPart] = []
        var next = 0
        for (number, member) in members.enumerated() {
            guard member["first"]?.int == next, let count = member["count"]?.int else {
                throw CacheFolder.damaged(file)
            }
            let ids = try CheckedFile(
                path: TokenStore.idFile(path, number), CacheFolder.extent(member["ids"] ?? .null, file))
            let ends = try CheckedFile(
                path: TokenStore.offsetFile(path, number), CacheFolder.extent(member["offsets"] ?? .null, file))
            if !isTrusted { try ends.checkAll() }
            let offsets = try OffsetTable(ends, count: count, path: path)
            guard count == 0 || isTrusted || offsets[count - 1].upperBound == ids.bytes.count else {
                throw CacheFolder.damaged(TokenStore.offsetFile(path, number))
            }
            parts.append(OpenPart(first: next, ids: ids, offsets: offsets))
            next += count
        }
        guard next == texts else { throw CacheFolder.damaged(file) }
        (self.parts, bytesAnID, readerDigest, reads) = (parts, width, reader, ReadCount())
    }

    /// Appends the ids of text `text` to `ids`.
    ///
    /// Throws: `.data` where their page is damaged.
    package func read(_ text: Int, appendingTo ids: inout [Int32]) throws(TuttiError) {
        guard let part = parts.last(where: { $0.first <= text }) else {
            preconditionFailure("TokenStore: no text \(text)")
        }
        let range = part.offsets[text - part.first]
        try part.ids.check(range)
        let bytes = UnsafeRawBufferPointer(rebasing: part.ids.bytes[range])
        for place in stride(from: 0, to: bytes.count, by: bytesAnID) {
            ids.append(
                bytesAnID == 2
                    ? Int32(bytes.loadUnaligned(fromByteOffset: place, as: UInt16.self))
                    : bytes.loadUnaligned(fromByteOffset: place, as: Int32.self))
        }
        if reads.next() % TokenStore.textsAtATime == 0 {
            for part in parts {
                part.ids.release()
                part.offsets.release()
            }
        }
    }

    // MARK: Writing

    /// Where the ids of part `number` are in `folder`.
    private static func idFile(_ folder: String, _ number: Int) -> String { "\(folder)/ids-\(number)" }
    private static func offsetFile(_ folder: String, _ number: Int) -> String { "\(folder)/offsets-\(number)" }

    /// Writes part `number`, the texts `texts`, whose ids `tokens` appends.
    ///
    /// - Throws: `.retryable` with the system's reason; what `tokens` throws.
    package static func writePart(
        _ number: Int, texts: Range<Int>, bytesAnID: Int, to folder: String,
        tokens: (Int, inout [Int32]) throws(TuttiError) -> Void
    ) throws(TuttiError) -> Part {
        let ids = try CheckedFileWriter(path: idFile(folder, number))
        var offsets = try OffsetTableWriter(path: offsetFile(folder, number))
        var some: [Int32] = []
        for text in texts {
            some.removeAll(keepingCapacity: true)
            try tokens(text, &some)
            if bytesAnID == 2 {
                for id in some { try ids.append(UInt16(truncatingIfNeeded: id)) }
            } else {
                for id in some { try ids.append(id) }
            }
            try offsets.append(length: some.count * bytesAnID)
        }
        return Part(first: texts.lowerBound, count: texts.count, ids: try ids.finish(), offsets: try offsets.finish())
    }

    /// Writes the header of the parts in `folder`, which makes them whole.
    ///
    /// Throws: `.retryable` with the system's reason.
    package static func writeHeader(
        _ parts: [Part], bytesAnID: Int, readerDigest: String, to folder: String
    ) throws(TuttiError) {
        var header = JSONObject()
        header["bytes_an_id"] = .integer(Int64(bytesAnID))
        header["reader_sha256"] = .string(readerDigest)
        header["texts"] = .integer(Int64(parts.reduce(0) { $0 + $1.count }))
        header["parts"] = .array(
            parts.enumerated().map { number, part in
                .object([
                    "first": .integer(Int64(part.first)), "count": .integer(Int64(part.count)),
                    "ids": CacheFolder.json(part.ids, file: "ids-\(number)"),
                    "offsets": CacheFolder.json(part.offsets, file: "offsets-\(number)"),
                ])
            })
        try CacheFolder.write(header, to: folder + "/" + TokenStore.header, format: TokenStore.format)
    }
}

/// Counts what several threads read.
private final class ReadCount: Sendable {
    private let count = Atomic<Int>(0)

    func next() -> Int { count.wrappingAdd(1, ordering: .relaxed).newValue }
}
