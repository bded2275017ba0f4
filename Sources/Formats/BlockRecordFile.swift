// Records in blocks of 32 KB, as LevelDB's log has them and W&B's run files: a record is cut at the ends of blocks, each piece
// with a checksum, its length, and whether it is the whole, the first, a middle or the last one.
//
// W&B's file begins with seven bytes of its own, which count in the first block, and its checksums are plain CRC-32.
// Reference: github.com/google/leveldb/blob/main/doc/log_format.md; wandb/sdk/internal/datastore.py.

/// Framing of records in blocks.
package enum BlockRecordFile {
    private static let blockSize = 32_768, frame = 7
    private enum Piece: UInt8 { case whole = 1, first, middle, last }

    /// What a file begins with: ":W&B", its number, version 0.
    package static let header: [UInt8] = Array(":W&B".utf8) + [0xE1, 0xBE, 0]

    /// What a record with this data adds to a file of `length` bytes.
    package static func record(_ data: [UInt8], after length: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var (start, isFirst) = (0, true)
        while true {
            let left = blockSize - (length + bytes.count) % blockSize
            if left < frame {
                bytes += Array(repeating: 0, count: left)
                continue
            }
            let end = min(data.count, start + left - frame)
            let isLast = end == data.count
            let piece: Piece = isFirst ? (isLast ? .whole : .first) : isLast ? .last : .middle
            let part = [piece.rawValue] + data[start..<end]
            let sum = part.withUnsafeBytes { crc32($0) }
            bytes += withUnsafeBytes(of: sum.littleEndian) { Array($0) }
            bytes += [UInt8(truncatingIfNeeded: end - start), UInt8((end - start) >> 8)] + part
            if isLast { return bytes }
            (start, isFirst) = (end, false)
        }
    }

    /// The records of a file with what it begins with, and where each ends, up to the first that is damaged or cut.
    package static func records(in file: [UInt8]) -> [(data: [UInt8], end: Int)] {
        guard file.starts(with: header) else { return [] }
        var found: [(data: [UInt8], end: Int)] = []
        var data: [UInt8]?
        var position = header.count
        while file.count - position >= frame {
            let left = blockSize - position % blockSize
            if left < frame {
                position += left
                continue
            }
            let length = Int(file[position + 4]) | Int(file[position + 5]) << 8
            let start = position + frame, end = start + length
            guard end <= file.count, length <= left - frame, let piece = Piece(rawValue: file[position + 6]),
                (data == nil) == (piece == .whole || piece == .first),
                file[(start - 1)..<end].withUnsafeBytes({ crc32($0) })
                    == file[position..<position + 4].reversed().reduce(UInt32(0), { $0 << 8 | UInt32($1) })
            else { break }
            data = (data ?? []) + file[start..<end]
            position = end
            if piece == .whole || piece == .last, let whole = data {
                found.append((whole, end))
                data = nil
            }
        }
        return found
    }
}
