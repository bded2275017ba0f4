// The short form of launch/fuzz: the corpus of every parser, what once was a finding, and some thousand damaged inputs.

import FuzzTargets
import Testing
import TuttiGround

@Suite struct FuzzTests {
    @Test(.timeLimit(.minutes(2)), arguments: FuzzTarget.all)
    func damagedInputsAreUsedOrRefused(_ target: FuzzTarget) throws {
        let (corpus, folder) = (try target.corpus(), try FuzzFolder())
        #expect(try corpus.contains { try target.isUsed($0, in: folder) }, "no sound input")
        for input in try target.findings() { _ = try target.isUsed(input, in: folder) }
        var counts = (used: 0, refused: 0)
        for seed in 0..<1500 as Range<UInt64> {
            if try target.isUsed(target.input(seed: seed, of: corpus), in: folder) {
                counts.used += 1
            } else {
                counts.refused += 1
            }
        }
        // Mutations that all are refused would not get past the first check, and none refused would change nothing.
        #expect(counts.used > 0 && counts.refused > 0, "\(counts)")
    }

    /// The control: an error of another kind than bad data is a finding.
    @Test func otherErrorsAreFindings() throws {
        let folder = try FuzzFolder()
        func target(_ error: TuttiError) -> FuzzTarget {
            FuzzTarget("control", alphabet: [0], corpus: { [[1]] }, use: { _, _ in throw error })
        }
        #expect(try target(TuttiError(.data, "", "", "bad")).isUsed([1], in: folder) == false)
        #expect(throws: TuttiError.self) {
            try target(TuttiError(.missingFile, "", "", "gone")).isUsed([1], in: folder)
        }
    }
}
