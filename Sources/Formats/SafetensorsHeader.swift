// The header of a safetensors file, parsed and checked against the file length.

import TuttiGround

/// The checked header of one file.
struct SafetensorsHeader {
    /// The tensors in the order of their bytes.
    let tensors: [TensorFile.TensorInfo]
    let metadata: [String: String]

    /// Headers longer than this are refused, as in the reference.
    static let lengthLimit = 100_000_000

    init(file: MappedFile, index: Int) throws(TuttiError) {
        let bytes = file.bytes
        func malformed(_ problem: String) -> TuttiError {
            TuttiError(
                .data, "read weights", file.path, problem,
                hint: "The file is damaged or not a safetensors file; fetch it again.")
        }
        guard bytes.count >= 8 else { throw malformed("is too short for a safetensors file (\(bytes.count) bytes)") }
        let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard length <= UInt64(SafetensorsHeader.lengthLimit) else {
            throw malformed("has a header of \(length) bytes, more than the format allows")
        }
        let dataStart = 8 + Int(length)
        guard dataStart <= bytes.count else {
            throw malformed("is truncated: the header has \(length) bytes, the whole file \(bytes.count)")
        }
        let text = UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart])
        guard text.first == UInt8(ascii: "{") else { throw malformed("has a header that is not a JSON object") }
        guard let members = try JSONValue.parse(text, source: file.path + ": header", repeatedKeys: .refused).object
        else { throw malformed("has a header that is not a JSON object") }

        var metadata: [String: String] = [:]
        var tensors: [TensorFile.TensorInfo] = []
        tensors.reserveCapacity(members.count)
        for (name, value) in members {
            if name == "__metadata__" {
                guard let pairs = value.object else { throw malformed("has a __metadata__ that is not an object") }
                for (key, value) in pairs {
                    guard let text = value.string else {
                        throw malformed("has a __metadata__ '\(key)' that is not a string")
                    }
                    metadata[key] = text
                }
            } else {
                do throws(Flaw) {
                    tensors.append(try SafetensorsHeader.info(name, value, dataStart: dataStart, index: index))
                } catch {
                    throw malformed("the tensor '\(name)' \(error.problem)")
                }
            }
        }
        let order = tensors.indices.sorted {
            let (a, b) = (tensors[$0].byteRange, tensors[$1].byteRange)
            return (a.lowerBound, a.upperBound, $0) < (b.lowerBound, b.upperBound, $1)
        }
        var end = dataStart
        for place in order {
            let info = tensors[place]
            let last = info.byteRange.upperBound
            if last > bytes.count {
                throw malformed("is truncated: the tensor '\(info.name)' ends at byte \(last) of \(bytes.count)")
            }
            if info.byteRange.lowerBound < end { throw malformed("the tensor '\(info.name)' overlaps another one") }
            if info.byteRange.lowerBound > end { throw malformed("there is a gap before the tensor '\(info.name)'") }
            end = info.byteRange.upperBound
        }
        guard end == bytes.count else { throw malformed("has \(bytes.count - end) bytes after its last tensor") }
        self.tensors = order.map { tensors[$0] }
        self.metadata = metadata
    }

    private struct Flaw: Error { var problem: String }

    private static func info(
        _ name: String, _ value: JSONValue, dataStart: Int, index: Int
    ) throws(Flaw) -> TensorFile.TensorInfo {
        guard let typeName = value["dtype"]?.string else { throw Flaw(problem: "has no dtype") }
        guard let dtype = TensorType(rawValue: typeName) else {
            let known = TensorType.allCases.map(\.rawValue).joined(separator: ", ")
            throw Flaw(problem: "has the unknown type \(typeName) (known: \(known))")
        }
        guard let dimensions = value["shape"]?.array else { throw Flaw(problem: "has no shape") }
        var shape: [Int] = []
        var size = dtype.width
        for dimension in dimensions {
            guard case .integer(let number) = dimension, number >= 0 else {
                throw Flaw(problem: "has a dimension that is not an integer of at least 0")
            }
            shape.append(Int(number))
            let (product, overflows) = size.multipliedReportingOverflow(by: Int(number))
            guard !overflows else { throw Flaw(problem: "has a shape that is too large: \(shape)") }
            size = product
        }
        guard let offsets = value["data_offsets"]?.array, offsets.count == 2,
            case .integer(let first) = offsets[0], case .integer(let last) = offsets[1]
        else { throw Flaw(problem: "has no data_offsets [begin, end]") }
        guard first >= 0, last >= first, last < Int64(1) << 56 else {
            throw Flaw(problem: "has invalid data_offsets [\(first), \(last)]")
        }
        guard Int(last - first) == size else {
            throw Flaw(problem: "has \(last - first) bytes, but shape \(shape) of \(typeName) needs \(size)")
        }
        let range = (dataStart + Int(first))..<(dataStart + Int(last))
        return .init(name: name, dtype: dtype, shape: shape, byteRange: range, file: index)
    }
}
