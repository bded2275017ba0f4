// Event files for TensorBoard: scalars, histograms of the norms of gradients by layer, the arguments and the model's configuration
// as text, hyper-parameters.
//
// Folder and tags are those of transformers' TensorBoardCallback: $TENSORBOARD_LOGGING_DIR, or
// output_dir/runs/<time>_<host>; "eval_x" becomes "eval/x", "test_x" "test/x", all others "train/x". A resumed run writes a
// further file into the folder of the first one, whose files are cut back to the checkpoint before: each step is there once.
// The names of files tell which run has written them, because several runs may share a folder.
//
// Reference: transformers/integrations/integration_utils.py (TensorBoardCallback), 5.23.

import Foundation
import TuttiFormats
import TuttiGround

/// Writes the event files of a run.
package final class TensorBoardReport: Report {
    /// output_dir/runs, or the folder that the environment names.
    private let root: String
    /// Whether all event files below `root` are this run's.
    private let isOwnRoot: Bool
    /// The name of output_dir.
    private let folderName: String
    /// How the names of this run's files end.
    private let suffix: String
    /// The file of this process; nil before the run begins.
    private var file: String?

    /// Event files of the run of `context`.
    ///
    /// - Parameter environment: variables, of which TENSORBOARD_LOGGING_DIR counts.
    package init(
        _ context: ReportContext, environment: [String: String] = ProcessInfo.processInfo.environment
    ) {
        let given = environment["TENSORBOARD_LOGGING_DIR"].flatMap { $0.isEmpty ? nil : $0 }
        root = given ?? context.outputDirectory + "/runs"
        isOwnRoot = given == nil
        let place = URL(fileURLWithPath: context.outputDirectory).standardizedFileURL
        folderName = place.lastPathComponent
        suffix = ".tutti-" + hexadecimalDigest(ofText: place.path).prefix(8)
    }

    /// Its registry entry.
    static let entry = ReportEntry(
        name: "tensorboard", summary: "event files for TensorBoard in output_dir/runs, or in $TENSORBOARD_LOGGING_DIR"
    ) { TensorBoardReport($0) }

    // MARK: What a run reports

    /// The norms of gradients, for the histograms.
    package var details: ReportDetails { .gradientNorms }

    /// Creates a file with the run's arguments, in the folder of the earlier ones if the run is resumed.
    package func began(_ run: ReportedRun) throws {
        let folder = try files().last.map(Self.folder) ?? newFolder()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let now = Date().timeIntervalSince1970
        let start =
            "\(folder)/events.out.tfevents.\(Int(now)).\(Self.host).\(ProcessInfo.processInfo.processIdentifier)"
        var number = 0
        while FileManager.default.fileExists(atPath: "\(start).\(number)\(suffix)") { number += 1 }
        let file = "\(start).\(number)\(suffix)"
        self.file = file
        var event = TensorBoardEvent(step: run.resumedFrom)
        event.add("args", markdown: Self.code(JSONValue.object(run.arguments).serialized(indent: 2)))
        if let text = run.modelConfiguration { event.add("model_config", markdown: Self.code(text)) }
        addHyperparameters(run, now, to: &event)
        try AppendedFile.append(TensorBoardEvent.head(now) + event.record(now), to: file)
    }

    /// Writes the numbers of a line.
    package func logged(_ line: LogLine) throws {
        var event = TensorBoardEvent(step: line.step)
        for (key, value) in line.numbers { event.add(reportTag(key), value.double ?? 0) }
        let layers = LayerNorms.of(line.gradientNorms)
        for layer in layers {
            event.add("gradients/" + layer.layer, layer.norm)
            event.add("gradients_of_tensors/" + layer.layer, histogramOf: layer.norms)
        }
        if !layers.isEmpty { event.add("gradients_of_layers", histogramOf: layers.map(\.norm)) }
        try write(event)
    }

    /// Marks the run as done.
    package func finished() throws {
        var event = TensorBoardEvent(step: 0)
        event.add(hyperparameters: "session_end_info", 4) {
            $0.add(1, 1)  // success
            $0.add(2, Date().timeIntervalSince1970)
        }
        try write(event)
    }

    private func write(_ event: TensorBoardEvent) throws {
        guard let file else { return }
        try AppendedFile.append(event.record(Date().timeIntervalSince1970), to: file)
    }

    /// Every scalar argument, and the metrics to compare runs by: the loss, and the one that chooses the best model.
    private func addHyperparameters(_ run: ReportedRun, _ now: Double, to event: inout TensorBoardEvent) {
        let scalars = run.arguments.filter { _, value in
            value.string != nil || value.double != nil || value.bool != nil
        }
        var metrics = ["train/loss"]
        if let best = run.arguments["metric_for_best_model"]?.string {
            metrics.append(reportTag(best.hasPrefix("eval_") ? best : "eval_" + best))
        }
        event.add(hyperparameters: "experiment", 2) { experiment in
            for (key, value) in scalars {
                experiment.add(4) {
                    $0.add(1, key)
                    $0.add(4, value.string != nil ? 1 : value.bool != nil ? 2 : 3)
                }
            }
            for metric in metrics { experiment.add(5) { $0.add(1) { $0.add(2, metric) } } }
        }
        event.add(hyperparameters: "session_start_info", 3) { session in
            for (key, value) in scalars {
                session.add(1) { entry in
                    entry.add(1, key)
                    entry.add(2) { field in
                        if let text = value.string {
                            field.add(3, text)
                        } else if let flag = value.bool {
                            field.add(4, flag ? 1 : 0)
                        } else {
                            field.add(2, value.double ?? 0)
                        }
                    }
                }
            }
            session.add(4, run.name ?? folderName)
            session.add(5, now)
        }
    }

    // MARK: Files

    /// Drops what was written of steps after `step`, and of an evaluation at `step` which is due. A file without a line is
    /// removed.
    package func rewind(to step: Int, evaluationIsDue: Bool) throws {
        let point = RewindPoint(step, evaluationIsDue: evaluationIsDue)
        for path in try files() {
            let bytes = try MappedFile(path: path).contents
            var (end, lines) = (0, 0)
            for range in RecordFile.records(in: bytes) {
                let (lineStep, tags) = try TensorBoardEvent.read(bytes, range, source: path)
                if tags.contains(reportTag("epoch")) {  // a logged line
                    guard point.keeps(step: lineStep, has: { tags.contains(reportTag($0)) }) else { break }
                    lines += 1
                }
                end = RecordFile.end(of: range)
            }
            if lines == 0 {
                try FileManager.default.removeItem(atPath: path)
            } else if end < bytes.count {
                try AtomicWrite.file(path: path, bytes: Array(bytes[..<end]))
            }
        }
    }

    /// This run's event files, the oldest first.
    private func files() throws -> [String] {
        guard let found = FileManager.default.enumerator(atPath: root) else { return [] }
        let names = found.compactMap { $0 as? String }.filter { name in
            name.contains("events.out.tfevents.") && (isOwnRoot ? name.contains(".tutti-") : name.hasSuffix(suffix))
        }
        return names.sorted { Self.name($0) < Self.name($1) }.map { root + "/" + $0 }
    }

    private func newFolder() -> String {
        guard isOwnRoot else { return root }
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.dateFormat = "MMMdd_HH-mm-ss"
        return "\(root)/\(format.string(from: Date()))_\(Self.host)"
    }

    private static func folder(_ path: String) -> String { URL(fileURLWithPath: path).deletingLastPathComponent().path }
    private static func name(_ path: String) -> Substring { path.split(separator: "/").last ?? "" }
    private static var host: String { ProcessInfo.processInfo.hostName }

    /// Text as a block of code in Markdown.
    private static func code(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }.joined(separator: "\n")
    }
}
