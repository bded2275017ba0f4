// What `tutti export --format onnx` writes, for every family: the file is well-formed, has the names that readers ask for,
// and holds the model's numbers. Whether runtimes compute the same with it is ONNXRuntimeTests' business.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct ONNXExportTests {
    /// The tiny models of all families.
    static let families: [String] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: Goldens.path("families"))) ?? []
        return names.sorted().filter {
            FileManager.default.fileExists(atPath: Goldens.path("families/\($0)/model/config.json"))
        }
    }()

    /// Exports a model, and gives its folder.
    static func with<T>(
        _ model: String, quantization: ONNXQuantization? = nil, longest: Int? = nil,
        _ body: (_ folder: String, _ model: SentenceEncoder) throws -> T
    ) throws -> T {
        try withTemporaryDirectory { folder in
            let model = try SentenceEncoder.load(model)
            if let longest {
                try model.saveWithONNX(to: folder, quantization: quantization, longest: longest)
            } else {
                try model.saveWithONNX(to: folder, quantization: quantization)
            }
            return try body(folder, model)
        }
    }

    /// Operators that version 17 has.
    private static let operators: Set<String> = [
        "Abs", "Add", "And", "ArgMax", "Cast", "Clip", "Concat", "Conv", "Cos", "CumSum", "Div",
        "DynamicQuantizeLinear", "Equal", "Erf", "Expand", "Gather", "GatherElements", "GreaterOrEqual", "HardSwish",
        "Identity", "LayerNormalization", "LeakyRelu", "LessOrEqual", "MatMul", "MatMulInteger", "Max", "Mul", "Not",
        "Range", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Shape", "Sigmoid", "Sin",
        "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where",
    ]

    /// Every operator reads what is there already, every name is given once, every constant has its bytes and a reader.
    /// `others` = operators of onnxruntime that the file has too.
    static func check(_ file: ReadONNX, others: Set<String> = []) {
        #expect(file.format == 8 && file.versions == (others.isEmpty ? ["": 17] : ["": 17, "com.microsoft": 1]))
        var known = Set(file.constants.keys).union(file.inputs.map(\.name))
        var read: Set<String> = []
        #expect(known.count == file.constants.count + file.inputs.count)
        for node in file.nodes {
            let isOther = node.domain == "com.microsoft" && others.contains(node.operation)
            #expect(
                isOther || node.domain.isEmpty && operators.contains(node.operation),
                "\(node.domain) \(node.operation)")
            #expect(node.inputs.allSatisfy(known.contains), "\(node)")
            #expect(node.outputs.allSatisfy { known.insert($0).inserted }, "\(node)")
            read.formUnion(node.inputs)
        }
        #expect(file.outputs.allSatisfy { known.contains($0.name) })
        #expect(Set(file.constants.keys).subtracting(read).isEmpty)
        #expect(Set(file.inputs.map(\.name)).subtracting(read).isEmpty)
        let sizes = [1: 4, 2: 1, 3: 1, 7: 8]
        for (name, tensor) in file.constants where tensor.outside.isEmpty {
            #expect(tensor.bytes.count == tensor.shape.reduce(sizes[tensor.type] ?? 0, *), "\(name)")
        }
    }

    @Test(arguments: families) func everyFamilyIsExported(_ name: String) throws {
        try Self.with(Goldens.path("families/\(name)/model"), quantization: .int8) { folder, model in
            let file = try ReadONNX(path: folder + "/onnx/model.onnx")
            Self.check(file)
            let types = try JSONValue.parse(file: folder + "/config.json")["type_vocab_size"]?.int ?? 0
            let hasTypes = types > 1 && file.constants.keys.contains { $0.contains("token_type_embeddings") }
            #expect(
                file.inputs.map(\.name) == ["input_ids", "attention_mask"] + (hasTypes ? ["token_type_ids"] : []))
            #expect(file.inputs.allSatisfy { $0.type == 7 && $0.axes == ["batch_size", "sequence_length"] })
            let width = try #require(model.encoder.plans.first?.plan.hiddenSize)
            #expect(
                file.outputs == [
                    .init(name: "last_hidden_state", type: 1, axes: ["batch_size", "sequence_length", "\(width)"]),
                    .init(name: "sentence_embedding", type: 1, axes: ["batch_size", "\(model.dimension)"]),
                ])
            #expect(!file.nodes.contains { $0.operation == "MatMulInteger" })

            let bytes = try ReadONNX(path: folder + "/onnx/model_qint8_avx512_vnni.onnx")
            Self.check(bytes)
            #expect(bytes.inputs == file.inputs && bytes.outputs == file.outputs)
            let products = bytes.nodes.filter { $0.operation == "MatMulInteger" }.count
            #expect(products >= 4 * (model.encoder.plans.first?.plan.layerCount ?? 0))
            #expect(try SentenceEncoder.load(folder).encode(["a"]).flattened == model.encode(["a"]).flattened)
        }
    }

    /// The tokens of a model of types: without them RoBERTa's file would ask for what its tokenizer does not give.
    @Test func typesAreAnInputWhereThereAreSeveral() throws {
        for (name, hasTypes) in [("bert", true), ("roberta", false), ("distilbert", false), ("mpnet", false)] {
            try Self.with(Goldens.path("families/\(name)/model")) { folder, _ in
                let file = try ReadONNX(path: folder + "/onnx/model.onnx")
                #expect(file.inputs.contains { $0.name == "token_type_ids" } == hasTypes, "\(name)")
            }
        }
    }

    /// Each output's weights are within half a step of its largest one over 127.
    @Test func bytesAreTheWeightsRounded() throws {
        try Self.with(Goldens.path("families/bert/model"), quantization: .int8) { folder, _ in
            let exact = try ReadONNX(path: folder + "/onnx/model.onnx")
            let bytes = try ReadONNX(path: folder + "/onnx/model_qint8_avx512_vnni.onnx")
            let names = exact.constants.keys.filter { $0.hasSuffix(".weight.transposed") }
            #expect(names.count == 12)
            for transposed in names {
                let name = String(transposed.dropLast(".transposed".count))
                let (weights, scales) = (exact.floats(transposed), bytes.floats(name + ".scales"))
                let tensor = try #require(bytes.constants[name + ".bytes"])
                #expect(tensor.type == 3 && tensor.shape == exact.constants[transposed]?.shape)
                let rounded = bytes.contents[tensor.bytes].map { Float(Int8(bitPattern: $0)) }
                let outputs = scales.count
                for (place, weight) in weights.enumerated() {
                    #expect(abs(rounded[place] * scales[place % outputs] - weight) <= scales[place % outputs] * 0.5001)
                }
                for output in 0..<outputs {
                    let largest = stride(from: output, to: weights.count, by: outputs).map { abs(weights[$0]) }.max()
                    #expect(scales[output] == (largest ?? 0) / 127)
                }
            }
        }
    }

    /// Beyond the limit of a file large constants are in a second one, where runtimes can map them.
    @Test func weightsOfLongFilesAreOutside() throws {
        let path = Goldens.path("families/bert/model")
        try Self.with(path, longest: 1000) { folder, _ in
            let file = try ReadONNX(path: folder + "/onnx/model.onnx")
            Self.check(file)
            let data = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder + "/onnx/model.onnx_data")))
            try Self.with(path) { whole, _ in
                let inside = try ReadONNX(path: whole + "/onnx/model.onnx")
                #expect(!FileManager.default.fileExists(atPath: whole + "/onnx/model.onnx_data"))
                var end = 0
                for (name, tensor) in inside.constants {
                    let own = try #require(file.constants[name])
                    #expect(own.type == tensor.type && own.shape == tensor.shape)
                    guard tensor.bytes.count >= 1024 else {
                        #expect(own.outside.isEmpty && file.contents[own.bytes] == inside.contents[tensor.bytes])
                        continue
                    }
                    #expect(own.bytes.isEmpty && own.outside["location"] == "model.onnx_data")
                    let offset = try #require(own.outside["offset"].flatMap { Int($0) })
                    #expect(own.outside["length"] == "\(tensor.bytes.count)" && offset % 4096 == 0)
                    #expect(data[offset..<offset + tensor.bytes.count] == inside.contents[tensor.bytes])
                    end = max(end, offset + tensor.bytes.count)
                }
                #expect(end == data.count && end > 0)
            }
        }
    }

    /// What has no ONNX form is refused by name, and nothing is left behind.
    @Test(arguments: [
        ("router/asymmetric", "Router"), ("token-modules/bow", "BoW"), ("token-modules/words", "WordEmbeddings"),
        ("token-modules/layers", "WeightedLayerPooling"),
    ])
    func whatCannotBeExportedIsRefused(_ name: String, _ part: String) throws {
        try refuses(Goldens.path(name + "/model"), part)
    }

    /// Until it is merged.
    @Test func adaptersAreRefused() throws {
        try withTemporaryDirectory { folder in
            let golden = try #require(AdapterGolden.all.first { $0.name == "bert" })
            try golden.make(folder + "/adapted")
            try refuses(folder + "/adapted", "adapter")
            let model = try SentenceEncoder.load(folder + "/adapted")
            try model.mergeAdapter()
            try FileManager.default.createDirectory(atPath: folder + "/merged", withIntermediateDirectories: true)
            try model.saveWithONNX(to: folder + "/merged")
            Self.check(try ReadONNX(path: folder + "/merged/onnx/model.onnx"))
        }
    }

    private func refuses(_ model: String, _ part: String) throws {
        try withTemporaryDirectory { folder in
            let loaded = try SentenceEncoder.load(model)
            let error = #expect(throws: TuttiError.self) { try loaded.saveWithONNX(to: folder) }
            #expect(error?.kind == .data && error?.problem.contains(part) == true, "\(error?.problem ?? "")")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        }
    }

    /// Modules over tokens are computed by who opens the folder; the file ends before them, and a line says so.
    @Test func modulesOverTokensAreNotPartOfTheFile() throws {
        try withTemporaryDirectory { folder in
            let notices = try SentenceEncoder.load(Goldens.path("token-modules/cnn/model")).saveWithONNX(to: folder)
            #expect(notices.count == 1 && notices[0].contains("modules over tokens"))
            let file = try ReadONNX(path: folder + "/onnx/model.onnx")
            Self.check(file)
            #expect(file.outputs.map(\.name) == ["last_hidden_state"])
        }
    }
}
