// Reads model weights from safetensors files, single or sharded, memory-mapped.
//
// Layout: 8 bytes little-endian header length, the JSON header {"__metadata__": {...}, name: {"dtype", "shape",
// "data_offsets": [begin, end]}}, the data. A broken file is detected when it is opened, so that reading a tensor
// later cannot fail because of the layout: lengths, types, sizes, and that the ranges cover the data exactly
// once. Reference: safetensors/src/tensor.rs (SafeTensors::read_metadata, Metadata::validate).

import Foundation
import TuttiGround

/// One safetensors file, or the shards of an index file, memory-mapped.
package struct SafetensorsFile: Sendable {
    /// The header entry of one tensor.
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
    /// The mapped files; one unless sharded.
    package let files: [MappedFile]
    /// The tensors in the order of their bytes, shard after shard.
    package let tensors: [TensorInfo]
    /// The header's free-form metadata, merged over all shards.
    package let metadata: [String: String]
    private let places: [String: Int]

    /// Opens one file.
    ///
    /// Throws: `.missingFile`; `.data` naming the file and the tensor for anything malformed.
    package init(path: String) throws(TuttiError) {
        let file = try MappedFile(path: path)
        let header = try SafetensorsHeader(file: file, index: 0)
        try self.init(path: path, files: [file], headers: [header])
    }

    /// Opens `<baseName>.safetensors` in `directory`, or the shards of `<baseName>.safetensors.index.json`.
    ///
    /// Throws: `.missingFile` if both are missing or a shard is missing; `.data` for anything malformed.
    package static func open(
        directory: String, baseName: String = "model"
    ) throws(TuttiError) -> SafetensorsFile {
        let single = directory + "/" + baseName + ".safetensors"
        let index = single + ".index.json"
        if FileManager.default.fileExists(atPath: single) { return try SafetensorsFile(path: single) }
        guard FileManager.default.fileExists(atPath: index) else {
            throw TuttiError(
                .missingFile, "read weights", single, "no such file",
                hint: "A model folder has \(baseName).safetensors, or \(baseName).safetensors.index.json with shards."
            )
        }
        return try SafetensorsFile(indexPath: index, directory: directory)
    }

    /// The header entry of the tensor `name`, or nil.
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
        let bytes = UnsafeRawBufferPointer(rebasing: files[info.file].bytes[info.byteRange])
        guard let source = bytes.baseAddress, let target = floats.baseAddress, info.count > 0 else { return }
        guard info.dtype.convertToFloats(source, into: target, count: info.count) else {
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

    private init(path: String, files: [MappedFile], headers: [SafetensorsHeader]) throws(TuttiError) {
        self.path = path
        self.files = files
        tensors = headers.flatMap(\.tensors)
        metadata = headers.reduce(into: [:]) { $0.merge($1.metadata) { first, _ in first } }
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

    private init(indexPath: String, directory: String) throws(TuttiError) {
        let index = try JSONValue.parse(file: indexPath)
        guard let map = index["weight_map"]?.object else {
            throw TuttiError(.data, "read weights", indexPath, "has no object 'weight_map'")
        }
        var fileNames: [String] = []
        var numbers: [String: Int] = [:]
        for (name, value) in map {
            guard let fileName = value.string, !fileName.hasPrefix("/"), !fileName.contains(".."), !fileName.isEmpty
            else {
                throw TuttiError(
                    .data, "read weights", indexPath, "names a file outside of this folder for the tensor '\(name)'")
            }
            if numbers[fileName] == nil {
                numbers[fileName] = fileNames.count
                fileNames.append(fileName)
            }
        }
        var files: [MappedFile] = []
        var headers: [SafetensorsHeader] = []
        for (number, fileName) in fileNames.sorted().enumerated() {
            let file = try MappedFile(path: directory + "/" + fileName)
            let header = try SafetensorsHeader(file: file, index: number)
            for info in header.tensors where map[info.name]?.string != fileName {
                throw TuttiError(
                    .data, "read weights", file.path,
                    "has the tensor '\(info.name)', which \(indexPath) does not place there")
            }
            files.append(file)
            headers.append(header)
        }
        try self.init(path: indexPath, files: files, headers: headers)
        for name in map.keys where info(name) == nil {
            throw TuttiError(
                .data, "read weights", directory + "/" + (map[name]?.string ?? ""),
                "lacks the tensor '\(name)', which \(indexPath) places there")
        }
    }
}
