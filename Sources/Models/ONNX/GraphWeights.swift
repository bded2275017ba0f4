// Dense products in a graph, with weights in single precision, in bytes, or in four bits.
//
// Bytes: each output has a scale of its own, so that its largest weight is 127; inputs become unsigned bytes while the graph
// is computed, with a scale and a zero of their batch (DynamicQuantizeLinear), as onnxruntime's dynamic quantisation has it.
// What the second product of a feed-forward branch reads has a scale for each token instead: in some models (MPNet) a few
// tokens have numbers there that are a hundred times those of the others, whose bytes would all be near zero. The rows of the
// word table have a scale each.
//
// Four bits: blocks of 32 inputs of an output, and of a row of the word table, have a scale and a zero (FourBitBlocks). Inputs
// become bytes inside the product, where the processor has it so, with a scale for each block of each token.
//
// Legend: I inputs, O outputs. Reference: github.com/microsoft/onnxruntime,
// onnxruntime/python/tools/quantization/operators/matmul.py and docs/ContribOperators.md.

import TuttiEncoders
import TuttiFormats

/// How a graph stores its large weights.
package enum GraphWeights: Sendable {
    case float32
    case int8
    case int4
}

extension GraphBuilder {
    /// The outputs of a dense layer, cut to `widths`, which add up to its outputs; biases included.
    mutating func dense(_ plan: LinearPlan, _ x: String, widths: [Int]) -> [String] {
        if plan.modules.map(\.outputs) == widths {
            return plan.modules.map { dense($0, of: plan, x) }
        }
        let parts = plan.modules.map { dense($0, of: plan, x) }
        let whole = parts.count == 1 ? parts[0] : node("Concat", parts, [("axis", .integer(-1))])
        return widths.count == 1 ? [whole] : split(whole, widths)
    }

    /// The output of a dense layer in single precision.
    mutating func exactly(_ plan: LinearPlan, _ x: String) -> String {
        let parts = plan.modules.map { module in
            withBias(module, plan, node("MatMul", [x, transposed(module, plan)]))
        }
        return parts.count == 1 ? parts[0] : node("Concat", parts, [("axis", .integer(-1))])
    }

    /// The output of a dense layer, bias included.
    mutating func dense(_ plan: LinearPlan, _ x: String) -> String { dense(plan, x, widths: [plan.outputs])[0] }

    /// The output [B, L, O] of the second dense layer of a feed-forward branch.
    mutating func feedForwardOutput(_ plan: LinearPlan, _ x: String) -> String {
        guard weights == .int8, plan.modules.count == 1 else { return dense(plan, x) }
        let (bytes, scales) = quantizedByToken(x)
        let middle = constant("zero of bytes", .uint8, [], .made { [128] })
        // Multiplied last: onnxruntime fuses a product of scales with the bytes' as if it were that of one number.
        let product = multiply(byteProduct(plan.modules[0], plan, bytes, zero: middle, scale: nil), scales)
        return withBias(plan.modules[0], plan, product)
    }

    private mutating func dense(_ module: LinearPlan.Module, of plan: LinearPlan, _ x: String) -> String {
        let product =
            switch weights {
            case .float32: node("MatMul", [x, transposed(module, plan)])
            case .int8:
                byteProduct(module, plan, quantized(x)[0], zero: quantized(x)[2], scale: quantized(x)[1])
            case .int4: fourBitProduct(module, plan, x)
            }
        return withBias(module, plan, product)
    }

    private mutating func withBias(_ module: LinearPlan.Module, _ plan: LinearPlan, _ product: String) -> String {
        plan.hasBias ? add(product, parameter(module.name + ".bias", [module.outputs])) : product
    }

    /// The rows of the word table for `ids`.
    mutating func words(_ table: TokenEmbeddingPlan.Table, width: Int, _ ids: String) -> String {
        let values = values(table.name)
        switch weights {
        case .float32: return gather(parameter(table.name, [table.rows, width]), ids)
        case .int4 where width % 2 == 0:  // the operator counts two columns a byte
            let blocks = FourBitBlocks.count(columns: width)
            let made = MadeOnce(uses: 3) { FourBitBlocks(values, rows: table.rows) }
            let codes = constant(
                table.name + ".codes", .uint8, [table.rows, width / 2],
                .made { made.value.codesWithoutFilling(columns: width) })
            let scales = floats(table.name + ".scales", [table.rows, blocks], made.value.scales)
            let zeros = constant(
                table.name + ".zeros", .uint8, [table.rows, (blocks + 1) / 2], .made { made.value.zeros })
            return node(
                "GatherBlockQuantized", domain: ONNXGraph.runtimeDomain, [codes, ids, scales, zeros],
                [
                    ("gather_axis", .integer(0)), ("quantize_axis", .integer(1)), ("bits", .integer(4)),
                    ("block_size", .integer(FourBitBlocks.width)),
                ])
        case .int4, .int8:
            let made = MadeOnce(uses: 2) { ByteRows(values, rows: table.rows) }
            let bytes = constant(
                table.name + ".bytes", .int8, [table.rows, width],
                .made { made.value.bytes.map(UInt8.init(bitPattern:)) })
            let scales = floats(table.name + ".scales", [table.rows, 1], made.value.scales)
            return multiply(cast(gather(bytes, ids), to: .float32), gather(scales, ids))
        }
    }

