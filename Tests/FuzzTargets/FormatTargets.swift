// Fuzz targets of file formats: JSON, CSV, safetensors, torch's ZIP files and pickles, NumPy.

import TuttiFormats
import TuttiGround

extension FuzzTarget {
    private static let json = Array("{}[]\":,.0123456789-eEtruefalsn \\u/\u{FEFF}".utf8)

    static let formatTargets: [FuzzTarget] = [
        FuzzTarget(
            "json", alphabet: json,
            corpus: {
                let lines = try golden("corpus-formats/table.jsonl").split(separator: 0x0A).prefix(12).map(Array.init)
                return try [golden("corpus-formats/spellings.json"), golden("families/bert/model/config.json")] + lines
            },
            use: { bytes, _ in
                let value = try JSONValue.parse(bytes, source: "input")
                let again = try JSONValue.parse(value.serialized(), source: "output")
                guard again.serialized() == value.serialized() else { throw Finding("a value changes when written") }
            }),
        FuzzTarget(
            "json-rows", alphabet: json + [0x0A, 0x0D],
            corpus: {
                let rows = try golden("corpus-formats/table.jsonl").split(separator: 0x0A).prefix(6)
                return [Array(rows.joined(separator: [0x0A])), [0x5B] + rows.joined(separator: [0x2C]) + [0x5D]]
            },
            use: { bytes, _ in
                try bytes.withUnsafeBytes { bytes in
                    let isArray = bytes.first == 0x5B
                    var rows = try JSONSequence(bytes, form: isArray ? .array : .lines, source: "input")
                    while let row = try rows.next() { _ = row.value.serialized() }
                }
            }),
        FuzzTarget(
            "csv", alphabet: Array("\",\t\r\n; ab\u{FEFF}é".utf8),
            corpus: {
                let table = try golden("corpus-formats/table.csv")
                return [Array(table.prefix(900)), Array("a,b\n\"x\"\"y\",\"1\r\n2\"\r\n\n,\n".utf8)]
            },
            use: { bytes, _ in
                try bytes.withUnsafeBytes { bytes in
                    for (separator, quote) in [(",", "\""), ("\t", nil)] as [(Unicode.Scalar, Unicode.Scalar?)] {
                        var parser = CSVParser(bytes, source: "input", separator: separator, quote: quote)
                        var record = CSVRecord()
                        while try parser.next(&record) { _ = record.fields }
                    }
                }
            }),
        FuzzTarget(
            "safetensors", alphabet: json + [0xFF, 0x7F, 0x80],
            corpus: { [try golden("corpus-formats/all-types.safetensors"), try golden("torch/kinds.safetensors")] },
            mutate: { mutator, bytes, alphabet in
                // The header, of which the length is kept right half the time.
                let length = 8 + bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
                let isWhole = Bool.random(using: &mutator)
                guard isWhole else {
                    return mutator.mutate(Array(bytes[..<length]), alphabet: alphabet) + bytes[length...]
                }
                let header = mutator.mutate(Array(bytes[8..<length]), alphabet: alphabet)
                let count = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
                return count + header + bytes[length...]
            },
            use: { bytes, folder in try readTensors(TensorFile(path: folder.write("model.safetensors", bytes))) }),
        FuzzTarget(
            "zip", alphabet: Array("PK".utf8) + [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7F, 0x80, 0xFF],
            corpus: { try torchFiles.map { try golden("torch/" + $0) } },
            mutate: { mutator, bytes, alphabet in
                // The directory is at the end: half of the changes are there.
                let tail = min(bytes.count, 900)
                guard Bool.random(using: &mutator) else { return mutator.mutate(bytes, alphabet: alphabet) }
                return bytes.dropLast(tail) + mutator.mutate(Array(bytes.suffix(tail)), alphabet: alphabet)
            },
            use: { bytes, folder in try readTensors(TensorFile(torch: folder.write("model.bin", bytes))) }),
        FuzzTarget(
            "pickle",
            alphabet: Array("ccollections\nOrderedDict torchFloatStorage_rebuild_tensor_v2\n}()qhRXKMJu.te".utf8)
                + [0x80, 0x85, 0x86, 0x87, 0x88, 0x8A, 0x8C, 0x93, 0x94, 0x95, 0, 1, 2, 255],
            corpus: { try (["legacy.bin"] + torchFiles).map { try golden("torch/" + $0) } },
            mutate: { mutator, bytes, alphabet in
                // The pickle inside the ZIP file, at its old length, so that the directory stays sound.
                guard let range = pickle(in: bytes) else { return mutator.mutate(bytes, alphabet: alphabet) }
                var inner = mutator.mutate(Array(bytes[range]), alphabet: alphabet)
                let stop = UInt8(ascii: ".")
                inner = Array((inner + [UInt8](repeating: stop, count: range.count)).prefix(range.count))
                return bytes[..<range.lowerBound] + inner + bytes[range.upperBound...]
            },
            use: { bytes, folder in try readTensors(TensorFile(torch: folder.write("model.bin", bytes))) }),
        FuzzTarget(
            "npy", alphabet: Array("{'descr': '<f4', 'fortran_order': False, 'shape': (8,16), }\n0123456789".utf8),
            corpus: {
                try ["matrix-f4", "matrix-f2", "matrix-f8", "vector-f4", "fortran-f4"].map {
                    try golden("corpus-formats/\($0).npy")
                }
            },
            use: { bytes, folder in _ = try NumPy.read(path: folder.write("x.npy", bytes)).floats.count }),
    ]

    private static let torchFiles = [
        "kinds.bin", "nested.bin", "dense.bin", "expanded.bin", "list.bin", "protocol-4.bin", "sparse.bin",
    ]

    /// The bytes of the entry data.pkl of a ZIP file that torch wrote.
    private static func pickle(in bytes: [UInt8]) -> Range<Int>? {
        func find(_ text: String, from start: Int) -> Int? {
            let wanted = Array(text.utf8)
            return (start..<max(start, bytes.count - wanted.count)).first {
                bytes[$0..<$0 + wanted.count].elementsEqual(wanted)
            }
        }
        guard let name = find("/data.pkl", from: 0) else { return nil }
        let header = name - 100 < 0 ? 0 : name - 100
        guard let local = (header..<name).last(where: { bytes[$0..<$0 + 4].elementsEqual([0x50, 0x4B, 3, 4]) }) else {
            return nil
        }
        func number(_ place: Int) -> Int { Int(bytes[place]) | Int(bytes[place + 1]) << 8 }
        let start = local + 30 + number(local + 26) + number(local + 28)
        guard let end = find("PK", from: start), end > start else { return nil }
        return start..<end
    }

    /// Touches every byte of every tensor.
    private static func readTensors(_ file: TensorFile) throws {
        for info in file.tensors { _ = try file.rawBytes(info.name).reduce(0) { $0 &+ Int($1) } }
    }
}

/// Something that a target itself finds wrong.
struct Finding: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
