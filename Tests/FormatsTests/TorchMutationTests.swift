// Torch checkpoints with a few bytes changed: each is read, or refused as damaged. launch/fuzz runs the same with more
// seeds.

import Foundation
import FuzzTargets
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct TorchMutationTests {
    /// Seeds: few in a normal run, TUTTI_FUZZ_SEEDS many in the long form.
    private static var seeds: UInt64 {
        ProcessInfo.processInfo.environment["TUTTI_FUZZ_SEEDS"].flatMap { UInt64($0) } ?? 500
    }

    @Test(.timeLimit(.minutes(10)), arguments: ["kinds.bin", "nested.bin", "dense.bin", "legacy.bin"])
    func damagedCheckpointsAreReadOrRefused(_ name: String) throws {
        let original = try bytes(of: Goldens.path("torch/" + name))
        let alphabet: [UInt8] =
            Array("ccollections\nOrderedDict torchFloatStorage_rebuild_tensor_v2\n}()qhRXKMJu.te".utf8)
            + [0x80, 0x85, 0x86, 0x87, 0x88, 0x8A, 0, 1, 2, 255]
        let scratch = try Scratch()
        var (read, refused) = (0, 0)
        for seed in 0..<Self.seeds {
            var mutator = Mutator(seed &* 104_729 &+ UInt64(original.count))
            let path = try scratch.write(mutator.mutate(original, alphabet: alphabet))
            let error = failure {
                let file = try TensorFile(torch: path)
                for info in file.tensors { _ = try file.rawBytes(info.name).reduce(0) { $0 &+ Int($1) } }
            }
            if let error {
                #expect(error.kind == .data, "seed \(seed) of \(name): \(error)")
                refused += 1
            } else {
                read += 1
            }
        }
        #expect(read + refused == Int(Self.seeds) && refused > 0)
    }
}
