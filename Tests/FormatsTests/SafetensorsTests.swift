// Safetensors: bytes equal to the reference's writer, every flaw of a file told, shards, conversions.

import Foundation
import FuzzTargets
import TestSupport
import Testing
import TuttiFormats

@Suite struct SafetensorsTests {
    /// The bytes of a file with this header and as much data.
    private func file(_ header: String, data: Int, length: Int? = nil) -> [UInt8] {
        let text = Array(header.utf8)
        return withUnsafeBytes(of: UInt64(bitPattern: Int64(length ?? text.count)).littleEndian, Array.init) + text
            + [UInt8](repeating: 0, count: data)
    }

    private func rewrite(_ source: SafetensorsFile, to path: String) throws {
        var tensors: [SafetensorsWriter.Tensor] = []
        for info in source.tensors.shuffled() {
            tensors.append((info.name, info.dtype, info.shape, try source.rawBytes(info.name)))
        }
        try SafetensorsWriter.write(path: path, tensors: tensors, metadata: source.metadata)
    }

    @Test(arguments: ["all-types.safetensors", "conversions.safetensors"])
    func writerGivesTheReferencesBytes(name: String) throws {
        let scratch = try Scratch()
        let source = try SafetensorsFile(path: golden(name))
        try rewrite(source, to: scratch.file("copy.safetensors"))
        #expect(try bytes(of: scratch.file("copy.safetensors")) == bytes(of: golden(name)))
        #expect(try scratch.names == ["copy.safetensors"])
    }

    @Test func everyTypeIsKnownWithItsShape() throws {
        let file = try SafetensorsFile(path: golden("all-types.safetensors"))
        #expect(file.tensors.count == 4 * TensorType.allCases.count)
        #expect(Set(file.tensors.map(\.dtype)) == Set(TensorType.allCases))
        #expect(file.metadata == ["format": "pt"])
        let info = try #require(file.info("a.float32"))
        #expect(info.shape == [2, 1] && info.dtype == .f32 && info.count == 2)
        #expect(file.info("emptyint64")?.count == 0)
        #expect(try file.floats("emptyfloat32") == [])
    }

    @Test(arguments: [("half", "half.single"), ("bfloat", "bfloat.single"), ("double", "double.single")])
    func conversionsAreThoseOfNumPy(stored: String, single: String) throws {
        let file = try SafetensorsFile(path: golden("conversions.safetensors"))
        let converted = try file.floats(stored)
        let expected = try file.floats(single)
        #expect(converted.count == expected.count && converted.count >= 200)
        for (a, b) in zip(converted, expected) {
            #expect(a.bitPattern == b.bitPattern || (a.isNaN && b.isNaN))
        }
    }

