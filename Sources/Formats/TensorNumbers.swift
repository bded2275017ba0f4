// Tensors of weight files as numbers of another kind than single precision, and tensors made from them in memory.

import TuttiGround

extension TensorFile {
    /// The numbers of a tensor of any type in double precision.
    ///
    /// Throws: `.data` for booleans.
    package func doubles(_ info: TensorInfo) throws(TuttiError) -> [Double] {
        let bytes = UnsafeRawBufferPointer(rebasing: files[info.file].bytes[info.byteRange])
        func all<Number: FixedWidthInteger>(_: Number.Type, _ value: (Number) -> Double) -> [Double] {
            (0..<info.count).map { place in
                value(
                    Number(
                        littleEndian: bytes.loadUnaligned(
                            fromByteOffset: place * MemoryLayout<Number>.size, as: Number.self)))
            }
        }
        switch info.dtype {
        case .f64: return all(UInt64.self) { Double(bitPattern: $0) }
        case .f32, .f16, .bf16: return try floats(info.name).map(Double.init)
        case .u8: return all(UInt8.self) { Double($0) }
        case .i8: return all(Int8.self) { Double($0) }
        case .i16: return all(Int16.self) { Double($0) }
        case .u16: return all(UInt16.self) { Double($0) }
        case .i32: return all(Int32.self) { Double($0) }
        case .u32: return all(UInt32.self) { Double($0) }
        case .i64: return all(Int64.self) { Double($0) }
        case .u64: return all(UInt64.self) { Double($0) }
        case .bool: throw tensorError(info, "is of type \(info.dtype.rawValue), expected numbers")
        }
    }

    /// The numbers of a tensor as indices from zero to below `limit`.
    ///
    /// Throws: `.data` that names the first other number.
    package func indices(_ info: TensorInfo, below limit: Int) throws(TuttiError) -> [Int] {
        let numbers = try doubles(info)
        var indices: [Int] = []
        indices.reserveCapacity(numbers.count)
        for (place, number) in numbers.enumerated() {
            guard number >= 0, number < Double(limit), number == number.rounded() else {
                throw tensorError(info, "holds \(number) at [\(place)], where an index below \(limit) is needed")
            }
            indices.append(Int(number))
        }
        return indices
    }

    /// One tensor in single precision, in memory, that `write` makes of the file at `sourcePath`.
    ///
    /// Throws: `.retryable` if there is not enough memory.
    package init(
        inMemory name: String, shape: [Int], sourcePath: String,
        _ write: (UnsafeMutableBufferPointer<Float>) -> Void
    ) throws(TuttiError) {
        try self.init(inMemory: [(name, shape)], sourcePath: sourcePath) { _, values in write(values) }
    }

    /// Tensors in single precision, in memory, that `write` makes one by one; `sourcePath` is what messages name.
    ///
    /// Throws: `.retryable` if there is not enough memory.
    package init(
        inMemory tensors: [(name: String, shape: [Int])], sourcePath: String,
        _ write: (_ place: Int, UnsafeMutableBufferPointer<Float>) -> Void
    ) throws(TuttiError) {
        var (files, infos) = ([MappedFile](), [TensorInfo]())
        for (place, tensor) in tensors.enumerated() {
            let count = tensor.shape.reduce(MemoryLayout<Float>.size, *)
            files.append(
                try MappedFile(copyOf: sourcePath, count: count) { write(place, $0.bindMemory(to: Float.self)) })
            infos.append(
                TensorInfo(name: tensor.name, dtype: .f32, shape: tensor.shape, byteRange: 0..<count, file: place))
        }
        try self.init(path: sourcePath, files: files, tensors: infos, metadata: [:])
    }

    /// The same tensors under the names that `name` gives them; those without one are left out.
    ///
    /// Throws: `.data` if two get one name.
    package func renamed(_ name: (String) -> String?) throws(TuttiError) -> TensorFile {
        let tensors = tensors.compactMap { info in
            name(info.name).map {
                TensorInfo(name: $0, dtype: info.dtype, shape: info.shape, byteRange: info.byteRange, file: info.file)
            }
        }
        return try TensorFile(path: path, files: files, tensors: tensors, metadata: metadata)
    }
}
