// Offline runs of Weights & Biases, as tests read them.

import Foundation
import TuttiFormats

/// The run files below a folder.
public enum WandbFiles {
    /// Their paths.
    public static func paths(_ folder: String) -> [String] {
        let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return names.filter { $0.hasSuffix(".wandb") }.sorted().map { folder + "/" + $0 }
    }

    /// Every number of a logged line in them: "step key value", and whether a file ends with its footer.
    public static func numbers(_ folder: String) throws -> (numbers: [String], isWhole: Bool) {
        var (all, isWhole) = ([String](), true)
        for path in paths(folder) {
            let records = BlockRecordFile.records(in: try MappedFile(path: path).contents)
            all += try records.flatMap { try numbers($0.data) }
            isWhole = try isWhole && records.last.map { try kind(of: $0.data) == 22 } ?? false
        }
        return (all, isWhole)
    }

    private static func kind(of record: [UInt8]) throws -> Int? {
        var reader = ProtobufReader(record, source: "record")
        while let (field, _) = try reader.next() { if field != 1 { return field } }
        return nil
    }

    private static func numbers(_ record: [UInt8]) throws -> [String] {
        var values: [(key: String, json: String)] = []
        var reader = ProtobufReader(record, source: "record")
        while let (field, value) = try reader.next() {
            guard field == 2, case .bytes(let history) = value else { continue }
            var items = ProtobufReader(record, history, source: "history")
            while let (field, value) = try items.next() {
                guard field == 1, case .bytes(let item) = value else { continue }
                var texts: [Int: String] = [:]
                var members = ProtobufReader(record, item, source: "item")
                while let (field, value) = try members.next() {
                    if case .bytes(let text) = value { texts[field] = String(decoding: record[text], as: UTF8.self) }
                }
                values.append((texts[1] ?? "", texts[16] ?? ""))
            }
        }
        let step = values.first { $0.key == "train/global_step" }?.json ?? "?"
        return values.map { "\(step) \($0.key) \($0.json)" }
    }
}
