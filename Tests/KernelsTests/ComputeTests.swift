// Two settings in one process: each thread computes with what it has entered, and so do the threads of its pool.

import TestSupport
import Testing
import TuttiKernels

@Suite(.serialized) struct ComputeTests {
    @Test func settingsBelongToTheThreadThatEnteredThem() {
        let before = (Gemm.choice, Parallel.threads)
        let compute = Compute(products: GemmChoice(.tutti), threads: 2, level: .baseline)
        compute.run {
            #expect(Gemm.choice == GemmChoice(.tutti) && Parallel.threads == 2)
            Compute().run { #expect(Gemm.choice == GemmChoice(.openblas) && Parallel.threads == 1) }
            #expect(Gemm.choice == GemmChoice(.tutti) && Parallel.threads == 2)
        }
        #expect((Gemm.choice, Parallel.threads) == before)
        #expect(compute.level == .baseline && compute.threads == 2)
    }

    /// Ranks in threads, each with its own number of threads and instruction level, at once, many times: every one gets
    /// the bits that it gets alone.
    @Test func differentSettingsWorkSideBySide() throws {
        let (rows, columns) = (300, 700)
        var random = TinyRandom(41)
        let start = random.floats(rows * columns)
        @Sendable func softmax() -> [UInt32] {
            let block = FloatBlock(start)
            RowKernels.softmax(block.matrix(rows, columns))
            return block.values.map(\.bitPattern)
        }
        let levels = InstructionLevel.available
        let alone = levels.map { Compute(level: $0).run(softmax) }
        #expect(levels.count < 2 || Set(alone).count > 1, "levels that agree prove nothing")
        let world = 2 * levels.count
        let values = try withEvery(world: world...world) { ensemble -> Bool in
            let place = ensemble.rank % levels.count
            let compute = Compute(threads: 1 + ensemble.rank / levels.count, level: levels[place])
            return (0..<20).allSatisfy { _ in compute.run { softmax() == alone[place] } }
        }
        for (_, ranks) in values { #expect(ranks.allSatisfy { $0 }) }
    }

    @Test func levelsOfThisMachine() {
        #expect(InstructionLevel.available.first == .baseline && InstructionLevel.available.last == .best)
        #expect(Int(InstructionLevel.best.rawValue) == ProcessorAbility.current.level)
    }
}
