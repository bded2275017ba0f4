// The scaling law: the gather and its adjoint, and the sums and maxima over ranks.

import Testing
import TestSupport
import TuttiEnsemble
import TuttiKernels
import TuttiObjectives

@Suite struct GatherTests {
    private static let counts = [2, 0, 3, 1]

    @Test func rowsComeInTheOrderOfRanks() throws {
        try withEvery(world: 1...4) { ensemble in
            var arena = Arena()
            let own = Self.counts[ensemble.rank]
            let gather = try RankGather(rows: own, ensemble: ensemble, arena: &arena)
            let total = Self.counts.prefix(ensemble.size).reduce(0, +)
            let offset = Self.counts.prefix(ensemble.rank).reduce(0, +)
            #expect(gather.total == total && gather.offset == offset && gather.own == own)
            let rows = arena.matrix(own, 3)
            for r in 0..<own { for c in 0..<3 { rows[r, c] = Float(10 * (offset + r) + c) } }
            let all = arena.matrix(total, 3)
            try gather.gatherRows(rows, into: all)
            for r in 0..<total { for c in 0..<3 { #expect(all[r, c] == Float(10 * r + c)) } }
        }
    }

    @Test func theAdjointSumsOverRanksAndKeepsOwnRows() throws {
        try withEvery(world: 1...4) { ensemble in
            var arena = Arena()
            let own = Self.counts[ensemble.rank]
            let gather = try RankGather(rows: own, ensemble: ensemble, arena: &arena)
            let gradient = arena.matrix(gather.total, 2)
            for r in 0..<gather.total { for c in 0..<2 { gradient[r, c] = Float(r + 1) * Float(ensemble.rank + 1) } }
            let summed = arena.matrix(own, 2)
            try gather.gatherRowsAdjoint(gradient, into: summed)
            let factor = Float(ensemble.size * (ensemble.size + 1) / 2)
            for r in 0..<own { #expect(summed[r, 1] == Float(gather.offset + r + 1) * factor) }
        }
    }

    @Test func sumsAndMaximaOverRanks() throws {
        try withEvery(world: 1...4) { ensemble in
            var arena = Arena()
            let gather = try RankGather(rows: 1, ensemble: ensemble, arena: &arena)
            let rank = Double(ensemble.rank)
            let sum = try gather.sumRanks(rank + 1)
            let largest = try gather.maxRanks(-rank)
            #expect(sum == Double(ensemble.size * (ensemble.size + 1) / 2) && largest == 0)
        }
    }
}
