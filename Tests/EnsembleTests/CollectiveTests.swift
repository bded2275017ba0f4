// The laws of the collectives on threads, for 1 to 4 ranks; tutti-world checks them over MPI.

import Testing
import TestSupport
import TuttiEnsemble

@Suite struct CollectiveTests {
    @Test func sumsAreExactForWholeNumbersAndEqualOnAllRanks() throws {
        for count in [0, 1, 2, 5, 1000, 70_001] {
            try withEvery(world: 1...4) { ensemble in
                var values = (0..<count).map { Float($0 % 100 + ensemble.rank) }
                try values.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
                let (size, ranks) = (ensemble.size, ensemble.size * (ensemble.size - 1) / 2)
                #expect(values == (0..<count).map { Float($0 % 100 * size + ranks) })
            }
        }
    }

    @Test func sumsAreInTheOrderOfRanks() throws {
        // 1e8 + 1 - 1e8 depends on the order.
        let results = try LocalEnsemble.run(world: 3) { ensemble in
            var values = [Float](repeating: [1e8, 1, -1e8][ensemble.rank], count: 100)
            try values.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
            return values
        }
        for values in results { #expect(values == [Float](repeating: (1e8 + 1) - 1e8, count: 100)) }
        let bits = try LocalEnsemble.run(world: 4) { ensemble in
            var random = TinyRandom(UInt64(ensemble.rank + 1))
            var values = (0..<9999).map { _ in Float.random(in: -1...1, using: &random) }
            try values.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
            return values.map(\.bitPattern)
        }
        for rank in 1..<4 { #expect(bits[rank] == bits[0]) }
    }

    @Test func doublesSumAndMaximum() throws {
        try withEvery(world: 1...4) { ensemble in
            var sums = [Double(ensemble.rank + 1), 0.5]
            try sums.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
            #expect(sums == [Double(ensemble.size * (ensemble.size + 1) / 2), 0.5 * Double(ensemble.size)])
            var largest = [Double(ensemble.rank), -Double(ensemble.rank)]
            try largest.withUnsafeMutableBufferPointer { try ensemble.allReduceMax($0) }
            #expect(largest == [Double(ensemble.size - 1), 0])
        }
    }

    @Test func broadcastReachesAllFromEveryRoot() throws {
        try withEvery(world: 1...4) { ensemble in
            for root in 0..<ensemble.size {
                let text = "from \(root): \(String(repeating: "ö", count: 1000 * root))"
                let received = try ensemble.broadcast(ensemble.rank == root ? text : "mine", root: root)
                #expect(received == text)
            }
        }
    }

    @Test func gatherKeepsOrderAndLengths() throws {
        for lengths in [[3, 0, 7, 1], [0, 0, 0, 0], [0, 5, 0, 0], [100_000, 1, 2, 3]] {
            try withEvery(world: 1...4) { ensemble in
                let expected = (0..<ensemble.size).map { rank in
                    (0..<lengths[rank]).map { UInt8(truncatingIfNeeded: $0 &+ rank) }
                }
                let gathered = try ensemble.gather(expected[ensemble.rank])
                let counts = try ensemble.gatherCounts(lengths[ensemble.rank])
                #expect(gathered == expected && counts == Array(lengths.prefix(ensemble.size)))
            }
        }
    }

    @Test func reduceScatterGivesTheSumOfTheOwnSlice() throws {
        for counts in [[3, 0, 7, 1], [0, 0, 0, 9], [0, 0, 0, 0], [4, 4, 4, 4]] {
            try withEvery(world: 1...4) { ensemble in
                let counts = Array(counts.prefix(ensemble.size))
                let total = counts.reduce(0, +)
                let own = try reduceScatter((0..<total).map { Float($0 * (ensemble.rank + 1)) }, counts, ensemble)
                let start = counts[..<ensemble.rank].reduce(0, +)
                let factor = ensemble.size * (ensemble.size + 1) / 2
                #expect(own == (start..<start + counts[ensemble.rank]).map { Float($0 * factor) })
            }
        }
    }

    @Test func rotationsGoRoundTheRanks() throws {
        for length in [0, 1, 4000] {
            try withEvery(world: 1...4) { ensemble in
                var here = [UInt8](repeating: UInt8(ensemble.rank), count: length)
                for step in 1...ensemble.size {
                    var next = [UInt8](repeating: 255, count: length)
                    try here.withUnsafeBytes { own in
                        try next.withUnsafeMutableBytes { try ensemble.rotate(own, into: $0) }
                    }
                    here = next
                    let origin = UInt8((ensemble.rank + ensemble.size - step % ensemble.size) % ensemble.size)
                    #expect(here.allSatisfy { $0 == origin })
                }
            }
        }
    }

    @Test func gatherAndReduceScatterAreAdjoint() throws {
        let counts = [5, 0, 11, 2]
        try withEvery(world: 1...4) { ensemble in
            let counts = Array(counts.prefix(ensemble.size))
            let (start, total) = (counts[..<ensemble.rank].reduce(0, +), counts.reduce(0, +))
            // Small whole numbers: both products are exact.
            let x = (0..<total).map { Float($0 % 7 - 3) }
            let y = (0..<total).map { Float(($0 * 5 + ensemble.rank * 3) % 11 - 5) }
            let own = try reduceScatter(y, counts, ensemble)
            var products = [0.0, 0.0, 0.0]
            for index in 0..<total { products[0] += Double(x[index] * y[index]) }
            for (index, value) in own.enumerated() {
                products[1] += Double(x[start + index] * value)
                products[2] += Double(x[start + index] * y[start + index])
            }
            try products.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
            #expect(products[0] == products[1] && products[0] != 0)
            // Control: the own slice instead of the sum is not adjoint, once two ranks have rows.
            if ensemble.size > 2 { #expect(products[0] != products[2]) }
        }
    }

    @Test func bucketsAreSummedOnceAndInOrder() throws {
        try withEvery(world: 1...4) { ensemble in
            var values = [Float](repeating: 0, count: 1000)
            for step in 0..<3 {
                for index in values.indices { values[index] = Float(index + step + ensemble.rank) }
                try values.withUnsafeMutableBufferPointer { all in
                    for start in stride(from: 0, to: 1000, by: 300) {
                        let bucket = all[start..<min(start + 300, 1000)]
                        try ensemble.beginAllReduceSum(UnsafeMutableBufferPointer(rebasing: bucket))
                    }
                    try ensemble.beginAllReduceSum(UnsafeMutableBufferPointer(rebasing: all[990..<1000]))
                    try ensemble.finishAllReduces()
                }
                let (size, ranks) = (ensemble.size, ensemble.size * (ensemble.size - 1) / 2)
                let expected = (0..<1000).map { index -> Float in
                    let once = (index + step) * size + ranks
                    return Float(index < 990 ? once : once * size)
                }
                #expect(values == expected)
            }
            try ensemble.finishAllReduces()
        }
    }
}

private func reduceScatter(_ send: [Float], _ counts: [Int], _ ensemble: any Ensemble) throws -> [Float] {
    var own = [Float](repeating: .nan, count: counts[ensemble.rank])
    try send.withUnsafeBufferPointer { send in
        try counts.withUnsafeBufferPointer { counts in
            try own.withUnsafeMutableBufferPointer { own in
                try ensemble.reduceScatterSum(send, counts: counts, into: own)
            }
        }
    }
    return own
}
