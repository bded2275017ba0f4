// The digest of a table's content: equal for the same rows in memory and in the files of a cache, so that a run goes on
// with either.

import TuttiFormats
import TuttiGround

extension Table {
    /// The SHA-256 of names, texts and labels, to check that a run resumes with the same data.
    package func contentDigest() -> String {
        if case .stored(let store) = texts, selection == nil { return store.contentDigest }
        return Table.contentDigest(
            columnNames: columnNames, labelName: labelName, rowCount: rowCount, texts: texts, rows: selection,
            cells: cells, pools: pools, labels: labels)
    }

    /// The digest of the rows `rows`, or all, of `texts`.
    static func contentDigest(
        columnNames: [String], labelName: String?, rowCount: Int, texts: TableTexts, rows: [Int32]? = nil,
        cells: [UInt32]? = nil, pools: [TextPool] = [], labels: LabelColumn
    ) -> String {
        var digest = Digest()
        digest.update(columnNames.count)
        for name in columnNames { digest.update(name) }
        digest.update(labelName ?? "")
        digest.update(rowCount)
        switch texts {
        case .memory(let bytes, let ends):
            bytes.withUnsafeBytes { digest.update($0) }
            ends.withUnsafeBytes { digest.update($0) }
        case .stored(let store): store.update(&digest, rows: rows, width: columnNames.count)
        }
        cells?.withUnsafeBytes { digest.update($0) }
        for pool in pools { pool.update(&digest) }
        labels.update(&digest)
        return digest.hexadecimal
    }
}

extension RowStore {
    /// Adds the texts of `rows`, or of all, as a table in memory has them: their bytes, then where each ends.
    fileprivate func update(_ digest: inout Digest, rows: [Int32]?, width: Int) {
        guard let rows else {
            let stretch = 64 << 20
            for start in stride(from: 0, to: texts.bytes.count, by: stretch) {
                let end = min(texts.bytes.count, start + stretch)
                digest.update(UnsafeRawBufferPointer(rebasing: texts.bytes[start..<end]))
                texts.release()
            }
            return update(&digest, endsOf: offsets.count) { offsets[$0] }
        }
        for row in rows {
            let first = offsets[Int(row) * width].lowerBound
            let end = offsets[Int(row) * width + width - 1].upperBound
            digest.update(UnsafeRawBufferPointer(rebasing: texts.bytes[first..<end]))
        }
        update(&digest, endsOf: rows.count * width) { offsets[Int(rows[$0 / width]) * width + $0 % width] }
        texts.release()
    }

    private func update(_ digest: inout Digest, endsOf count: Int, _ range: (Int) -> Range<Int>) {
        var ends: [Int] = []
        var end = 0
        for place in 0..<count {
            end += range(place).count
            ends.append(end)
            guard ends.count == 1 << 16 || place == count - 1 else { continue }
            ends.withUnsafeBytes { digest.update($0) }
            ends.removeAll(keepingCapacity: true)
        }
        offsets.release()
    }
}
