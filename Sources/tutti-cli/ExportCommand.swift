// `tutti export`: a model's folder written anew, with an adapter merged into the weights, or the model as ONNX beside them,
// if asked for.

import ArgumentParser
import Foundation
import TuttiFormats
import TuttiGround
import TuttiModels

/// What a folder holds of a model.
enum ExportFormat: String, CaseIterable, ExpressibleByArgument {
    /// Weights alone.
    case safetensors
    /// An ONNX file beside them.
    case onnx
}

extension ONNXQuantization: ExpressibleByArgument {}

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a model's folder anew, merged with its adapter or as ONNX.",
        discussion: """
            The folder is in the layout of sentence-transformers, with weights in single precision. A model with an adapter \
            (LoRA) needs its base model wherever it is used; merged, it is a model like any other and encodes faster.

            With --format onnx the folder also has onnx/model.onnx, which SentenceTransformer(folder, backend="onnx") and \
            servers open: inputs input_ids, attention_mask and, where the model has types, token_type_ids; outputs \
            last_hidden_state and sentence_embedding. --quantize adds a smaller file beside it. \
            docs/serving.md says who reads them.
            """)

    @Argument(help: ArgumentHelp("Model: a folder or a hub id.", valueName: "model"))
    var model: String

    @Option(help: ArgumentHelp("The folder to make.", valueName: "folder"))
    var output: String

    @Flag(help: "Add the adapter's products to the weights.")
    var merge = false

    @Option(help: ArgumentHelp("safetensors, or onnx: an ONNX file beside the weights.", valueName: "format"))
    var format = ExportFormat.safetensors

    @Option(
        help: ArgumentHelp(
            "A second, smaller ONNX file: int8, weights in bytes (onnx/model_qint8_avx512_vnni.onnx), or int4, in four bits, for onnxruntime (onnx/model_q4.onnx).",
            valueName: "type"))
    var quantize: ONNXQuantization?

    func validate() throws {
        if quantize != nil, format != .onnx { throw ValidationError("--quantize needs --format onnx") }
    }

    func run() throws {
        guard !FileManager.default.fileExists(atPath: output) else {
            throw TuttiError(
                .usage, "export a model", output, "is there already", hint: "Choose another folder, or remove it.")
        }
        let loaded = try SentenceEncoder.load(model)
        if merge { try loaded.mergeAdapter() }
        try AtomicWrite.directory(finalPath: output) { folder in
            switch format {
            case .safetensors: try loaded.save(to: folder, card: nil)
            case .onnx:
                for notice in try loaded.saveWithONNX(to: folder, quantization: quantize) {
                    Output.say("tutti: note: \(notice)")
                }
            }
        }
        let weights = loaded.adapter == nil ? "all weights" : "an adapter of its base model"
        let files = ["model.onnx"] + (quantize.map { [$0.fileName] } ?? [])
        try Output.line(
            "\(output): \(weights)" + (format == .onnx ? " and onnx/" + files.joined(separator: ", onnx/") : ""))
    }
}
