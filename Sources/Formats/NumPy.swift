// NumPy's .npy files: writes matrices of float32 or bytes, reads matrices and vectors of any float type.
//
// Layout: the magic "\x93NUMPY", version, header length, a Python dictionary padded with spaces so that the data starts
// at a multiple of 64, the data. Reference: numpy/lib/format.py.

import TuttiGround

/// Reads and writes .npy files.
package enum NumPy {
    /// Writes a row-major matrix of f32, i8 or u8, durably and atomically.
    ///
    /// Throws: `.retryable` naming the file and the reason.
    package static func write(
        path: String, bytes: UnsafeRawBufferPointer, type: TensorType, rows: Int, columns: Int
    ) throws(TuttiError) {
        precondition(
            bytes.count == rows * columns * type.width,
            "NumPy.write: \(bytes.count) bytes for [\(rows), \(columns)] of \(type.rawValue)")
        let descriptors: [TensorType: String] = [.f32: "<f4", .i8: "|i1", .u8: "|u1"]
        guard let descriptor = descriptors[type] else { preconditionFailure("NumPy.write: \(type.rawValue)") }
        let dictionary = "{'descr': '\(descriptor)', 'fortran_order': False, 'shape': (\(rows), \(columns)), }"
        let unpadded = 10 + dictionary.utf8.count + 1
        let padding = (64 - unpadded % 64) % 64
        var header: [UInt8] = [0x93] + Array("NUMPY".utf8) + [1, 0]
        let length = UInt16(unpadded - 10 + padding)
        header += [UInt8(length & 0xFF), UInt8(length >> 8)] + Array(dictionary.utf8)
        header += [UInt8](repeating: 0x20, count: padding) + [0x0A]
        try AtomicWrite.file(path: path) { output throws(TuttiError) in
            try output.write(header)
            try output.write(bytes)
        }
    }

    /// Writes a row-major matrix of single precision.
    ///
    /// Throws: `.retryable` naming the file and the reason.
    package static func write(path: String, floats: [Float], rows: Int, columns: Int) throws(TuttiError) {
        try floats.withUnsafeBufferPointer { buffer throws(TuttiError) in
            try write(path: path, bytes: UnsafeRawBufferPointer(buffer), type: .f32, rows: rows, columns: columns)
        }
    }

    /// Reads an array of float16, float32 or float64; a vector has one column.
    ///
    /// Throws: `.missingFile`; `.data` naming the file for anything but a little-endian C-ordered float array.
    package static func read(path: String) throws(TuttiError) -> (rows: Int, columns: Int, floats: [Float]) {
        let file = try MappedFile(path: path)
        let bytes = file.bytes
        func malformed(_ problem: String) -> TuttiError { TuttiError(.data, "read array", path, problem) }
        guard bytes.count >= 10, bytes[0] == 0x93, bytes[1..<6].elementsEqual("NUMPY".utf8) else {
            throw malformed("is not an .npy file")
        }
        guard (1...3).contains(bytes[6]) else { throw malformed("has the unknown .npy version \(bytes[6])") }
        let isShort = bytes[6] == 1
        let prefix = isShort ? 10 : 12
        guard bytes.count >= prefix else { throw malformed("is truncated") }
        var length = 0
        for index in (8..<prefix).reversed() { length = length << 8 | Int(bytes[index]) }
        guard length <= bytes.count - prefix else { throw malformed("is truncated in its header") }
        let header = String(decoding: bytes[prefix..<(prefix + length)], as: UTF8.self)
        guard let descriptor = value(of: "descr", in: header), let order = value(of: "fortran_order", in: header),
            let shapeText = value(of: "shape", in: header)
        else { throw malformed("has a header without descr, fortran_order and shape") }
        guard order == "False" else { throw malformed("is in Fortran order; save it with numpy.ascontiguousarray") }
        let types: [String: TensorType] = ["'<f2'": .f16, "'<f4'": .f32, "'<f8'": .f64]
        guard let type = types[descriptor] else {
            throw malformed("has elements of type \(descriptor), expected '<f2', '<f4' or '<f8'")
        }
        let shape = shapeText.split(separator: ",").map { Int($0.filter { $0 != " " }) ?? -1 }
        guard shape.count == 1 || shape.count == 2, shape.allSatisfy({ $0 >= 0 }) else {
            throw malformed("has shape (\(shapeText)), expected a vector or a matrix")
        }
        let (rows, columns) = (shape[0], shape.count == 2 ? shape[1] : 1)
        let (count, tooMany) = rows.multipliedReportingOverflow(by: columns)
        let available = bytes.count - prefix - length
        guard !tooMany, count <= available / type.width, count * type.width == available else {
            throw malformed("has \(available) bytes of data, which do not match shape (\(shapeText))")
        }
        var floats = [Float](repeating: 0, count: count)
        floats.withUnsafeMutableBufferPointer { target in
            guard let target = target.baseAddress, let source = bytes.baseAddress else { return }
            _ = type.convertToFloats(source + prefix + length, into: target, count: count)
        }
        return withExtendedLifetime(file) { (rows, columns, floats) }
    }

    /// The text after `'key':` in the header's dictionary, without the parentheses of a tuple.
    private static func value(of key: String, in header: String) -> String? {
        guard let found = header.firstRange(of: "'\(key)':") else { return nil }
        let rest = header[found.upperBound...].drop { $0 == " " }
        if rest.first == "(" {
            guard let end = rest.firstIndex(of: ")") else { return nil }
            return String(rest[rest.index(after: rest.startIndex)..<end])
        }
        return String(rest.prefix { $0 != "," && $0 != "}" })
    }
}
