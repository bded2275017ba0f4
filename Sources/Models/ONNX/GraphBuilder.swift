// The graph of an encoder while it grows: operators, constants, and values that several parts use.
//
// Parameters keep the names of their tensors; weights of dense layers are transposed, since MatMul multiplies from the
// left. Values that depend on the batch alone (distances, masks, angles) are computed once: `shared`.
//
// Legend: B texts, L tokens of the longest one.

import TuttiEncoders
import TuttiFormats
import TuttiGround

/// Adds operators to a graph.
struct GraphBuilder {
    /// The values of a parameter; nil = there is none of this name.
    typealias Parameters = (_ name: String) -> UnsafeMutableBufferPointer<Float>?

    private(set) var graph: ONNXGraph
    /// How weights of dense layers and the word table are stored.
    let weights: GraphWeights
    /// The part whose operators are added, a prefix of their names.
    var scope = ""
    private let parameters: Parameters
    private var numbers: [String: Int] = [:]
    private var known: [String: String] = [:]
    private var asBytes: [String: [String]] = [:]

    /// An empty graph.
    init(name: String, weights: GraphWeights, parameters: @escaping Parameters) {
        graph = ONNXGraph(name: name)
        self.weights = weights
        self.parameters = parameters
    }

    // MARK: Inputs and outputs

    /// An input [B, L] of integers.
    mutating func input(_ name: String) {
        graph.inputs.append(.init(name, .int64, [.named("batch_size"), .named("sequence_length")]))
    }

    /// Makes `value` the output `name`.
    mutating func output(_ name: String, _ value: String, _ shape: [ONNXGraph.Dimension]) {
        graph.nodes.append(.init(name: "/" + name, operation: "Identity", inputs: [value], outputs: [name]))
        graph.outputs.append(.init(name, .float32, shape))
    }

    // MARK: Operators

    /// The outputs of an operator that has several; an empty domain is that of the standard.
    mutating func nodes(
        _ operation: String, domain: String = "", _ inputs: [String], outputs count: Int,
        _ attributes: [(name: String, value: ONNXGraph.Attribute)] = []
    ) -> [String] {
        let kind = scope.isEmpty ? operation : "\(scope)/\(operation)"
        let number = numbers[kind, default: 0]
        numbers[kind] = number + 1
        let name = number == 0 ? "/" + kind : "/\(kind)_\(number)"
        let outputs = (0..<count).map { "\(name)_output_\($0)" }
        graph.nodes.append(
            .init(
                name: name, operation: operation, domain: domain, inputs: inputs, outputs: outputs,
                attributes: attributes))
        return outputs
    }

    /// The output of an operator.
    mutating func node(
        _ operation: String, domain: String = "", _ inputs: [String],
        _ attributes: [(name: String, value: ONNXGraph.Attribute)] = []
    ) -> String {
        nodes(operation, domain: domain, inputs, outputs: 1, attributes)[0]
    }

    mutating func add(_ a: String, _ b: String) -> String { node("Add", [a, b]) }
    mutating func multiply(_ a: String, _ b: String) -> String { node("Mul", [a, b]) }
    mutating func multiply(_ a: String, by factor: Float) -> String {
        factor == 1 ? a : multiply(a, number(factor))
    }

    /// `x` with the axes in another order.
    mutating func transpose(_ x: String, _ order: [Int]) -> String {
        node("Transpose", [x], [("perm", .integers(order))])
    }

    /// `x` in another shape; 0 = the axis stays, -1 = what is left.
    mutating func reshape(_ x: String, _ shape: [Int]) -> String { node("Reshape", [x, integers(shape)]) }

    /// `x` with axes of size 1 at these places of the result.
    mutating func unsqueeze(_ x: String, _ axes: [Int]) -> String { node("Unsqueeze", [x, integers(axes)]) }

    /// Parts of the last axis.
    mutating func split(_ x: String, _ widths: [Int]) -> [String] {
        nodes("Split", [x, integers(widths)], outputs: widths.count, [("axis", .integer(-1))])
    }

    mutating func cast(_ x: String, to type: ONNXGraph.ElementType) -> String {
        node("Cast", [x], [("to", .integer(type.rawValue))])
    }

    /// Rows of a table.
    mutating func gather(_ table: String, _ rows: String) -> String {
        node("Gather", [table, rows], [("axis", .integer(0))])
    }

    /// `x` as unsigned bytes, with their scale and their zero, computed once.
    mutating func quantized(_ x: String) -> [String] {
        if let known = asBytes[x] { return known }
        let made = nodes("DynamicQuantizeLinear", [x], outputs: 3)
        asBytes[x] = made
        return made
    }

    // MARK: Constants

    /// The value that `make` computes, once for all that ask by the same key.
    mutating func shared(_ key: String, _ make: (inout GraphBuilder) -> String) -> String {
        if let value = known[key] { return value }
        let outer = scope
        scope = "shared"
        let value = make(&self)
        scope = outer
        known[key] = value
        return value
    }

    /// A constant, added once.
    mutating func constant(
        _ name: String, _ type: ONNXGraph.ElementType, _ shape: [Int], _ contents: @autoclosure () -> ONNXGraph.Contents
    ) -> String {
        if known["constant " + name] == nil {
            known["constant " + name] = name
            graph.constants.append(.init(name, type, shape, contents()))
        }
        return name
    }

    /// A number.
    mutating func number(_ value: Float) -> String { floats("number \(value)", [], [value]) }

    /// An integer without axes.
    mutating func integer(_ value: Int) -> String { integers([value], shape: []) }

    /// A list of integers.
    mutating func integers(_ values: [Int], shape: [Int]? = nil) -> String {
        let name = "integers \(shape == [] ? "\(values[0])" : "\(values)")"
        return integers(name, values, shape: shape ?? [values.count])
    }

    /// Integers under a name.
    mutating func integers(_ name: String, _ values: [Int], shape: [Int]) -> String {
        constant(name, .int64, shape, .made { values.flatMap { littleEndianBytes(Int64($0)) } })
    }

    /// Numbers under a name.
    mutating func floats(_ name: String, _ shape: [Int], _ values: @autoclosure @escaping () -> [Float]) -> String {
        constant(name, .float32, shape, .made { values().flatMap { littleEndianBytes($0.bitPattern) } })
    }

    /// A parameter as it is stored.
    mutating func parameter(_ name: String, _ shape: [Int]) -> String {
        let values = values(name)
        return constant(name, .float32, shape, .stored(UnsafeRawBufferPointer(values)))
    }

    /// The values of a parameter.
    func values(_ name: String) -> UnsafeMutableBufferPointer<Float> {
        guard let values = parameters(name) else { preconditionFailure("GraphBuilder: no parameter '\(name)'") }
        return values
    }
}

/// The bytes of an integer, the lowest first.
func littleEndianBytes(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
