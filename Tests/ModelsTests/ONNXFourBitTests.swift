// Weights in four bits: codes, scales and zeros unpack to the weights, as well as the scale allows and never worse than minimum
// to maximum, in blocks of which the last one of a row may be filled.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiModels

@Suite struct ONNXFourBitTests {
    /// Rows of blocks as an operator reads them.
    private struct Unpacked {
        let columns: Int
        let codes: [UInt8]
        let scales: [Float]
        let zeros: [UInt8]
        /// Bytes of codes between two rows.
        let stride: Int
        /// Whether the high half of a byte is read as the first code, which is wrong.
        var isSwapped = false

        private var blocks: Int { FourBitBlocks.count(columns: columns) }

        func code(_ row: Int, _ column: Int) -> Int {
            Int(codes[row * stride + column / 2] >> ((column % 2 == 0) != isSwapped ? 0 : 4)) & 15
        }

        func scale(_ row: Int, _ column: Int) -> Float { scales[row * blocks + column / 32] }

        func zero(_ row: Int, _ column: Int) -> Int {
            let block = column / 32
            return Int(zeros[row * ((blocks + 1) / 2) + block / 2] >> (block % 2 == 0 ? 0 : 4)) & 15
        }

        func value(_ row: Int, _ column: Int) -> Float {
            scale(row, column) * Float(code(row, column) - zero(row, column))
        }

        /// Weights farther from their number than half a step, of those that the codes reach.
        func far(from weights: [Float]) -> Int {
            weights.indices.filter { place in
                let (row, column) = (place / columns, place % columns)
                let (scale, zero) = (scale(row, column), Float(zero(row, column)))
                let reached = min(max(weights[place], -zero * scale), (15 - zero) * scale)
                return abs(value(row, column) - reached) > scale * 0.5001
            }.count
        }

        /// The squared error of the block of `row` that begins at `column`.
        func error(_ weights: [Float], _ row: Int, from column: Int) -> Double {
            (column..<min(column + 32, columns)).reduce(0) { sum, column in
                let difference = Double(value(row, column)) - Double(weights[row * columns + column])
                return sum + difference * difference
            }
        }
    }

    private func unpacked(_ weights: [Float], columns: Int) -> Unpacked {
        var weights = weights
        let blocks = weights.withUnsafeMutableBufferPointer { FourBitBlocks($0, rows: $0.count / columns) }
        return Unpacked(
            columns: columns, codes: blocks.codes, scales: blocks.scales, zeros: blocks.zeros,
            stride: FourBitBlocks.count(columns: columns) * 16)
    }

    /// The squared error of a block whose codes go from its minimum to its maximum.
    private func errorOfWholeRange(_ block: ArraySlice<Float>) -> Double {
        let (low, high) = (min(0, block.min() ?? 0), max(0, block.max() ?? 0))
        if high == low { return 0 }
        let scale = (high - low) / 15
        let zero = (-low / scale).rounded()
        return block.reduce(0) { sum, weight in
            let code = min(15, max(0, (weight / scale).rounded(.toNearestOrEven) + zero))
            let difference = Double(scale * (code - zero)) - Double(weight)
            return sum + difference * difference
        }
    }

    /// Numbers whose frequencies are about those of weights; some are far from the others.
    private func weights(_ count: Int, seed: UInt64) -> [Float] {
        var state = seed
        func uniform() -> Float {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(state >> 40) / Float(1 << 24)
        }
        return (0..<count).map { place in
            let sum = (0..<6).reduce(Float(-3)) { sum, _ in sum + uniform() }
            return place % 53 == 0 ? sum * 0.2 : sum * 0.04
        }
    }

    // MARK: Blocks

