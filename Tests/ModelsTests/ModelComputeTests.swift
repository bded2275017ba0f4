// Two models with different settings in one process, at work at the same time.

import Foundation
import TestSupport
import Testing
import TuttiEnsemble
import TuttiKernels
import TuttiModels

@Suite(.serialized) struct ModelComputeTests {
    /// Each instruction level alone, and then beside the others and on two threads, gives the same bits of its own.
    @Test func modelsKeepTheirOwnSettingsSideBySide() throws {
        let before = (Gemm.choice, Parallel.threads)  // other tests of this process may have set them
        try GoldenModels.with("bert-mean-normalize") { path in
            let texts = try GoldenModels.texts()
            let levels = InstructionLevel.available
            @Sendable func encode(_ level: InstructionLevel, threads: Int) throws -> [UInt32] {
                let model = try SentenceEncoder.load(path)
                model.encoder.compute = Compute(products: GemmChoice(.tutti), threads: threads, level: level)
                return try (0..<3).flatMap { _ in try model.encode(texts).flattened.map(\.bitPattern) }
            }
            let alone = try levels.map { try encode($0, threads: 1) }
            #expect(levels.count < 2 || Set(alone).count > 1, "levels that agree prove nothing")
            let world = levels.count
            let together = try withEvery(world: world...world) { try encode(levels[$0.rank], threads: 2) }
            #expect(together[world] == alone)
            #expect((Gemm.choice, Parallel.threads) == before)
        }
    }
}
