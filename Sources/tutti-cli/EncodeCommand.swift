// `tutti encode`: texts of a file -> embeddings in a file (EmbeddingFile), in the input's order.

import ArgumentParser
import Foundation
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiReports

/// Options of commands that read texts.
struct TextInputOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Model folder or hub id.", valueName: "path"))
    var model: String

    @Option(help: ArgumentHelp("Lines of text, or a table, as .csv or .parquet.", valueName: "file"))
    var input: String

    @Option(help: ArgumentHelp("Column of a data file to read.", valueName: "name"))
    var column: String?

    @OptionGroup(title: "Table format") var table: TableOptions

    /// The texts; the root prints the reader's warnings.
    func texts(isRoot: Bool = true) throws(TuttiError) -> [String] {
        try loadTextColumn(input, column: column, options: try table.readerOptions()) { line in
            if isRoot { TableOptions.notice(line) }
        }
    }
}

struct EncodeCommand: RankedCommand {
    static let configuration = CommandConfiguration(
        commandName: "encode",
        abstract: "Write the embeddings of texts to a .npy, .safetensors, .parquet or .jsonl file.",
        discussion: """
            .npy and .safetensors (tensor "embeddings") hold a matrix, a row a text. .parquet has the columns text \
            (strings) and embedding (lists of numbers), .jsonl a line {"text": ..., "embedding": [...]} a text; the text \
            is that of the input, without a prompt. Floats in .jsonl have the fewest digits that read back the same.
            """)

    @OptionGroup var text: TextInputOptions

    @Option(help: ArgumentHelp("Output file; the extension selects the format.", valueName: "file"))
    var output: String

    @Option(help: ArgumentHelp("Prompt prepended to every text.", valueName: "text"))
    var prompt: String?

    @Option(help: ArgumentHelp("Name of one of the model's prompts.", valueName: "name"))
    var promptName: String?

    @Option(
        help: ArgumentHelp(
            "Encode as queries or documents: with the model's prompt of that name, by its Router's route of that name.",
            valueName: "query|document"))
    var task: String?

    @Option(help: ArgumentHelp("Tokens per batch (default: 2048 per thread, at most 8192).", valueName: "n"))
    var batchTokens: Int?

    @Option(
        help: ArgumentHelp(
            "Keep the first n columns of every embedding (Matryoshka), before it is scaled.", valueName: "n"))
    var truncateDim: Int?

    @Flag(help: "Scale every embedding to unit length.")
    var normalize = false

    @Option(help: "Type of the values; int8 and uint8 take each column's range from these texts.")
    var precision = EmbeddingPrecision.float32

    @Flag(help: "Print a JSON object that describes the output.")
    var json = false

    @OptionGroup var encoding: EncodingOptions
    @OptionGroup var compute: ComputeOptions

    func validate() throws {
        guard EmbeddingFile(path: output) != nil else {
            throw ValidationError("--output \(output): the extension must be \(EmbeddingFile.extensions)")
        }
        guard truncateDim.map({ $0 > 0 }) ?? true else { throw ValidationError("--truncate-dim must be positive") }
        guard batchTokens.map({ $0 > 0 }) ?? true else { throw ValidationError("--batch-tokens must be positive") }
        guard prompt == nil || promptName == nil else {
            throw ValidationError("--prompt and --prompt-name are mutually exclusive")
        }
    }

    func run(on ensemble: any Ensemble) throws {
        _ = try RankLayout.apply(compute, ensemble: ensemble)
        try ModelHub.fetch([text.model], among: ensemble)
        let (model, texts, prefix) = try ensemble.together("load model and texts") {
            let model = try SentenceEncoder.load(text.model)
            if ensemble.isRoot { model.notices.forEach(TableOptions.notice) }
            _ = try model.directory.routing.route(of: task)
            if let truncateDim, truncateDim > model.dimension {
                throw TuttiError(
                    .usage, "encode texts", "--truncate-dim \(truncateDim)",
                    "the model's embeddings have \(model.dimension) columns",
                    hint: "Give at most \(model.dimension), or leave it out.")
            }
            return (model, try text.texts(isRoot: ensemble.isRoot), try chosenPrompt(model))
        }
        try compute.chooseGemm(for: model, ensemble: ensemble)
        try encoding.apply(to: model, ensemble: ensemble)
        let display = ensemble.isRoot ? ProgressDisplay() : nil
        let started = Date()
        // Larger batches are no faster, but each thread needs enough of one.
        let batchTokens = batchTokens ?? min(8192, 2048 * Parallel.threads)
        let whole = try model.encode(
            texts, prompt: prefix, task: task, tokensPerBatch: batchTokens, ensemble: ensemble
        ) { display?.worked(TaskProgress("Encoding texts", done: $0, of: $1)) }
        let seconds = Date().timeIntervalSince(started)
        let embeddings = truncateDim.map { whole.truncated(to: $0) } ?? whole
        let normalize = normalize
        let columns = try ensemble.onRoot {
            try withExtendedLifetime(embeddings) {
                if normalize { embeddings.normalize() }
                return try write(embeddings, of: texts)
            }
        }
        guard ensemble.isRoot else { return }
        if json {
            var line = JSONObject()
            line["sentences"] = .integer(Int64(embeddings.count))
            line["dimension"] = .integer(Int64(embeddings.dimension))
            line["precision"] = .string(precision.rawValue)
            line["columns"] = .integer(Int64(columns))
            line["seconds"] = .number(seconds)
            line["sentences_per_second"] = .number(Double(embeddings.count) / max(seconds, 1e-9))
            line["output"] = .string(output)
            try Output.line(JSONValue.object(line).serialized())
        } else {
            let rate = Int(Double(embeddings.count) / max(seconds, 1e-9))
            try Output.line("\(output): \(embeddings.count) x \(columns) \(precision.rawValue) (\(rate) sentences/s)")
        }
    }

    private func chosenPrompt(_ model: SentenceEncoder) throws -> String? {
        guard let promptName else {
            switch task {
            case "query": return prompt ?? model.queryPrompt
            case "document": return prompt ?? model.documentPrompt
            default: return prompt
            }
        }
        guard let found = model.prompts[promptName] else {
            throw TuttiError(
                .usage, "choose a prompt", "--prompt-name \(promptName)", "the model has no such prompt",
                hint: TuttiError.hint(unknown: promptName, known: model.prompts.keys.sorted()))
        }
        return found
    }

    /// Writes the embeddings in the requested precision and returns the number of columns.
    private func write(_ embeddings: Embeddings, of texts: [String]) throws -> Int {
        guard let file = EmbeddingFile(path: output) else { preconditionFailure("encode: \(output) was not validated") }
        guard precision != .float32 else {
            try file.write(
                UnsafeRawBufferPointer(embeddings.values), type: .f32, columns: embeddings.dimension, texts: texts)
            return embeddings.dimension
        }
        let quantized = try QuantizedEmbeddings(embeddings, precision)
        try quantized.bytes.withUnsafeBytes { bytes in
            try file.write(bytes, type: precision.elementType, columns: quantized.width, texts: texts)
        }
        return quantized.width
    }
}

extension EmbeddingPrecision: ExpressibleByArgument {}
