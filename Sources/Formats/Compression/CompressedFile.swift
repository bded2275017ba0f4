// Compressed files: .gz, .zst, .bz2 and .xz, told by their first bytes, so that the name does not matter.
//
// A compressed file is unpacked whole into memory that nobody else keeps: it goes away with the object, once its rows are
// in a table. Several members one after the other (`cat a.gz b.gz`, pigz, bgzip, pzstd) are one file, as their programs
// read them.

import CCompression
import TuttiGround

/// The compression of a whole file.
package enum FileCompression: CaseIterable, Sendable {
    case gzip, zstd, bzip2, xz

    /// The file extension, without the dot.
    package var fileExtension: String {
        switch self {
        case .gzip: "gz"
        case .zstd: "zst"
        case .bzip2: "bz2"
        case .xz: "xz"
        }
    }

    private var magic: [UInt8] {
        switch self {
        case .gzip: [0x1F, 0x8B]
        case .zstd: [0x28, 0xB5, 0x2F, 0xFD]
        case .bzip2: [0x42, 0x5A, 0x68]
        case .xz: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]
        }
    }

    private var stream: tutti_stream {
        switch self {
        case .gzip: TUTTI_STREAM_GZIP
        case .zstd: TUTTI_STREAM_ZSTD
        case .bzip2: TUTTI_STREAM_BZIP2
        case .xz: TUTTI_STREAM_XZ
        }
    }

    /// The compression that the first bytes of a file tell, or nil.
    package init?(of bytes: UnsafeRawBufferPointer) {
        guard let kind = FileCompression.allCases.first(where: { bytes.starts(with: $0.magic) }) else { return nil }
        // No text starts with these bytes but "BZh", which a digit and a magic number must follow in bzip2.
        if kind == .bzip2, bytes.count >= 10 {
            let isBlock = bytes[4..<10].elementsEqual([0x31, 0x41, 0x59, 0x26, 0x53, 0x59])
            let isEnd = bytes[4..<10].elementsEqual([0x17, 0x72, 0x45, 0x38, 0x50, 0x90])
            guard isBlock || isEnd else { return nil }
        }
        self = kind
    }

    /// The compression that the extension of `path` names, or nil.
    package init?(extensionOf path: String) {
        let lower = path.lowercased()
        guard let kind = FileCompression.allCases.first(where: { lower.hasSuffix("." + $0.fileExtension) }) else {
            return nil
        }
        self = kind
    }

    /// The bytes of `file`, unpacked.
    ///
    /// Throws: `.data` naming the file and the byte where it is damaged or ends; `.retryable` without memory.
    fileprivate func unpack(_ file: MappedFile) throws(TuttiError) -> UnsafeRawBufferPointer {
        var (start, length, consumed) = (UnsafeMutablePointer<UInt8>?.none, 0, 0)
        let from = file.bytes.bindMemory(to: UInt8.self)
        let result = tutti_unpack_stream(stream, from.baseAddress, from.count, &start, &length, &consumed)
        switch result {
        case TUTTI_UNPACKED: return UnsafeRawBufferPointer(start: start, count: length)
        case TUTTI_NO_MEMORY:
            throw TuttiError(.retryable, "unpack file", file.path, "there is no memory for what it unpacks to")
        case TUTTI_TRUNCATED:
            throw TuttiError(
                .data, "unpack file", file.path,
                "the .\(fileExtension) data end too early, after \(consumed) bytes",
                hint: "The file was cut off, as by a broken download; take it from its source again.")
        default:
            throw TuttiError(
                .data, "unpack file", file.path, "the .\(fileExtension) data are damaged near byte \(consumed)",
                hint: "Take the file from its source again.")
        }
    }
}

extension MappedFile {
    /// The file at `path`, unpacked if it is compressed.
    ///
    /// Throws: as `init(path:)`; `.data` for compressed data that are damaged or cut off, and for a file that is named
    /// as compressed but is not.
    package static func unpacked(path: String) throws(TuttiError) -> MappedFile {
        let file = try MappedFile(path: path)
        guard let kind = FileCompression(of: file.bytes) else {
            guard let named = FileCompression(extensionOf: path) else { return file }
            let isEmpty = file.bytes.isEmpty
            throw TuttiError(
                .data, "unpack file", path, isEmpty ? "the file is empty" : "is not compressed as its name says",
                hint: isEmpty
                    ? "Take it from its source again."
                    : "Rename it without .\(named.fileExtension), or take it from its source again.")
        }
        return MappedFile(path: path, owning: try kind.unpack(file))
    }
}
