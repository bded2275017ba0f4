// Dense products in a graph, with weights in single precision, or in bytes.
//
// Bytes: each output has a scale of its own, so that its largest weight is 127; inputs become unsigned bytes while the graph
// is computed, with a scale and a zero of their batch (DynamicQuantizeLinear), as onnxruntime's dynamic quantisation has it.
// What the second product of a feed-forward branch reads has a scale for each token instead: in some models (MPNet) a few
// tokens have numbers there that are a hundred times those of the others, whose bytes would all be near zero. The rows of the
// word table have a scale each.
//
// Legend: I inputs, O outputs. Reference: onnxruntime/python/tools/quantization/operators/matmul.py.

import TuttiEncoders
import TuttiFormats

/// How a graph stores its large weights.
package enum GraphWeights: Sendable {
    case float32
    case int8
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
            }
        return withBias(module, plan, product)
    }

    private mutating func withBias(_ module: LinearPlan.Module, _ plan: LinearPlan, _ product: String) -> String {
        plan.hasBias ? add(product, parameter(module.name + ".bias", [module.outputs])) : product
    }

    /// The rows of the word table for `ids`.
    mutating func words(_ table: TokenEmbeddingPlan.Table, width: Int, _ ids: String) -> String {
        guard weights == .int8 else { return gather(parameter(table.name, [table.rows, width]), ids) }
        let values = values(table.name)
        let bytes = constant(
            table.name + ".bytes", .int8, [table.rows, width],
            .made { ByteRows(values, rows: table.rows).bytes.map(UInt8.init(bitPattern:)) })
        let scales = floats(
            table.name + ".scales", [table.rows, 1], ByteRows(values, rows: table.rows).scales)
        return multiply(cast(gather(bytes, ids), to: .float32), gather(scales, ids))
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
        let bytes = constant(
            name + ".bytes", .int8, [inputs, outputs],
            .made {
                let rows = ByteRows(values, rows: outputs).bytes
                return columnMajor(rows, rows: outputs, columns: inputs).map(UInt8.init(bitPattern:))
            })
        let scales = floats(name + ".scales", [outputs], ByteRows(values, rows: outputs).scales)
        let sums = cast(node("MatMulInteger", [x, bytes, zero]), to: .float32)
        return multiply(sums, scale.map { multiply($0, scales) } ?? scales)
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
