// An offline run of Weights & Biases: the file that its client writes without a network, for `wandb sync`.
//
// output_dir/wandb/offline-run-<time>-<id>/run-<id>.wandb, below $WANDB_DIR if that is set. Names and keys are those of
// transformers' WandbCallback: "eval_x" becomes "eval/x", "test_x" "test/x", all others "train/x", and "train/global_step" is the
// optimizer step; `_step` numbers the lines. The id is that of the output directory, so that a resumed run goes on in its
// file, which is cut back to the checkpoint before.
//
// Reference: wandb/proto/wandb_internal.proto; transformers/integrations/integration_utils.py (WandbCallback), 5.23.

import Foundation
import TuttiFormats
import TuttiGround

/// Writes an offline run.
package final class WandbReport: Report {
    /// Fields of a record, by what they hold.
    private enum Field {
        static let number = 1, history = 2, summary = 3, run = 17, exit = 18, header = 21, footer = 22
    }

    private let root: String
    private let folderName: String
    private let id: String
    private let environment: [String: String]
    /// The run's file; nil before the run begins.
    private var path: String?
    /// The bytes, records and lines in it.
    private var (length, records, lines) = (0, 0, 0)
    private let started = Date().timeIntervalSince1970

    /// An offline run of `context`.
    ///
    /// - Parameter environment: variables, of which WANDB_DIR, WANDB_PROJECT, WANDB_ENTITY, WANDB_NAME, WANDB_RUN_GROUP,
    ///   WANDB_NOTES, WANDB_TAGS and WANDB_RUN_ID count.
    package init(
        _ context: ReportContext, environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        self.environment = environment.filter { !$0.value.isEmpty }
        let place = URL(fileURLWithPath: context.outputDirectory).standardizedFileURL
        root = (self.environment["WANDB_DIR"] ?? context.outputDirectory) + "/wandb"
        folderName = place.lastPathComponent
        id = self.environment["WANDB_RUN_ID"] ?? String(hexadecimalDigest(ofText: place.path).prefix(8))
    }

    /// Its registry entry.
    static let entry = ReportEntry(
        name: "wandb", summary: "an offline run for `wandb sync` in output_dir/wandb, or below $WANDB_DIR"
    ) { WandbReport($0) }

    // MARK: What a run reports

    /// Creates the file with the run's arguments, or goes on in it.
    package func began(_ run: ReportedRun) throws {
        if let path = try file() {
            self.path = path
            let found = BlockRecordFile.records(in: try MappedFile(path: path).contents)
            (length, records) = (found.last?.end ?? BlockRecordFile.header.count, found.count)
            lines = try found.count { try Self.line($0.data, path) != nil }
            return
        }
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.dateFormat = "yyyyMMdd_HHmmss"
        let folder = "\(root)/offline-run-\(format.string(from: Date()))-\(id)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        path = "\(folder)/run-\(id).wandb"
        try add(BlockRecordFile.header)
        try add(Field.header) {
            $0.add(1) {
                $0.add(1, "tutti \(tuttiVersion)")
                $0.add(2, "0.40.0")  // the oldest client that reads such files
            }
        }
        var config = run.arguments.map { (key: $0, json: $1.serialized()) }
        if let model = run.modelConfiguration {
            config.append(("model/config", try JSONValue.parse(model, source: "config.json").serialized()))
        }
        try add(Field.run) { describe(run, config, in: &$0) }
    }

    /// Writes the numbers of a line, and that they are the run's last ones.
    package func logged(_ line: LogLine) throws {
        guard path != nil else { return }
        let now = Date().timeIntervalSince1970
        var items: [(key: String, json: String)] = line.numbers.map { (reportTag($0.key), $0.value.serialized()) }
        items.append(("train/global_step", "\(line.step)"))
        items += [("_step", "\(lines)"), ("_runtime", "\(now - started)"), ("_timestamp", "\(now)")]
        try add(Field.history) {
            Self.add(items, to: &$0)
            $0.add(2) { $0.add(1, lines) }
        }
        lines += 1
        try add(Field.summary) { Self.add(items, to: &$0) }
    }

    /// Marks the run as done.
    package func finished() throws {
        guard path != nil else { return }
        try add(Field.exit) { $0.add(2, Int(Date().timeIntervalSince1970 - started)) }
        try add(Field.footer) { _ in }
    }

    private func describe(_ run: ReportedRun, _ config: [(key: String, json: String)], in record: inout ProtobufWriter)
    {
        record.add(1, id)
        if let entity = environment["WANDB_ENTITY"] { record.add(2, entity) }
        record.add(3, environment["WANDB_PROJECT"] ?? "huggingface")  // as transformers
        record.add(4) { Self.add(config, to: &$0) }
        if let group = environment["WANDB_RUN_GROUP"] { record.add(6, group) }
        record.add(8, environment["WANDB_NAME"] ?? run.name ?? folderName)
        if let notes = environment["WANDB_NOTES"] { record.add(9, notes) }
        for tag in (environment["WANDB_TAGS"] ?? "").split(separator: ",") { record.add(10, String(tag)) }
        record.add(13, ProcessInfo.processInfo.hostName)
        record.add(17) {
            $0.add(1, Int(started))
            $0.add(2, Int((started - started.rounded(.down)) * 1e9))
        }
    }

    /// Adds values under their keys.
    private static func add(_ items: [(key: String, json: String)], to record: inout ProtobufWriter) {
        for (key, json) in items {
            record.add(1) {
                $0.add(1, key)
                $0.add(16, json)
            }
        }
    }

    // MARK: The file

    /// Drops what was written of steps after `step`, and of an evaluation at `step` which is due. A run without a line is
    /// removed.
    package func rewind(to step: Int, evaluationIsDue: Bool) throws {
        guard let path = try file() else { return }
        let point = RewindPoint(step, evaluationIsDue: evaluationIsDue)
        let bytes = try MappedFile(path: path).contents
        var (end, lines) = (BlockRecordFile.header.count, 0)
        for record in BlockRecordFile.records(in: bytes) {
            if let line = try Self.line(record.data, path) {
                guard point.keeps(step: line.step, has: { line.keys.contains(reportTag($0)) }) else { break }
                lines += 1
            } else if try Self.kind(of: record.data, path) == Field.exit {
                break
            }
            end = record.end
        }
        if lines == 0 {
            try FileManager.default.removeItem(at: URL(fileURLWithPath: path).deletingLastPathComponent())
        } else if end < bytes.count {
            try AtomicWrite.file(path: path, bytes: Array(bytes[..<end]))
        }
    }

    /// This run's file, the newest if there are several.
    private func file() throws -> String? {
        guard FileManager.default.fileExists(atPath: root) else { return nil }
        let names = try FileManager.default.contentsOfDirectory(atPath: root).filter {
            $0.hasPrefix("offline-run-") && $0.hasSuffix("-" + id)
        }
        return names.sorted().map { "\(root)/\($0)/run-\(id).wandb" }.last {
            FileManager.default.fileExists(atPath: $0)
        }
    }

    private func add(_ field: Int, _ body: (inout ProtobufWriter) -> Void) throws {
        records += 1
        let record = ProtobufWriter {
            $0.add(Field.number, records)
            $0.add(field, message: body)
        }
        try add(BlockRecordFile.record(record.bytes, after: length))
    }

    private func add(_ bytes: [UInt8]) throws {
        guard let path else { return }
        try AppendedFile.append(bytes, to: path)
        length += bytes.count
    }

    /// What a record holds.
    private static func kind(of record: [UInt8], _ source: String) throws -> Int? {
        var reader = ProtobufReader(record, record.indices, source: source)
        while let (field, _) = try reader.next() { if field != Field.number { return field } }
        return nil
    }

    /// Step and keys of a logged line; nil for other records.
    private static func line(_ record: [UInt8], _ source: String) throws -> (step: Int, keys: Set<String>)? {
        var reader = ProtobufReader(record, record.indices, source: source)
        while let (field, value) = try reader.next() {
            guard field == Field.history, case .bytes(let history) = value else { continue }
            var (step, keys) = (0, Set<String>())
            var items = ProtobufReader(record, history, source: source)
            while let (field, value) = try items.next() {
                guard field == 1, case .bytes(let item) = value else { continue }
                var (key, json) = ("", "")
                var members = ProtobufReader(record, item, source: source)
                while let (field, value) = try members.next() {
                    guard case .bytes(let text) = value else { continue }
                    if field == 1 { key = String(decoding: record[text], as: UTF8.self) }
                    if field == 16 { json = String(decoding: record[text], as: UTF8.self) }
                }
                keys.insert(key)
                if key == "train/global_step" { step = Int(json) ?? 0 }
            }
            return (step, keys)
        }
        return nil
    }
}
