// Parquet and Arrow files with a few bytes changed: each is read, or refused as damaged. launch/fuzz runs the same with more
// seeds: more than 200,000 files.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround

@Suite struct ColumnarMutationTests {
    /// Seeds for each file: few in a normal run, three times TUTTI_FUZZ_SEEDS in the long form.
    private static var seeds: UInt64 {
        ProcessInfo.processInfo.environment["TUTTI_FUZZ_SEEDS"].flatMap { UInt64($0) }.map { max(60, 3 * $0) } ?? 60
    }

    private static var names: [String] {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: ColumnarFileTests.folder).sorted().filter {
                !$0.hasSuffix(".jsonl") && !$0.contains("csv")
            }
        }
    }

    @Test(.timeLimit(.minutes(60))) func damagedFilesAreReadOrRefused() throws {
        let alphabet: [UInt8] = [
            0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 0x15, 0x19, 0x1C, 0x2C, 0x4C, 0x7F, 0x80, 0xFE, 0xFF,
        ]
        let scratch = try Scratch()
        var (read, refused) = (0, 0)
        let names = try Self.names
        for name in names {
            let original = try bytes(of: ColumnarFileTests.folder + "/" + name)
            for seed in 0..<Self.seeds {
                var mutator = Mutator(seed &* 104_729 &+ UInt64(original.count))
                var changed = original
                if seed % 2 == 0 {
                    changed = mutator.mutate(original, alphabet: alphabet)
                } else {
                    // Most of what can go wrong is told at the end.
                    let start = max(0, original.count - 1500)
                    changed = original[..<start] + mutator.mutate(Array(original[start...]), alphabet: alphabet)
                }
                let path = try scratch.write(changed, to: name.hasSuffix(".parquet") ? "f.parquet" : "f.arrow")
                if let error = failure({ try columnarRows(path) }) {
                    #expect(error.kind == .data, "seed \(seed) of \(name): \(error)")
                    refused += 1
                } else {
                    read += 1
                }
            }
        }
        #expect(read + refused == names.count * Int(Self.seeds) && refused > read / 4 && read > 0)
    }
}