    @Test(arguments: [
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 7, "truncated"),
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 9, "after its last tensor"),
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 8, "needs 8"),
        (#"{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}"#, 8, "unknown type F33"),
        (#"{"a":{"shape":[2],"data_offsets":[0,8]}}"#, 8, "no dtype"),
        (#"{"a":{"dtype":"F32","data_offsets":[0,8]}}"#, 8, "no shape"),
        (#"{"a":{"dtype":"F32","shape":[2]}}"#, 8, "data_offsets"),
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8, "invalid data_offsets"),
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}"#, 8, "invalid data_offsets"),
        (#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, 8, "not an integer"),
        (#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,8]}}"#, 8, "not an integer"),
        (#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#, 8, "too large"),
        (
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
            6, "overlaps"
        ),
        (
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[5,9]}}"#,
            9, "gap"
        ),
        (
            #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}"#,
            8, "duplicate key"
        ),
        (#"{"__metadata__":{"x":1}}"#, 0, "__metadata__"),
        (#"{"a":{"dtype":"F32","#, 0, "expected"),
        (#"[1,2]"#, 0, "not a JSON object"),
        (#"{"a":3}"#, 0, "no dtype"),
    ])
    func flawsAreTold(header: String, data: Int, word: String) throws {
        let scratch = try Scratch()
        let path = try scratch.write(file(header, data: data), to: "bad.safetensors")
        let error = try #require(failure { try SafetensorsFile(path: path) })
        #expect(error.kind == .data && error.subject.hasPrefix(path))
        #expect(error.problem.contains(word), "\(error)")
        #expect(!header.contains("\"a\":{\"dtype\":\"F32\",\"shape\"") || error.problem.contains("'a'") || data == 9)
    }

    @Test func brokenLengthsAreTold() throws {
        let scratch = try Scratch()
        for (content, word) in [
            ([UInt8](), "too short"), ([1, 2, 3], "too short"), (file("{}", data: 0, length: 100), "truncated"),
            (file("{}", data: 0, length: 1 << 40), "more than the format allows"),
            (file("{}", data: 0, length: -1), "more than"),
            (file("", data: 0), "not a JSON object"),
        ] {
            let error = try #require(failure { try SafetensorsFile(path: try scratch.write(content)) })
            #expect(error.kind == .data && error.problem.contains(word), "\(error)")
        }
        #expect(failure { try SafetensorsFile(path: scratch.file("none")) }?.kind == .missingFile)
        #expect(failure { try SafetensorsFile(path: scratch.path) }?.kind == .data)
        #expect(try SafetensorsFile(path: try scratch.write(file("{}", data: 0))).tensors.isEmpty)
    }

    @Test func askingForWhatIsNotThereIsAnError() throws {
        let file = try SafetensorsFile(path: golden("all-types.safetensors"))
        let missing = try #require(failure { try file.floats("a.flaot32") })
        #expect(missing.kind == .data && missing.hint?.contains("a.float32") == true)
        #expect(failure { try file.floats("a.int32") }?.problem.contains("I32") == true)
        var short = [Float](repeating: 0, count: 1)
        let error = short.withUnsafeMutableBufferPointer { buffer in
            failure { try file.readFloats("a.float32", into: buffer) }
        }
        #expect(error?.problem.contains("2 elements") == true)
    }

    @Test func shardsAreReadThroughTheirIndex() throws {
        let scratch = try Scratch()
        let one = [Float](arrayLiteral: 1, 2)
        let two = [Float](arrayLiteral: 3)
        func shard(_ name: String, _ tensor: String, _ values: [Float]) throws {
            try values.withUnsafeBytes {
                try SafetensorsWriter.write(path: scratch.file(name), tensors: [(tensor, .f32, [values.count], $0)])
            }
        }
        func index(_ map: String) throws {
            try AtomicWrite.file(
                path: scratch.file("model.safetensors.index.json"), text: "{\"metadata\": {}, \"weight_map\": {\(map)}}"
            )
        }
        try shard("m-1.safetensors", "a", one)
        try shard("m-2.safetensors", "b", two)
        try index(#""a": "m-1.safetensors", "b": "m-2.safetensors""#)
        let model = try SafetensorsFile.open(directory: scratch.path)
        #expect(model.tensors.map(\.name) == ["a", "b"])
        #expect(try model.floats("a") == one)
        #expect(try model.floats("b") == two)
        try index(#""a": "m-1.safetensors", "b": "m-3.safetensors""#)
        #expect(failure { try SafetensorsFile.open(directory: scratch.path) }?.kind == .missingFile)
        try index(#""a": "m-1.safetensors", "c": "m-2.safetensors""#)
        #expect(failure { try SafetensorsFile.open(directory: scratch.path) }?.kind == .data)
        try index(#""a": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-2.safetensors""#)
        #expect(failure { try SafetensorsFile.open(directory: scratch.path) }?.problem.contains("'c'") == true)
        try index(#""a": "../m-1.safetensors""#)
        #expect(failure { try SafetensorsFile.open(directory: scratch.path) }?.kind == .data)
        try shard("model.safetensors", "z", one)
        #expect(try SafetensorsFile.open(directory: scratch.path).tensors.map(\.name) == ["z"])
        #expect(failure { try SafetensorsFile.open(directory: scratch.file("none")) }?.kind == .missingFile)
    }

    @Test func mutatedFilesAreReadOrTold() throws {
        let scratch = try Scratch()
        let original = try bytes(of: golden("all-types.safetensors"))
        var mutator = Mutator(2)
        var counts = (read: 0, told: 0)
        for _ in 0..<1500 {
            // Mutate the header mostly; its length is mended half of the time so that the flaw lies deeper.
            let length = Int(original[0]) | Int(original[1]) << 8
            var header = mutator.mutate(
                Array(original[8..<(8 + length)]), alphabet: Array("{}[]\",:0123456789FUI".utf8))
            if Bool.random(using: &mutator) {
                header = withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init) + header
            } else {
                header = Array(original[0..<8]) + header
            }
            let path = try scratch.write(header + original[(8 + length)...])
            let error = failure {
                let file = try SafetensorsFile(path: path)
                for info in file.tensors {
                    let count = try file.rawBytes(info.name).count
                    #expect(count == info.byteRange.count)
                }
            }
            if let error {
                #expect(error.kind == .data && error.subject.hasPrefix(path))
                counts.told += 1
            } else {
                counts.read += 1
            }
        }
        #expect(counts.read > 10 && counts.told > 500, "\(counts)")
    }
}
