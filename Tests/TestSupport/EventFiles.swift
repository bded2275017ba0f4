// Event files of TensorBoard, as tests read them.

import Foundation
import TuttiFormats

/// The event files below a folder.
public enum EventFiles {
    /// Their paths, the oldest first.
    public static func paths(_ folder: String) -> [String] {
        let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.contains("tfevents") }.sorted().map { folder + "/" + $0 }
    }

    /// Every number in them: "step tag value".
    public static func numbers(_ folder: String) throws -> [String] {
        try paths(folder).flatMap { path -> [String] in
            let bytes = try MappedFile(path: path).contents
            return try RecordFile.records(in: bytes).flatMap { try numbers(bytes, $0) }
        }
    }

    private static func numbers(_ bytes: [UInt8], _ range: Range<Int>) throws -> [String] {
        var step: UInt64 = 0
        var found: [(tag: String, value: Float)] = []
        var event = ProtobufReader(bytes, range, source: "event")
        while let (field, value) = try event.next() {
            if case .varint(let number) = value, field == 2 { step = number }
            guard case .bytes(let summary) = value, field == 5 else { continue }
            var values = ProtobufReader(bytes, summary, source: "summary")
            while case (_, .bytes(let part))? = try values.next() {
                var members = ProtobufReader(bytes, part, source: "value")
                var tag = ""
                while let (field, value) = try members.next() {
                    switch (field, value) {
                    case (1, .bytes(let name)): tag = String(decoding: bytes[name], as: UTF8.self)
                    case (2, .fixed32(let bits)): found.append((tag, Float(bitPattern: bits)))
                    default: break
                    }
                }
            }
        }
        return found.map { "\(step) \($0.tag) \($0.value)" }
    }
}
