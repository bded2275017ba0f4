// Writes safetensors files that are byte-identical to those of the reference's writer.
//
// Tensors are ordered by type (later types of `TensorType` first, which keeps every tensor aligned), then by name; the
// header is compact JSON padded with spaces to eight bytes, "__metadata__" first, its keys sorted (the reference's
// order of several keys is that of a hash table). Reference: safetensors/src/tensor.rs (prepare, serialize_to_file).

import TuttiGround

/// Writes safetensors files.
package enum SafetensorsWriter {
    /// A tensor to write: its bytes are little-endian, row-major, and valid during the call.
    package typealias Tensor = (name: String, dtype: TensorType, shape: [Int], bytes: UnsafeRawBufferPointer)

    /// Writes `tensors` to the file at `path`, durably and atomically.
    ///
    /// Throws: `.retryable` naming the file and the reason. Duplicate names and a size that does not match its shape
    /// are bugs of the caller.
    package static func write(
        path: String, tensors: [Tensor], metadata: [String: String] = [:]
    ) throws(TuttiError) {
        for tensor in tensors {
            let size = tensor.shape.reduce(tensor.dtype.width, *)
            precondition(
                size == tensor.bytes.count,
                "tensor \(tensor.name): \(tensor.bytes.count) bytes, shape \(tensor.shape) needs \(size)")
        }
        let start = Self.start(of: tensors.map { ($0.name, $0.dtype, $0.shape) }, metadata: metadata)
        try AtomicWrite.file(path: path) { output throws(TuttiError) in
            try output.write(start.header)
            for place in start.order { try output.write(tensors[place].bytes) }
        }
    }

    /// How a file of these tensors begins, for those who write it themselves: the order in which the bytes of the tensors
    /// follow, as indices, and the header with its length in front.
    ///
    /// Duplicate names are a bug of the caller.
    package static func start(
        of tensors: [(name: String, dtype: TensorType, shape: [Int])], metadata: [String: String] = [:]
    ) -> (order: [Int], header: [UInt8]) {
        let order = tensors.indices.sorted { place, other in
            let (a, b) = (tensors[place], tensors[other])
            if a.dtype != b.dtype { return a.dtype.writingRank > b.dtype.writingRank }
            return a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
        }
        var members: [String] = []
        if !metadata.isEmpty {
            let pairs = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            let text = pairs.map { quoted($0.key) + ":" + quoted($0.value) }.joined(separator: ",")
            members.append("\"__metadata__\":{\(text)}")
        }
        var offset = 0
        var names: Set<String> = []
        for tensor in order.lazy.map({ tensors[$0] }) {
            let size = tensor.shape.reduce(tensor.dtype.width, *)
            precondition(names.insert(tensor.name).inserted, "duplicate tensor \(tensor.name)")
            precondition(tensor.name != "__metadata__", "a tensor may not be named __metadata__")
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            let range = "[\(offset),\(offset + size)]"
            members.append(
                quoted(tensor.name)
                    + ":{\"dtype\":\"\(tensor.dtype.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":\(range)}")
            offset += size
        }
        var text = Array("{\(members.joined(separator: ","))}".utf8)
        text.append(contentsOf: repeatElement(0x20, count: (8 - text.count % 8) % 8))
        return (order, withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init) + text)
    }

    private static func quoted(_ text: String) -> String { JSONValue.string(text).serialized() }
}
