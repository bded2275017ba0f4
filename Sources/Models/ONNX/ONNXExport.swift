// A model as a folder with an ONNX file, which sentence-transformers' ONNX backend and servers open.
//
//   onnx/model.onnx                     inputs input_ids, attention_mask, token_type_ids where the family has types, all int64
//                                       [batch_size, sequence_length]; outputs last_hidden_state [batch_size,
//                                       sequence_length, D] and sentence_embedding [batch_size, D']
//   onnx/model.onnx_data                weights beyond 2 GB
//   onnx/model_qint8_avx512_vnni.onnx   the same with weights in bytes
//   onnx/model_q4.onnx                  the same with weights in four bits
//
// sentence-transformers pools last_hidden_state itself. sentence_embedding is there for who does not have its modules; it is
// left out where it needs more than token vectors and the mask.
// Reference: sentence_transformers/backend/load.py and quantize.py; optimum/onnxruntime/modeling.py of optimum-onnx.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround

/// How the weights of a second ONNX file are stored.
public enum ONNXQuantization: String, Sendable, CaseIterable {
    /// Signed bytes; activations become bytes while the model runs.
    case int8
    /// Four bits, with a scale and a zero of every 32 weights; for onnxruntime, whose own operators the file has.
    case int4

    /// The file in the folder "onnx": as sentence-transformers calls one in bytes, and transformers.js one in four bits, for
    /// which sentence-transformers has no name.
    package var fileName: String {
        switch self {
        case .int8: "model_qint8_avx512_vnni.onnx"
        case .int4: "model_q4.onnx"
        }
    }

    /// The same for a graph.
    var weights: GraphWeights {
        switch self {
        case .int8: .int8
        case .int4: .int4
        }
    }
}

extension SentenceEncoder {
    /// Writes the model's files, and the model as ONNX, into the existing folder `folder`. The caller makes it appear
    /// atomically.
    ///
    /// - Parameters:
    ///   - quantization: of a second ONNX file; nil = none.
    ///   - longest: bytes of weights from which on they are in a file of their own.
    /// - Returns: what a user should know, a line each.
    /// - Throws: `.data` for a model that cannot be exported, naming the part, before anything is written; `.retryable`
    ///   naming the file that cannot be written.
    @discardableResult
    package func saveWithONNX(
        to folder: String, quantization: ONNXQuantization? = nil, longest: Int = ONNXFile.longest
    ) throws(TuttiError) -> [String] {
        let route = try exportedRoute()
        try save(to: folder, card: nil)
        let onnx = folder + "/onnx"
        guard mkdir(onnx, 0o777) == 0 else { throw OutputFile.writeError(onnx, code: errno) }
        try writeONNX(route, to: onnx + "/model.onnx", .float32, longest)
        if let quantization {
            try writeONNX(route, to: onnx + "/" + quantization.fileName, quantization.weights, longest)
        }
        if GraphBuilder.canPool(route.heads) { return [] }
        let needed =
            route.heads.contains { $0.overTokens != nil } ? "the modules over tokens" : "the length of the prompt"
        return ["The ONNX file gives token vectors, and no sentence_embedding: pooling needs \(needed)."]
    }

    /// The one route of a model that can be exported.
    ///
    /// Throws: `.data` with the reason.
    private func exportedRoute() throws(TuttiError) -> RoutePlan {
        func refusal(_ problem: String, hint: String? = nil) -> TuttiError {
            TuttiError(.data, "export to ONNX", sourceDescription, problem, hint: hint)
        }
        guard encoder.plans.count == 1, inputs.count == 1 else {
            throw refusal("has a Router, and an ONNX file holds one encoder", hint: "Export the encoders one by one.")
        }
        guard adapter == nil else {
            throw refusal("has an adapter, which ONNX runtimes do not add", hint: "Merge it: --merge.")
        }
        switch directory.inputs[0].input {
        case .transformer, .staticEmbedding: break
        case .wordEmbeddings, .bagOfWords:
            throw refusal(
                "begins with \(directory.inputs[0].input.rawValue), whose list of words no runtime of ONNX reads")
        }
        let route = encoder.plans[0]
        if route.heads.contains(where: { if case .tokens(.layerMixture) = $0 { true } else { false } }) {
            throw refusal("has WeightedLayerPooling, which reads all layers, and an ONNX file gives the last one")
        }
        return route
    }

    private func writeONNX(
        _ route: RoutePlan, to path: String, _ weights: GraphWeights, _ longest: Int
    ) throws(TuttiError) {
        let graph = try graph(route, weights)
        try withExtendedLifetime(self) { () throws(TuttiError) in
            try ONNXFile(graph, producer: ("tutti", tuttiVersion)).write(path: path, longest: longest)
        }
    }

    /// The graph of the model.
    ///
    /// Throws: `.data` naming a part that cannot be exported.
    private func graph(_ route: RoutePlan, _ weights: GraphWeights) throws(TuttiError) -> ONNXGraph {
        let (plan, stores) = (route.plan, encoder.stores)
        var builder = GraphBuilder(name: sourceDescription, weights: weights) { ModelWeights.values($0, in: stores) }
        builder.input(GraphBuilder.Input.ids)
        builder.input(GraphBuilder.Input.mask)
        if let types = plan.embedding.type, types.rows > 1 { builder.input(GraphBuilder.Input.types) }
        let tokens = try builder.encoder(plan)
        let batch = ONNXGraph.Dimension.named("batch_size")
        builder.output("last_hidden_state", tokens, [batch, .named("sequence_length"), .fixed(plan.hiddenSize)])
        if GraphBuilder.canPool(route.heads) {
            var embeddings = builder.sentences(route.heads, tokens, width: plan.hiddenSize)
            if dimension < encoder.outputWidth {
                embeddings = builder.split(embeddings, [dimension, encoder.outputWidth - dimension])[0]
            }
            builder.output("sentence_embedding", embeddings, [batch, .fixed(dimension)])
        }
        return builder.graph
    }
}
