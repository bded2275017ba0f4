// The tensors of weight files, single or sharded, memory-mapped: safetensors, or torch checkpoints.
//
// A broken file is detected when it is opened, so that reading a tensor later cannot fail because of the layout: lengths,
// types and sizes are checked against the files first (SafetensorsHeader, TorchTensors).
//
// safetensors: 8 bytes little-endian header length, the JSON header {"__metadata__": {...}, name: {"dtype", "shape",
// "data_offsets": [begin, end]}}, the data, which the ranges cover exactly once.
// Reference: safetensors/src/tensor.rs (SafeTensors::read_metadata, Metadata::validate).

import Foundation
import TuttiGround

/// The tensors of one file, or of the shards of an index file, memory-mapped.
package struct TensorFile: Sendable {
    /// What a file says about one tensor.
    package struct TensorInfo: Sendable, Equatable {
        /// The tensor's name.
        package let name: String
        /// Its element type.
        package let dtype: TensorType
        /// Its shape; empty for a scalar.
        package let shape: [Int]
        /// The range of its bytes in its file.
        package let byteRange: Range<Int>
        /// Its index in `files`.
        package let file: Int

        /// The number of elements.
        package var count: Int { byteRange.count / dtype.width }
    }

    /// The path that was opened: the file, or the index of the shards.
    package let path: String
    /// The mapped files: one unless sharded, and one in memory for each tensor that is not contiguous in its file.
    package let files: [MappedFile]
    /// The tensors, shard after shard; of safetensors in the order of their bytes.
    package let tensors: [TensorInfo]
    /// The header's free-form metadata, merged over all shards.
    package let metadata: [String: String]
    private let places: [String: Int]

    /// Opens a file of safetensors.
    ///
    /// Throws: `.missingFile`; `.data` naming the file and the tensor for anything malformed.
    package init(path: String) throws(TuttiError) {
        let file = try MappedFile(path: path)
        let header = try SafetensorsHeader(file: file, index: 0)
        try self.init(path: path, files: [file], tensors: header.tensors, metadata: header.metadata)
    }

    /// Opens a torch checkpoint.
    ///
    /// Throws: as `init(path:)`, and `.data` naming what a pickle asks for besides tensors.
    package init(torch path: String) throws(TuttiError) {
        let contents = try TorchTensors(file: try MappedFile(path: path), index: 0, copies: 1)
        try self.init(path: path, files: contents.files, tensors: contents.tensors, metadata: [:])
    }

    /// Opens the weights in `directory`: `model.safetensors`, else the shards of its index; else `pytorch_model.bin`, else
    /// the shards of its index.
    ///
    /// Throws: `.missingFile` if all are missing or a shard is missing; `.data` for anything malformed.
    package static func open(directory: String) throws(TuttiError) -> TensorFile {
        func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: directory + "/" + name) }
        let (single, torch) = ("model.safetensors", "pytorch_model.bin")
        if exists(single) { return try TensorFile(path: directory + "/" + single) }
        if exists(single + ".index.json") { return try TensorFile(shardsOf: single, in: directory, isTorch: false) }
        if exists(torch) { return try TensorFile(torch: directory + "/" + torch) }
        if exists(torch + ".index.json") { return try TensorFile(shardsOf: torch, in: directory, isTorch: true) }
        throw TuttiError(
            .missingFile, "read weights", directory + "/" + single, "no such file",
            hint: "A model folder has \(single) or \(torch), or \(single).index.json with shards.")
    }

    /// What the file says about the tensor `name`, or nil.
    package func info(_ name: String) -> TensorInfo? { places[name].map { tensors[$0] } }

    /// The bytes of the tensor `name`, valid as long as this value lives.
    ///
    /// Throws: `.data` with the nearest name if there is no such tensor.
    package func rawBytes(_ name: String) throws(TuttiError) -> UnsafeRawBufferPointer {
        let info = try require(name)
        return UnsafeRawBufferPointer(rebasing: files[info.file].bytes[info.byteRange])
    }

    /// Reads the tensor `name` as float32, converting float16, bfloat16 and float64.
    ///
    /// Throws: `.data` if there is no such tensor, if it holds integers, or if its size is not that of `floats`.
    package func readFloats(_ name: String, into floats: UnsafeMutableBufferPointer<Float>) throws(TuttiError) {
        let info = try require(name)
        guard info.count == floats.count else {
            throw tensorError(info, "has \(info.count) elements, shape \(info.shape), expected \(floats.count)")
        }
        try readFloats(name, from: 0, into: floats)
    }

    /// Reads so many elements of the tensor `name` from element `first` on, as the whole tensor is read.
    ///
    /// Throws: `.data` if there is no such tensor, if it holds integers, or if it ends before.
    package func readFloats(
        _ name: String, from first: Int, into floats: UnsafeMutableBufferPointer<Float>
    ) throws(TuttiError) {
        let info = try require(name)
        guard first >= 0, first + floats.count <= info.count else {
            throw tensorError(info, "has \(info.count) elements, expected at least \(first + floats.count)")
        }
        let bytes = UnsafeRawBufferPointer(rebasing: files[info.file].bytes[info.byteRange])
        guard let source = bytes.baseAddress, let target = floats.baseAddress, floats.count > 0 else { return }
        let start = source + first * info.dtype.width
        guard info.dtype.convertToFloats(start, into: target, count: floats.count) else {
            throw tensorError(info, "is of type \(info.dtype.rawValue), expected F32, F16, BF16 or F64")
        }
    }

    /// The tensor `name` as a float32 array.
    ///
    /// Throws: `.data` as `readFloats(_:into:)`.
    package func floats(_ name: String) throws(TuttiError) -> [Float] {
        var values = [Float](repeating: 0, count: try require(name).count)
        try values.withUnsafeMutableBufferPointer { buffer throws(TuttiError) in try readFloats(name, into: buffer) }
        return values
    }

    /// Whether two tensors of this file have the same type, shape and bytes, as tied weights do.
    package func holdsTheSame(_ a: TensorInfo, _ b: TensorInfo) throws(TuttiError) -> Bool {
        guard a.dtype == b.dtype, a.shape == b.shape else { return false }
        if a.file == b.file, a.byteRange == b.byteRange { return true }
        let (first, second) = (try rawBytes(a.name), try rawBytes(b.name))
        guard let start = first.baseAddress, let other = second.baseAddress else { return true }
        return memcmp(start, other, first.count) == 0
    }

    /// An error about one tensor that names its file.
    package func tensorError(_ info: TensorInfo, _ problem: String) -> TuttiError {
        TuttiError(.data, "read weights", files[info.file].path, "the tensor '\(info.name)' \(problem)")
    }

    private func require(_ name: String) throws(TuttiError) -> TensorInfo {
        if let info = info(name) { return info }
        let nearest = nearestName(to: name, among: tensors.map(\.name))
        throw TuttiError(
            .data, "read weights", path, "no tensor '\(name)'", hint: nearest.map { "The nearest is '\($0)'." }
        )
    }

    init(
        path: String, files: [MappedFile], tensors: [TensorInfo], metadata: [String: String]
    ) throws(TuttiError) {
        self.path = path
        self.files = files
        self.tensors = tensors
        self.metadata = metadata
        var places: [String: Int] = [:]
        for (place, info) in tensors.enumerated() {
            if let earlier = places.updateValue(place, forKey: info.name) {
                throw TuttiError(
                    .data, "read weights", files[info.file].path,
                    "the tensor '\(info.name)' is also in \(files[tensors[earlier].file].path)")
            }
        }
        self.places = places
    }

    /// Opens the shards that `<name>.index.json` lists.
    private init(shardsOf name: String, in directory: String, isTorch: Bool) throws(TuttiError) {
        let indexPath = directory + "/" + name + ".index.json"
        let index = try JSONValue.parse(file: indexPath)
        guard let map = index["weight_map"]?.object else {
            throw TuttiError(.data, "read weights", indexPath, "has no object 'weight_map'")
        }
        var names: Set<String> = []
        for (name, value) in map {
            guard let fileName = value.string, !fileName.hasPrefix("/"), !fileName.contains(".."), !fileName.isEmpty
            else {
                throw TuttiError(
                    .data, "read weights", indexPath, "names a file outside of this folder for the tensor '\(name)'")
            }
            names.insert(fileName)
        }
        var (files, copies) = ([MappedFile](), [MappedFile]())
        var tensors: [TensorInfo] = []
        var metadata: [String: String] = [:]
        for (number, fileName) in names.sorted().enumerated() {
            let file = try MappedFile(path: directory + "/" + fileName)
            let own: [TensorInfo]
            if isTorch {
                let contents = try TorchTensors(file: file, index: number, copies: names.count + copies.count)
                own = contents.tensors
                copies += contents.files.dropFirst()
            } else {
                let header = try SafetensorsHeader(file: file, index: number)
                own = header.tensors
                metadata.merge(header.metadata) { first, _ in first }
            }
            for info in own where map[info.name]?.string != fileName {
                throw TuttiError(
                    .data, "read weights", file.path,
                    "has the tensor '\(info.name)', which \(indexPath) does not place there")
            }
            files.append(file)
            tensors += own
        }
        try self.init(path: indexPath, files: files + copies, tensors: tensors, metadata: metadata)
        for name in map.keys where info(name) == nil {
            throw TuttiError(
                .data, "read weights", directory + "/" + (map[name]?.string ?? ""),
                "lacks the tensor '\(name)', which \(indexPath) places there")
        }
    }
}

/// A file of safetensors, which is what this program writes itself.
package typealias SafetensorsFile = TensorFile
