// The files that `tutti encode` writes: a matrix (.npy, .safetensors), or texts with their embeddings (.parquet, .jsonl).

import TuttiFormats
import TuttiGround

/// A file of embeddings, in the format that its extension names.
struct EmbeddingFile {
    private enum Format: String, CaseIterable {
        case npy, safetensors, parquet, jsonl
    }

    /// The extensions, in words.
    static var extensions: String {
        let names = Format.allCases.map { ".\($0.rawValue)" }
        return names.dropLast().joined(separator: ", ") + " or " + names[names.count - 1]
    }

    private let path: String
    private let format: Format

    /// The file at `path`; nil for another extension.
    init?(path: String) {
        guard let format = Format.allCases.first(where: { path.hasSuffix(".\($0.rawValue)") }) else { return nil }
        self.path = path
        self.format = format
    }

    /// Writes one row a text, durably and atomically: `bytes` row after row, of f32, i8 or u8.
    ///
    /// Throws: `.retryable` naming the file and the reason; `.data` for JSON lines of a value that is not finite.
    func write(
        _ bytes: UnsafeRawBufferPointer, type: TensorType, columns: Int, texts: [String]
    ) throws(TuttiError) {
        switch format {
        case .npy:
            try NumPy.write(path: path, bytes: bytes, type: type, rows: texts.count, columns: columns)
        case .safetensors:
            try SafetensorsWriter.write(
                path: path, tensors: [(name: "embeddings", dtype: type, shape: [texts.count, columns], bytes: bytes)])
        case .parquet:
            try ParquetWriter.write(
                path: path,
                columns: [.texts("text", texts), .lists("embedding", bytes, type: type, width: columns)])
        case .jsonl:
            try AtomicWrite.file(path: path) { output throws(TuttiError) in
                for (row, text) in texts.enumerated() {
                    let numbers = try spelled(bytes, type, row * columns..<(row + 1) * columns, row: row)
                    let quoted = JSONValue.string(text).serialized()
                    try output.write("{\"text\": \(quoted), \"embedding\": [\(numbers)]}\n")
                }
            }
        }
    }

    /// The values at `places`, a float with the fewest digits that read back the same.
    private func spelled(
        _ bytes: UnsafeRawBufferPointer, _ type: TensorType, _ places: Range<Int>, row: Int
    ) throws(TuttiError) -> String {
        var text = ""
        for place in places {
            if place > places.lowerBound { text += ", " }
            switch type {
            case .i8: text += "\(Int8(bitPattern: bytes[place]))"
            case .u8: text += "\(bytes[place])"
            default:
                let value = bytes.loadUnaligned(fromByteOffset: place * 4, as: Float.self)
                guard value.isFinite else {
                    throw TuttiError(
                        .data, "write embeddings", "\(path):\(row + 1)",
                        "the embedding holds values that are not finite numbers, for which JSON has no spelling",
                        hint: "`tutti inspect MODEL` shows whether the model's weights are finite.")
                }
                text += value.description
            }
        }
        return text
    }
}
