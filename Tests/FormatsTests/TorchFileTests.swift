// Torch checkpoints: the tensors that torch reads, every refusal by name, and damaged files that are refused (files of
// Tests/Golden/torch_files.py).

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct TorchFileTests {
    private func torch(_ name: String) -> String { Goldens.path("torch/" + name) }

    @Test func everyKindOfTensorIsReadAsTorchDoes() throws {
        let file = try TensorFile(torch: torch("kinds.bin"))
        let expected = try SafetensorsFile(path: torch("kinds.safetensors"))
        #expect(Set(file.tensors.map(\.name)) == Set(expected.tensors.map(\.name)))
        for info in expected.tensors {
            let own = try #require(file.info(info.name))
            #expect(own.dtype == info.dtype && own.shape == info.shape, "\(info.name)")
            #expect(try file.rawBytes(info.name).elementsEqual(expected.rawBytes(info.name)), "\(info.name)")
        }
        // Not contiguous: copied. Tied: one range of the file.
        #expect(file.info("transposed")?.file != 0 && file.info("base")?.file == 0)
        let (base, tied) = (try #require(file.info("base")), try #require(file.info("tied")))
        #expect(base.byteRange == tied.byteRange)
        #expect(try file.holdsTheSame(base, tied))
        #expect(try !file.holdsTheSame(base, try #require(file.info("transposed"))))
    }

    @Test func aStateDictInsideACheckpointIsFound() throws {
        let file = try TensorFile(torch: torch("nested.bin"))
        #expect(file.tensors.map(\.name) == ["a", "b"])
        #expect(try file.floats("a") == [0, 1, 2, 3, 4, 5])
        #expect(try file.floats("b") == [1, 1])
    }

    @Test func filesOfOlderVersionsAreRead() throws {
        let file = try TensorFile(torch: torch("legacy.bin"))
        #expect(file.tensors.map(\.name) == ["a", "b", "c"])
        #expect(try file.floats("a") == [0, 1, 2, 3, 4, 5] && file.floats("b") == [1, 1])
        #expect(file.info("c")?.shape == [3, 2])
        #expect(try file.floats("c") == [0, 3, 1, 4, 2, 5])
        let scratch = try Scratch()
        let whole = try bytes(of: torch("legacy.bin"))
        for length in stride(from: 15, to: whole.count, by: 7) {
            let path = try scratch.write(Array(whole[..<length]))
            #expect(failure { try TensorFile(torch: path) }?.kind == .data, "\(length) bytes")
        }
    }

    @Test(arguments: [
        ("function.bin", "posix.system"), ("sparse.bin", "_rebuild_sparse_tensor"), ("float8.bin", "float8_e4m3fn"),
        ("protocol-4.bin", "FRAME"), ("expanded.bin", "repeated view"),
        ("list.bin", "no state dict"), ("kinds.safetensors", "not a torch checkpoint"),
    ])
    func whatIsNotATensorIsRefusedByName(_ name: String, _ word: String) throws {
        let error = try #require(failure { try TensorFile(torch: torch(name)) })
        #expect(error.kind == .data && error.subject == torch(name) && error.hint != nil)
        #expect(error.problem.contains(word), "\(error)")
    }

    @Test func aFolderHoldsCheckpointsOrTheirShards() throws {
        let scratch = try Scratch()
        for name in ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"] {
            try scratch.write(try bytes(of: torch(name)), to: name)
        }
        #expect(failure { try TensorFile.open(directory: scratch.path) }?.kind == .missingFile)
        let second = "pytorch_model-00002-of-00002.bin"
        try scratch.write(try bytes(of: torch(second)), to: second)
        let sharded = try TensorFile.open(directory: scratch.path)
        let whole = try SafetensorsFile(path: Goldens.path("models/bert-plain/model.safetensors"))
        #expect(Set(sharded.tensors.map(\.name)) == Set(whole.tensors.map(\.name)))
        for info in whole.tensors { #expect(try sharded.floats(info.name) == whole.floats(info.name)) }
        // Shards that are swapped do not hold what the index says.
        try scratch.write(try bytes(of: torch(second)), to: "pytorch_model-00001-of-00002.bin")
        #expect(failure { try TensorFile.open(directory: scratch.path) }?.kind == .data)
        // One file comes before shards, and safetensors before torch.
        try scratch.write(try bytes(of: torch("nested.bin")), to: "pytorch_model.bin")
        #expect(try TensorFile.open(directory: scratch.path).tensors.count == 2)
        try scratch.write(try bytes(of: golden("conversions.safetensors")), to: "model.safetensors")
        #expect(try TensorFile.open(directory: scratch.path).info("half") != nil)
    }

    /// Bytes of a ZIP file with one stored entry, `archive/data.pkl`.
    private func archive(pickle: [UInt8]) -> [UInt8] {
        func little(_ number: Int, _ width: Int) -> [UInt8] { (0..<width).map { UInt8(number >> (8 * $0) & 0xFF) } }
        let name = Array("archive/data.pkl".utf8)
        let sizes = little(0, 4) + little(pickle.count, 4) + little(pickle.count, 4) + little(name.count, 2)
        let local = little(0x0403_4B50, 4) + little(20, 2) + little(0, 8) + sizes + little(0, 2) + name + pickle
        let entry =
            little(0x0201_4B50, 4) + little(20, 4) + little(0, 8) + sizes + little(0, 12) + little(0, 4) + name
        return local + entry + little(0x0605_4B50, 4) + little(0, 4) + little(1, 2) + little(1, 2)
            + little(entry.count, 4) + little(local.count, 4) + little(0, 2)
    }

    @Test(
        arguments: [
            ([0x80, 2], "truncated"), ([0x80, 2, 0x2E], "empty stack"), ([0x4E, 0x2E], "no state dict"),
            ([0x7D, 0x2E], "no tensor"), ([0x28, 0x2E], "mark"), ([0x68, 7, 0x2E], "never stored"),
            ([0x74, 0x2E], "lacks a mark"), ([0x8A, 9], "9 bytes"), ([0x58, 255, 255, 255, 255], "truncated"),
            ([0x4E, 0x51], "storage"), ([0x29, 0x29, 0x52], "known function"), ([0x29, 0x4E, 0x62], "attributes"),
            ([0x4E, 0x4E, 0x73], "empty stack"), ([0x29, 0x4E, 0x61], "takes none"),
            (Array("cos\nsystem\n".utf8), "os.system"),
            (Array("ccollections\nOrderedDict\nN".utf8) + [0x52], "function"),
            ([0x93], "STACK_GLOBAL"), ([0x69], "INST"), ([0xFF], "0xff"),
            ([0x63] + [UInt8](repeating: 65, count: 2000), "name"),
        ] as [([UInt8], String)])
    func brokenPicklesAreTold(_ pickle: [UInt8], _ word: String) throws {
        let scratch = try Scratch()
        let path = try scratch.write(archive(pickle: pickle))
        let error = try #require(failure { try TensorFile(torch: path) })
        #expect(error.kind == .data && error.problem.contains(word), "\(error)")
    }

    /// Depth and sharing must cost neither the stack of calls nor memory.
    @Test(.timeLimit(.minutes(1))) func deepAndSharedValuesAreHarmless() throws {
        let scratch = try Scratch()
        let deep = [0x29] + [UInt8](repeating: 0x85, count: 3_000_000) + [0x2E]
        #expect(failure { try TensorFile(torch: try scratch.write(archive(pickle: deep))) }?.kind == .data)
        let doubling: [UInt8] =
            [0x29, 0x71, 0] + (0..<5000).flatMap { _ in [0x68, 0, 0x68, 0, 0x86, 0x71, 0] } + [0x2E]
        #expect(failure { try TensorFile(torch: try scratch.write(archive(pickle: doubling))) }?.kind == .data)
    }
}