    /// Rows of one block, of several, of an odd number of them, and of blocks that are not full.
    @Test(arguments: [1, 2, 31, 32, 33, 40, 64, 70, 96, 129]) func blocksAreNearTheWeights(_ columns: Int) {
        let rows = 20
        let weights = weights(rows * columns, seed: UInt64(columns))
        var found = unpacked(weights, columns: columns)
        let blocks = FourBitBlocks.count(columns: columns)
        #expect(found.codes.count == rows * blocks * 16 && found.scales.count == rows * blocks)
        #expect(found.zeros.count == rows * ((blocks + 1) / 2))
        if columns % 64 == 0 {  // 32 bytes of codes, two scales and a byte of zeros
            let bytes = found.codes.count + 4 * found.scales.count + found.zeros.count
            #expect(bytes == weights.count / 64 * 41)
        }
        #expect(found.far(from: weights) == 0)
        for row in 0..<rows {
            for column in columns..<blocks * 32 {
                #expect(found.code(row, column) == found.zero(row, column), "the filling is zero")
            }
        }
        found.isSwapped = true
        if columns > 1 { #expect(found.far(from: weights) > weights.count / 8, "the control") }
    }

    /// Each block by itself; and in all better than what it is compared with, which would fail here.
    @Test func scalesAreNeverWorseThanTheWholeRange() {
        let (rows, columns) = (200, 104)
        let weights = weights(rows * columns, seed: 7)
        let found = unpacked(weights, columns: columns)
        var (sum, whole) = (0.0, 0.0)
        for row in 0..<rows {
            for first in stride(from: 0, to: columns, by: 32) {
                let own = found.error(weights, row, from: first)
                let other = errorOfWholeRange(
                    weights[row * columns + first..<row * columns + min(first + 32, columns)])
                #expect(own <= other * 1.0001, "row \(row), column \(first)")
                (sum, whole) = (sum + own, whole + other)
            }
        }
        #expect(sum < 0.95 * whole, "\(sum) of \(whole)")
    }

    @Test func blocksOfOneSignOrOfNothingAreExact() {
        let zeros = unpacked([Float](repeating: 0, count: 33), columns: 33)
        let tiny = unpacked([Float](repeating: .leastNonzeroMagnitude, count: 32), columns: 32)
        #expect((0..<33).allSatisfy { zeros.value(0, $0) == 0 } && (0..<32).allSatisfy { tiny.value(0, $0) == 0 })
        for value: Float in [0.75, -3, 1e30, -1e-30] {
            let found = unpacked([Float](repeating: value, count: 32), columns: 32)
            #expect((0..<32).allSatisfy { abs(found.value(0, $0) / value - 1) < 1e-6 }, "\(value)")
        }
        let steps = (0..<32).map { Float($0 % 16 - 5) }
        let found = unpacked(steps, columns: 32)
        #expect((0..<32).allSatisfy { abs(found.value(0, $0) - steps[$0]) < 1e-5 })
    }

    // MARK: Files

    /// Inputs of 4, 8, 16, 32 and 40 numbers, so that last blocks are filled.
    @Test(arguments: ONNXExportTests.families) func filesHoldTheWeights(_ name: String) throws {
        try ONNXExportTests.with(Goldens.path("families/\(name)/model"), quantization: .int4) { folder, model in
            let exact = try ReadONNX(path: folder + "/onnx/model.onnx")
            let small = try ReadONNX(path: folder + "/onnx/model_q4.onnx")
            ONNXExportTests.check(exact)
            ONNXExportTests.check(small, others: ["MatMulNBits", "GatherBlockQuantized"])
            #expect(small.inputs == exact.inputs && small.outputs == exact.outputs)
            let products = small.nodes.filter { $0.operation == "MatMulNBits" }
            #expect(products.count >= 4 * (model.encoder.plans.first?.plan.layerCount ?? 0))
            for node in products {
                let inner = try #require(node.integers["K"])
                let outputs = try #require(node.integers["N"])
                let blocks = (inner + 31) / 32
                #expect(node.integers["bits"] == 4 && node.integers["block_size"] == 32)
                #expect(node.inputs.count == 4 && node.inputs[1].hasSuffix(".codes"))
                #expect(small.constants[node.inputs[1]]?.shape == [outputs, blocks, 16])
                #expect(small.constants[node.inputs[2]]?.shape == [outputs * blocks])
                #expect(small.constants[node.inputs[3]]?.shape == [outputs * ((blocks + 1) / 2)])
                let weight = String(node.inputs[1].dropLast(".codes".count))
                let columns = exact.floats(weight + ".transposed")
                let rows = (0..<outputs * inner).map { columns[$0 % inner * outputs + $0 / inner] }
                try holds(small, weight, rows, columns: inner, stride: blocks * 16)
            }
            let tables = small.nodes.filter { $0.operation == "GatherBlockQuantized" }
            #expect(tables.count == 1)
            for node in tables {
                #expect(node.integers == ["gather_axis": 0, "quantize_axis": 1, "bits": 4, "block_size": 32])
                let table = String(node.inputs[0].dropLast(".codes".count))
                let width = try #require(exact.constants[table]?.shape.last)
                let rows = exact.floats(table)
                #expect(small.constants[node.inputs[0]]?.shape == [rows.count / width, width / 2])
                #expect(node.inputs == [table + ".codes", "input_ids", table + ".scales", table + ".zeros"])
                try holds(small, table, rows, columns: width, stride: width / 2)
            }
        }
    }

    /// The operator on tables counts two columns a byte: a table of an odd width is in bytes.
    @Test func aTableOfAnOddWidthIsInBytes() throws {
        let scratch = try TemporaryDirectory()
        let (rows, width) = (129, 5)
        var weights = weights(rows * width, seed: 3)
        try FileManager.default.copyItem(
            atPath: Goldens.path("static-models/tokenizer.json"), toPath: scratch.path + "/tokenizer.json")
        try #"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}]"#
            .write(toFile: scratch.path + "/modules.json", atomically: true, encoding: .utf8)
        try weights.withUnsafeMutableBytes { bytes in
            try SafetensorsWriter.write(
                path: scratch.path + "/model.safetensors",
                tensors: [("embedding.weight", .f32, [rows, width], UnsafeRawBufferPointer(bytes))])
        }
        try ONNXExportTests.with(scratch.path, quantization: .int4) { folder, _ in
            let small = try ReadONNX(path: folder + "/onnx/model_q4.onnx")
            ONNXExportTests.check(small)
            #expect(small.nodes.contains { $0.operation == "Gather" && $0.inputs[0] == "embedding.weight.bytes" })
            let (bytes, scales) = (small.bytes("embedding.weight.bytes"), small.floats("embedding.weight.scales"))
            #expect(bytes.count == rows * width && scales.count == rows)
            let far = weights.indices.filter { place in
                let scale = scales[place / width]
                return abs(Float(Int8(bitPattern: bytes[place])) * scale - weights[place]) > 0.5001 * scale
            }
            #expect(far.isEmpty, "\(far.count) numbers")
        }
    }

    private func holds(
        _ file: ReadONNX, _ name: String, _ weights: [Float], columns: Int, stride: Int
    ) throws {
        var found = Unpacked(
            columns: columns, codes: file.bytes(name + ".codes"), scales: file.floats(name + ".scales"),
            zeros: file.bytes(name + ".zeros"), stride: stride)
        #expect(file.constants[name + ".codes"]?.type == 2 && file.constants[name + ".zeros"]?.type == 2)
        #expect(found.far(from: weights) == 0, "\(name)")
        found.isSwapped = true
        #expect(found.far(from: weights) > weights.count / 8, "\(name): the control")
    }
}