    /// A weight [O, I] as [I, O].
    private mutating func transposed(_ module: LinearPlan.Module, _ plan: LinearPlan) -> String {
        let (name, outputs, inputs) = (module.name + ".weight", module.outputs, plan.inputs)
        let values = values(name)
        return constant(
            name + ".transposed", .float32, [inputs, outputs],
            .made {
                columnMajor(values, rows: outputs, columns: inputs).withUnsafeBytes { Array($0) }
            })
    }

    /// x [B, L, I] as unsigned bytes around 128, and the scale [B, L, 1] of each token.
    private mutating func quantizedByToken(_ x: String) -> (bytes: String, scales: String) {
        let largest = node(
            "ReduceMax", [node("Abs", [x])], [("axes", .integers([-1])), ("keepdims", .integer(1))])
        let scales = multiply(node("Max", [largest, number(1e-12)]), by: 1 / 127)
        let steps = add(node("Div", [x, scales]), number(128.5))  // the cast cuts what is behind the point
        return (cast(steps, to: .uint8), scales)
    }

    /// x W^T of the bytes of x, less their zero and times their scale if one is given, and those of W.
    private mutating func byteProduct(
        _ module: LinearPlan.Module, _ plan: LinearPlan, _ x: String, zero: String, scale: String?
    ) -> String {
        let (name, outputs, inputs) = (module.name + ".weight", module.outputs, plan.inputs)
        let values = values(name)
        let made = MadeOnce(uses: 2) { ByteRows(values, rows: outputs) }
        let bytes = constant(
            name + ".bytes", .int8, [inputs, outputs],
            .made {
                columnMajor(made.value.bytes, rows: outputs, columns: inputs).map(UInt8.init(bitPattern:))
            })
        let scales = floats(name + ".scales", [outputs], made.value.scales)
        let sums = cast(node("MatMulInteger", [x, bytes, zero]), to: .float32)
        return multiply(sums, scale.map { multiply($0, scales) } ?? scales)
    }

    /// x W^T of W in four bits.
    private mutating func fourBitProduct(_ module: LinearPlan.Module, _ plan: LinearPlan, _ x: String) -> String {
        let (name, outputs, inputs) = (module.name + ".weight", module.outputs, plan.inputs)
        let (values, blocks) = (values(name), FourBitBlocks.count(columns: inputs))
        let made = MadeOnce(uses: 3) { FourBitBlocks(values, rows: outputs) }
        let codes = constant(
            name + ".codes", .uint8, [outputs, blocks, FourBitBlocks.width / 2], .made { made.value.codes })
        let scales = floats(name + ".scales", [outputs * blocks], made.value.scales)
        let zeros = constant(name + ".zeros", .uint8, [outputs * ((blocks + 1) / 2)], .made { made.value.zeros })
        return node(
            "MatMulNBits", domain: ONNXGraph.runtimeDomain, [x, codes, scales, zeros],
            [
                ("K", .integer(inputs)), ("N", .integer(outputs)), ("bits", .integer(4)),
                ("block_size", .integer(FourBitBlocks.width)),
                ("accuracy_level", .integer(4)),  // inputs as bytes, sums as integers
            ])
    }
}

/// What several constants are made of: made for the first that is written, forgotten after the last.
private final class MadeOnce<Value> {
    private let make: () -> Value
    private let uses: Int
    private var made: Value?
    private var left = 0

    init(uses: Int, _ make: @escaping () -> Value) { (self.uses, self.make) = (uses, make) }

    /// The value; counts as a use.
    var value: Value {
        let value = made ?? make()
        left = (made == nil ? uses : left) - 1
        made = left == 0 ? nil : value
        return value
    }
}

/// Rows of numbers as signed bytes and a scale each: x = scale * byte.
struct ByteRows {
    let bytes: [Int8]
    let scales: [Float]

    init(_ values: UnsafeMutableBufferPointer<Float>, rows: Int) {
        let width = values.count / rows
        var (bytes, scales) = ([Int8](repeating: 0, count: values.count), [Float](repeating: 1, count: rows))
        for row in 0..<rows {
            let own = values[row * width..<(row + 1) * width]
            let largest = own.reduce(0) { max($0, abs($1)) }
            if largest == 0 { continue }
            scales[row] = largest / 127
            for place in own.indices {
                bytes[place] = Int8(max(-127, min(127, (values[place] / scales[row]).rounded())))
            }
        }
        (self.bytes, self.scales) = (bytes, scales)
    }
}

/// A matrix [rows, columns] as [columns, rows].
private func columnMajor<Numbers: RandomAccessCollection<Element>, Element>(
    _ values: Numbers, rows: Int, columns: Int
) -> [Element] where Numbers.Index == Int {
    [Element](unsafeUninitializedCapacity: rows * columns) { to, count in
        for row in 0..<rows {
            for column in 0..<columns { to[column * rows + row] = values[row * columns + column] }
        }
        count = rows * columns
    }
}
