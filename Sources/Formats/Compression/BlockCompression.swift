// Blocks of compressed bytes that tell how long they are unpacked: pages of Parquet, buffers of Arrow.

import CCompression
import Foundation

/// The compression of a block.
enum BlockCompression {
    case snappy, gzip, zstd, lz4, lz4Hadoop, lz4Frame

    private var kind: tutti_block {
        switch self {
        case .snappy: TUTTI_BLOCK_SNAPPY
        case .gzip: TUTTI_BLOCK_GZIP
        case .zstd: TUTTI_BLOCK_ZSTD
        case .lz4: TUTTI_BLOCK_LZ4
        case .lz4Hadoop: TUTTI_BLOCK_LZ4_HADOOP
        case .lz4Frame: TUTTI_BLOCK_LZ4_FRAME
        }
    }

    /// The most bytes that one byte can unpack to.
    var greatestRatio: Int {
        switch self {
        case .snappy: 64
        case .gzip: 1032
        case .lz4, .lz4Hadoop, .lz4Frame: 256
        case .zstd: 32_768  // a block of 4 bytes that repeats one 128 K times: RFC 8878, 3.1.1.2
        }
    }

    /// Unpacks `bytes` to `count` bytes.
    func unpack(_ bytes: UnsafeRawBufferPointer, count: Int) throws(Damage) -> OwnedBytes {
        // A damaged length must not ask for memory that the block could never fill.
        if count / greatestRatio > bytes.count {
            throw Damage("\(bytes.count) bytes cannot unpack to \(count)")
        }
        let owned = try OwnedBytes(count: count)
        let result = tutti_unpack_block(
            kind, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count,
            owned.writable.bindMemory(to: UInt8.self).baseAddress, count)
        switch result {
        case TUTTI_UNPACKED: return owned
        case TUTTI_OTHER_LENGTH: throw Damage("compressed data do not unpack to the \(count) bytes that they should")
        case TUTTI_TRUNCATED: throw Damage("compressed data end too early")
        case TUTTI_NO_MEMORY: throw Damage("there is no memory to unpack \(count) bytes")
        default: throw Damage("compressed data are damaged")
        }
    }
}

/// The CRC-32 of zlib.
func crc32(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    tutti_crc32(bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
}

/// Bytes in memory, given back with the object.
final class OwnedBytes {
    let writable: UnsafeMutableRawBufferPointer

    /// Memory of `count` bytes, not written yet.
    init(count: Int) throws(Damage) {
        guard let address = malloc(max(1, count)) else { throw Damage("there is no memory for \(count) bytes") }
        writable = UnsafeMutableRawBufferPointer(start: address, count: count)
    }

    deinit { free(writable.baseAddress) }

    /// The bytes; valid as long as this object.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(writable) }
}
