// An ONNX model file, written constant by constant, so that no more than one of them is in memory twice.
//
// A message of protocol buffers ends at 2 GB. Beyond that the elements of large constants are in a second file beside the
// first, "<name>_data", at multiples of 4096 bytes, from where runtimes map them.
// Reference: github.com/onnx/onnx, onnx/onnx.proto and docs/ExternalData.md.

import TuttiGround

/// A graph with what a runtime must know of it.
package struct ONNXFile {
    /// The version of the operators: the first with LayerNormalization.
    package static let operators = 17
    /// The version of the operators of every other domain.
    package static let otherOperators = 1
    /// The version of the format that belongs to it.
    package static let format = 8
    /// Bytes of a file from which on large constants are in a second one.
    package static let longest = 2_000_000_000
    /// Bytes of the smallest constant that may be there.
    private static let smallestOutside = 1024
    private static let alignment = 4096

    package var graph: ONNXGraph
    /// The program that made the graph, and its version.
    package var producer: (name: String, version: String)

    package init(_ graph: ONNXGraph, producer: (String, String)) {
        (self.graph, self.producer) = (graph, producer)
    }

    /// Writes the file `path`, and "`path`_data" where it would be longer than `longest` bytes.
    ///
    /// Throws: `.retryable` naming the file that cannot be written.
    package func write(path: String, longest: Int = ONNXFile.longest) throws(TuttiError) {
        let isSplit = graph.constants.reduce(0) { $0 + $1.size } > longest
        var offsets: [String: Int] = [:]
        if isSplit { offsets = try writeOutside(path: path + "_data") }
        let location = path.split(separator: "/").last.map(String.init) ?? path
        let described = ProtobufWriter { describe(&$0) }.bytes
        let headers = graph.constants.map { constant in
            ProtobufWriter { header(of: constant, offset: offsets[constant.name], location: location, to: &$0) }.bytes
        }
        var length = described.count
        for (constant, header) in zip(graph.constants, headers) {
            let size = header.count + (offsets[constant.name] == nil ? constant.size : 0)
            length += ProtobufWriter { $0.begin(Field.initializer, bytes: size) }.bytes.count + size
        }
        try AtomicWrite.file(path: path) { output throws(TuttiError) in
            try output.write(
                ProtobufWriter {
                    introduce(&$0)
                    $0.begin(Field.graph, bytes: length)
                }.bytes)
            try output.write(described)
            for (constant, header) in zip(graph.constants, headers) {
                let isOutside = offsets[constant.name] != nil
                let size = header.count + (isOutside ? 0 : constant.size)
                try output.write(ProtobufWriter { $0.begin(Field.initializer, bytes: size) }.bytes)
                try output.write(header)
                if !isOutside { try write(constant, to: output) }
            }
        }
    }

    // MARK: Constants

    /// Writes the constants that are stored outside, and returns where.
    private func writeOutside(path: String) throws(TuttiError) -> [String: Int] {
        var (offsets, end) = ([String: Int](), 0)
        try AtomicWrite.file(path: path) { output throws(TuttiError) in
            for constant in graph.constants where constant.size >= Self.smallestOutside {
                let gap = (Self.alignment - end % Self.alignment) % Self.alignment
                try output.write([UInt8](repeating: 0, count: gap))
                offsets[constant.name] = end + gap
                try write(constant, to: output)
                end += gap + constant.size
            }
        }
        return offsets
    }

    private func write(_ constant: ONNXGraph.Constant, to output: OutputFile) throws(TuttiError) {
        switch constant.contents {
        case .stored(let bytes):
            precondition(bytes.count == constant.size, "ONNXFile: \(bytes.count) bytes of \(constant.name)")
            try output.write(bytes)
        case .made(let make):
            let bytes = make()
            precondition(bytes.count == constant.size, "ONNXFile: \(bytes.count) bytes of \(constant.name)")
            try output.write(bytes)
        }
    }

    /// All of a TensorProto but the bytes of its elements, which follow, or are at `offset` of the second file.
    private func header(
        of constant: ONNXGraph.Constant, offset: Int?, location: String, to message: inout ProtobufWriter
    ) {
        for size in constant.shape { message.add(1, size) }
        message.add(2, constant.type.rawValue)
        message.add(8, constant.name)
        guard let offset else { return message.begin(9, bytes: constant.size) }
        for (key, value) in [
            ("location", location + "_data"), ("offset", "\(offset)"), ("length", "\(constant.size)"),
        ] {
            message.add(13) { entry in
                entry.add(1, key)
                entry.add(2, value)
            }
        }
        message.add(14, 1)
    }

    // MARK: Messages

    /// Numbers of fields.
    private enum Field {
        /// Of a ModelProto.
        static let graph = 7
        /// Of a GraphProto.
        static let initializer = 5
    }

    /// The fields of a ModelProto before its graph.
    private func introduce(_ message: inout ProtobufWriter) {
        message.add(1, Self.format)
        message.add(2, producer.name)
        message.add(3, producer.version)
        message.add(8) { set in
            set.add(1, "")
            set.add(2, Self.operators)
        }
        for domain in Set(graph.nodes.map(\.domain)).subtracting([""]).sorted() {
            message.add(8) { set in
                set.add(1, domain)
                set.add(2, Self.otherOperators)
            }
        }
    }

    /// The fields of a GraphProto before its constants.
    private func describe(_ message: inout ProtobufWriter) {
        for node in graph.nodes { message.add(1) { describe(node, to: &$0) } }
        message.add(2, graph.name)
        for input in graph.inputs { message.add(11) { describe(input, to: &$0) } }
        for output in graph.outputs { message.add(12) { describe(output, to: &$0) } }
    }

    private func describe(_ node: ONNXGraph.Node, to message: inout ProtobufWriter) {
        for input in node.inputs { message.add(1, input) }
        for output in node.outputs { message.add(2, output) }
        message.add(3, node.name)
        message.add(4, node.operation)
        for (name, value) in node.attributes {
            message.add(5) { attribute in
                attribute.add(1, name)
                switch value {
                case .float(let number):
                    attribute.add(2, number)
                    attribute.add(20, 1)
                case .integer(let number):
                    attribute.add(3, number)
                    attribute.add(20, 2)
                case .integers(let numbers):
                    for number in numbers { attribute.add(8, number) }
                    attribute.add(20, 7)
                }
            }
        }
        if !node.domain.isEmpty { message.add(7, node.domain) }
    }

    private func describe(_ value: ONNXGraph.Value, to message: inout ProtobufWriter) {
        message.add(1, value.name)
        message.add(2) { type in
            type.add(1) { tensor in
                tensor.add(1, value.type.rawValue)
                tensor.add(2) { shape in
                    for dimension in value.shape {
                        shape.add(1) { axis in
                            switch dimension {
                            case .fixed(let size): axis.add(1, size)
                            case .named(let name): axis.add(2, name)
                            }
                        }
                    }
                }
            }
        }
    }
}
