// The text of a configuration for a data set, with comments: what `tutti init` writes.

import Foundation
import TuttiCorpus
import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiTraining

/// A configuration that is being written.
struct ConfigurationDraft {
    private let data: String
    private let rows: Table
    private let shape: DataShape
    private let model: String
    private let folder: String
    /// Whether the folder holds train.jsonl and dev.jsonl.
    let isSplit: Bool
    /// The metric that chooses the best model.
    var metric: String?
    private var length: (tokens: Int, comment: String)?
    private var batch: Int
    private var chunk: (rows: Int, comment: String)?

    /// Texts of a sample.
    private static let sample = 2000

    init(data: String, rows: Table, shape: DataShape, model: String, folder: String, isSplit: Bool) {
        (self.data, self.rows, self.shape, self.model, self.folder) = (data, rows, shape, model, folder)
        self.isSplit = isSplit
        // A batch of contrastive pairs gains by size; a small data set still needs some steps.
        let wanted = shape.sampler == "no_duplicates" ? 64 : 32
        batch = wanted
        while batch > 4, rows.rowCount < 8 * batch { batch /= 2 }
    }

    /// Chooses length and chunks by the model's tokens, and by `freeBytes` of memory for one process.
    mutating func fit(_ encoder: SentenceEncoder, freeBytes: Int) throws {
        let step = max(1, rows.rowCount / Self.sample)
        let picked = stride(from: 0, to: rows.rowCount, by: step).prefix(Self.sample)
        let collator = try encoder.makeCollator()
        var lengths: [Int] = []
        for name in shape.texts {
            let column = try rows.column(named: name)
            var packed = PackedBatch()
            for row in picked {
                collator.append(rows.text(row: row, column: column), slot: 0, column: 0, to: &packed)
            }
            lengths += packed.lengths
        }
        lengths.sort()
        let most = lengths[min(lengths.count - 1, lengths.count * 99 / 100)]
        let limit = encoder.lengthLimit ?? Int.max
        let tokens = min(limit, max(32, (most + 31) / 32 * 32))
        if encoder.lengthLimit != nil {
            let cut =
                most >= limit ? "the model's limit" : "99 % of \(lengths.count) sampled texts have at most \(most)"
            length = (tokens, cut)
        }
        let bytes = TrainingBytes(encoder.encoder, texts: batch * shape.texts.count, tokens: min(tokens, most))
        let room = freeBytes / 2 - 4 * bytes.arena
        let megabytes = bytes.activations >> 20
        if bytes.activations > room || shape.loss["mini_batch_size"] != nil {
            let fitting = room / max(1, bytes.activationsOfOne)
            var chunk = 32
            while chunk > 1, chunk > fitting { chunk /= 2 }
            self.chunk = (chunk, "a batch at once would take up to \(megabytes) MB; in chunks the result is the same")
        }
    }

    /// The configuration.
    var text: String {
        let label = shape.label.map { ", label: \($0)" } ?? ", no label"
        var lines = [
            "# Written by `tutti init` from \(URL(fileURLWithPath: data).lastPathComponent): \(rows.rowCount) rows, texts: "
                + shape.texts.joined(separator: ", ") + label + ".",
            "# `tutti explain \(folder)/train.yaml` says what a run does; `tutti launch train \(folder)/train.yaml` runs it.",
            "model: \(quoted(model))", "output_dir: \(quoted(folder + "/run"))",
        ]
        if let length { lines.append("max_seq_length: \(length.tokens)  # \(length.comment)") }
        for (name, reason) in shape.leftOut { lines.append("# Column '\(name)' is left out: \(reason).") }
        func dataset(_ path: String) -> String { "{path: \(quoted(path)), columns: \(columns(shape.columns))}" }
        lines.append("train_dataset: " + dataset(isSplit ? folder + "/train.jsonl" : data))
        if isSplit { lines.append("eval_dataset: " + dataset(folder + "/dev.jsonl")) }
        if !shape.alternatives.isEmpty {
            lines.append("# Other losses for such data: \(shape.alternatives.joined(separator: ", ")).")
        }
        lines.append("loss: {\(lossMembers.joined(separator: ", "))}" + (chunk.map { "  # \($0.comment)" } ?? ""))
        lines += evaluators + arguments
        return lines.joined(separator: "\n") + "\n"
    }

    private var lossMembers: [String] {
        shape.loss.map { key, value in
            if key == "mini_batch_size", let chunk { return "\(key): \(chunk.rows)" }
            return "\(key): \(value.string ?? value.serialized())"
        }
    }

    private var evaluators: [String] {
        guard isSplit, let judge = shape.judge else {
            return ["# No evaluator: held-out rows, or triplets with TripletEvaluator, would tell how well it goes."]
        }
        guard shape.isSearchable else {
            let file = "path: \(quoted(folder + "/dev.jsonl")), columns: \(columns(judge.columns))"
            return ["evaluators:", "  - {name: \(judge.name), id: dev, \(file)}"]
        }
        let collection = folder + "/dev-beir"
        let files = [("corpus", "corpus.jsonl"), ("queries", "queries.jsonl"), ("qrels", "qrels.tsv")]
        return [
            "evaluators:  # how well held-out anchors find their positives among all",
            "  - name: InformationRetrievalEvaluator", "    id: dev",
        ] + files.map { "    \($0.0): \(quoted("\(collection)/\($0.1)"))" }
    }

    private var arguments: [String] {
        var lines = [
            "args:", "  num_train_epochs: 1",
            "  global_train_batch_size: \(batch)  # of all ranks together: their number does not change the result",
            "  learning_rate: \(shape.learningRate)", "  warmup_ratio: 0.1",
        ]
        if let sampler = shape.sampler { lines.append("  batch_sampler: \(sampler)") }
        if let chunk, shape.loss["mini_batch_size"] == nil { lines.append("  mini_batch_size: \(chunk.rows)") }
        lines.append("  logging_steps: 0.02  # of the run")
        if isSplit {
            lines += ["  eval_on_start: true", "  eval_strategy: steps", "  eval_steps: 0.2"]
        }
        lines += ["  save_strategy: steps", "  save_steps: 0.2", "  save_total_limit: 2"]
        lines.append("  report_to: html  # a page; [html, diagnosis]: and where the model places a sample of the data")
        if let metric, isSplit {
            lines += [
                "  load_best_model_at_end: true", "  metric_for_best_model: \(quoted(metric))",
                "  greater_is_better: true",
            ]
        }
        return lines
    }

    private func columns(_ names: [String]) -> String { "[" + names.map(plainOrQuoted).joined(separator: ", ") + "]" }

    /// A name as it is where YAML takes it so.
    private func plainOrQuoted(_ name: String) -> String {
        let isPlain =
            name.first?.isLetter == true
            && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        let isWord = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(name.lowercased())
        return isPlain && !isWord ? name : quoted(name)
    }

    /// A text as a JSON string, which YAML reads too.
    private func quoted(_ text: String) -> String { JSONValue.string(text).serialized() }
}
