// An ONNX file read back by its wire format, for the tests of what is written.

import Foundation
import TuttiFormats
import TuttiGround

/// The parts of an ONNX file that tests look at.
struct ReadONNX {
    struct Node {
        var operation = ""
        var domain = ""
        var inputs: [String] = []
        var outputs: [String] = []
        /// Attributes that are whole numbers.
        var integers: [String: Int] = [:]
    }

    struct Tensor {
        var type = 0
        var shape: [Int] = []
        /// The bytes of the elements, in the file.
        var bytes = 0..<0
        /// location, offset and length of elements in another file.
        var outside: [String: String] = [:]
    }

    /// An axis is its size, or its name.
    struct Value: Equatable {
        var name = ""
        var type = 0
        var axes: [String] = []
    }

    let contents: [UInt8]
    private(set) var format = 0
    private(set) var versions: [String: Int] = [:]
    private(set) var nodes: [Node] = []
    private(set) var constants: [String: Tensor] = [:]
    private(set) var inputs: [Value] = []
    private(set) var outputs: [Value] = []

    init(path: String) throws {
        contents = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        var model = ProtobufReader(contents, source: path)
        while let (field, value) = try model.next() {
            switch (field, value) {
            case (1, .varint(let version)): format = Int(version)
            case (7, .bytes(let range)): try readGraph(model.message(range))
            case (8, .bytes(let range)):
                var (set, name, version) = (model.message(range), "", 0)
                while let (field, value) = try set.next() {
                    if case .bytes(let range) = value, field == 1 { name = try set.text(range) }
                    if case .varint(let number) = value, field == 2 { version = Int(number) }
                }
                versions[name] = version
            default: break
            }
        }
    }

    /// The elements of a constant in this file.
    func bytes(_ name: String) -> [UInt8] { constants[name].map { Array(contents[$0.bytes]) } ?? [] }

    /// The numbers of a constant of single precision in this file.
    func floats(_ name: String) -> [Float] {
        guard let tensor = constants[name] else { return [] }
        return stride(from: tensor.bytes.lowerBound, to: tensor.bytes.upperBound, by: 4).map { place in
            Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(contents[place + $1]) << (8 * UInt32($1)) })
        }
    }

    private mutating func readGraph(_ message: ProtobufReader) throws {
        var graph = message
        while let (field, value) = try graph.next() {
            guard case .bytes(let range) = value else { continue }
            switch field {
            case 1: try readNode(graph.message(range))
            case 5: try readTensor(graph.message(range))
            case 11: inputs.append(try Self.value(graph.message(range)))
            case 12: outputs.append(try Self.value(graph.message(range)))
            default: break
            }
        }
    }

    private mutating func readNode(_ message: ProtobufReader) throws {
        var (reader, node) = (message, Node())
        while let (field, value) = try reader.next() {
            guard case .bytes(let range) = value else { continue }
            if field == 5 {
                var (attribute, name) = (reader.message(range), "")
                while let (field, value) = try attribute.next() {
                    if case .bytes(let range) = value, field == 1 { name = try attribute.text(range) }
                    if case .varint(let number) = value, field == 3 {
                        node.integers[name] = Int(bitPattern: UInt(number))
                    }
                }
                continue
            }
            let text = try reader.text(range)
            switch field {
            case 1: node.inputs.append(text)
            case 2: node.outputs.append(text)
            case 4: node.operation = text
            case 7: node.domain = text
            default: break
            }
        }
        nodes.append(node)
    }

    private mutating func readTensor(_ message: ProtobufReader) throws {
        var (reader, tensor, name) = (message, Tensor(), "")
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .varint(let size)): tensor.shape.append(Int(size))
            case (2, .varint(let type)): tensor.type = Int(type)
            case (8, .bytes(let range)): name = try reader.text(range)
            case (9, .bytes(let range)): tensor.bytes = range
            case (13, .bytes(let range)):
                var (entry, texts) = (reader.message(range), [String]())
                while let (_, value) = try entry.next() {
                    if case .bytes(let range) = value { texts.append(try entry.text(range)) }
                }
                tensor.outside[texts[0]] = texts[1]
            default: break
            }
        }
        constants[name] = tensor
    }

    /// A ValueInfoProto.
    private static func value(_ message: ProtobufReader) throws -> Value {
        var (reader, found) = (message, Value())
        while let (field, value) = try reader.next() {
            guard case .bytes(let range) = value else { continue }
            if field == 1 { found.name = try reader.text(range) }
            guard field == 2 else { continue }
            var type = reader.message(range)
            guard case .bytes(let tensor)? = try type.next()?.value else { continue }
            var parts = type.message(tensor)
            while let (field, value) = try parts.next() {
                if case .varint(let number) = value, field == 1 { found.type = Int(number) }
                guard case .bytes(let shape) = value, field == 2 else { continue }
                var axes = parts.message(shape)
                while case .bytes(let axis)? = try axes.next()?.value {
                    var size = axes.message(axis)
                    switch try size.next()?.value {
                    case .varint(let number)?: found.axes.append("\(number)")
                    case .bytes(let name)?: found.axes.append(try size.text(name))
                    default: found.axes.append("?")
                    }
                }
            }
        }
        return found
    }
}
