// A computation as ONNX describes it: operators between named values, constants, inputs and outputs.
//
// Only what an exported encoder needs: tensors of known types, attributes of three kinds, no subgraphs.
// Reference: github.com/onnx/onnx, onnx/onnx.proto.

/// A graph of operators, in the order in which they are computed.
package struct ONNXGraph {
    /// The type of a tensor's elements; the raw value is that of TensorProto.DataType.
    package enum ElementType: Int, Sendable {
        case float32 = 1
        case uint8 = 2
        case int8 = 3
        case int64 = 7
        case bool = 9

        /// Bytes of an element.
        package var size: Int {
            switch self {
            case .float32: 4
            case .uint8, .int8, .bool: 1
            case .int64: 8
            }
        }
    }

    /// A setting of an operator.
    package enum Attribute: Sendable, Equatable {
        case integer(Int)
        case float(Float)
        case integers([Int])
    }

    /// One operator.
    package struct Node: Sendable {
        package var name: String
        package var operation: String
        /// Who defines the operator; empty = the standard.
        package var domain: String
        /// Names of values; an empty one stands for an input that is left out.
        package var inputs: [String]
        package var outputs: [String]
        package var attributes: [(name: String, value: Attribute)] = []

        package init(
            name: String, operation: String, domain: String = "", inputs: [String], outputs: [String],
            attributes: [(name: String, value: Attribute)] = []
        ) {
            self.name = name
            self.operation = operation
            self.domain = domain
            self.inputs = inputs
            self.outputs = outputs
            self.attributes = attributes
        }
    }

    /// The size of an axis of an input or output.
    package enum Dimension: Sendable, Equatable {
        case fixed(Int)
        /// Known when the graph is computed.
        case named(String)
    }

    /// An input or output.
    package struct Value: Sendable {
        package var name: String
        package var type: ElementType
        package var shape: [Dimension]

        package init(_ name: String, _ type: ElementType, _ shape: [Dimension]) {
            (self.name, self.type, self.shape) = (name, type, shape)
        }
    }

    /// The elements of a constant, row by row, in little-endian bytes.
    package enum Contents {
        /// Bytes that somebody else keeps until the graph is written.
        case stored(UnsafeRawBufferPointer)
        /// Bytes that are made when they are written, and forgotten.
        case made(() -> [UInt8])
    }

    /// A tensor that is part of the file.
    package struct Constant {
        package var name: String
        package var type: ElementType
        package var shape: [Int]
        package var contents: Contents

        package init(_ name: String, _ type: ElementType, _ shape: [Int], _ contents: Contents) {
            (self.name, self.type, self.shape, self.contents) = (name, type, shape, contents)
        }

        /// Bytes of its elements.
        package var size: Int { shape.reduce(type.size, *) }
    }

    /// The domain of onnxruntime's own operators.
    package static let runtimeDomain = "com.microsoft"

    package var name: String
    package var nodes: [Node] = []
    package var inputs: [Value] = []
    package var outputs: [Value] = []
    package var constants: [Constant] = []

    package init(name: String) { self.name = name }
}
