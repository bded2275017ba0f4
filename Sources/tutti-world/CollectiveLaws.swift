// CollectiveLaws: the contract of every collective, checked on the real transport.

import TuttiEnsemble
import TuttiGround

let collectiveLaws: [Law] = [
    Law(name: "allReduceSum adds, exactly for integers, at every length") { ensemble, findings in
        for count in [0, 1, 3, 1000, 65_537, 1 << 20] {
            var values = (0..<count).map { Float($0 % 1000 + ensemble.rank) }
            try values.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
            let (size, ranks) = (ensemble.size, ensemble.size * (ensemble.size - 1) / 2)
            let wrong = values.indices.first { values[$0] != Float(($0 % 1000) * size + ranks) }
            findings.require(wrong == nil, "value \(wrong ?? 0) of \(count) is \(values[wrong ?? 0])")
        }
    },
    Law(name: "allReduceSum has the same bits on every rank") { ensemble, findings in
        for count in [1, 7, 511, 4096, 100_003, 3 << 18] {
            var numbers = Numbers(seed: UInt64(ensemble.rank * 1000 + count))
            var values = numbers.next(count)
            try values.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
            // Not gathered: 64 ranks would hold 64 copies each.
            let own = values.withUnsafeBytes(Array.init)
            let root = try ensemble.broadcast(own)
            findings.require(own == root, "\(count) values differ from those of rank 0")
            findings.require(values.contains { $0 != 0 }, "all sums are zero")
        }
    },
    Law(name: "allReduceSum and allReduceMax of doubles") { ensemble, findings in
        var sums = (0..<100).map { Double($0 * (ensemble.rank + 1)) }
        try sums.withUnsafeMutableBufferPointer { try ensemble.allReduceSum($0) }
        let factor = Double(ensemble.size * (ensemble.size + 1) / 2)
        findings.require(sums == (0..<100).map { Double($0) * factor }, "sums are \(sums.prefix(4)) ...")
        var largest = [Double(-ensemble.rank), Double(ensemble.rank), -1e300 * Double(ensemble.rank + 1)]
        try largest.withUnsafeMutableBufferPointer { try ensemble.allReduceMax($0) }
        findings.require(largest == [0, Double(ensemble.size - 1), -1e300], "maxima are \(largest)")
    },
    Law(name: "broadcast from every root, lengths known to the root only") { ensemble, findings in
        for root in 0..<ensemble.size {
            for length in [0, 1, 5000, 300_000] {
                let sent = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ root) }
                let received = try ensemble.broadcast(ensemble.rank == root ? sent : [], root: root)
                findings.require(received == sent, "\(length) bytes of root \(root) arrived as \(received.count)")
            }
        }
    },
    Law(name: "allGather keeps order and lengths, empty ranks included") { ensemble, findings in
        for deal in deals(of: 1003, to: ensemble.size) + [Array(repeating: 0, count: ensemble.size)] {
            let own = (0..<deal[ensemble.rank]).map { UInt8(truncatingIfNeeded: $0 &+ 31 &* ensemble.rank) }
            let all = try ensemble.gather(own)
            for rank in 0..<ensemble.size {
                let expected = (0..<deal[rank]).map { UInt8(truncatingIfNeeded: $0 &+ 31 &* rank) }
                findings.require(all[rank] == expected, "deal \(deal): bytes of rank \(rank) differ")
            }
        }
    },
    Law(name: "reduceScatterSum gives each rank the sum of its slice") { ensemble, findings in
        for deal in deals(of: 4099, to: ensemble.size) {
            let own = try reduceScatter((0..<4099).map { Float($0 % 500 + ensemble.rank) }, deal, ensemble)
            let start = deal[..<ensemble.rank].reduce(0, +)
            let ranks = ensemble.size * (ensemble.size - 1) / 2
            let wrong = own.indices.first { own[$0] != Float((start + $0) % 500 * ensemble.size + ranks) }
            findings.require(wrong == nil, "deal \(deal): value \(wrong ?? 0) is \(own[wrong ?? 0])")
        }
    },
    Law(name: "rotate goes around the ranks and returns") { ensemble, findings in
        for length in [0, 1, 5000, 3_000_000] {
            let own = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 3 &+ 31 &* ensemble.rank) }
            var (here, next) = (own, [UInt8](repeating: 0, count: length))
            for step in 1...ensemble.size {
                try here.withUnsafeBytes { bytes in
                    try next.withUnsafeMutableBytes { try ensemble.rotate(bytes, into: $0) }
                }
                swap(&here, &next)
                let origin = (ensemble.rank + ensemble.size - step % ensemble.size) % ensemble.size
                let first = UInt8(truncatingIfNeeded: 31 &* origin)
                findings.require(length == 0 || here[0] == first, "step \(step): \(length) bytes are of another rank")
            }
            findings.require(here == own, "\(length) bytes returned changed")
        }
    },
    Law(name: "gather and reduce-scatter are adjoint: <gather x, y> = <x, reduceScatter y>") { ensemble, findings in
        try adjointness(ensemble, ensemble, findings)
    },
    .control("a dropped reduce-scatter is not adjoint") { ensemble, findings in
        try adjointness(ensemble, AlteredEnsemble(ensemble, .droppedReduceScatter), findings)
    },
    .control("a factor 1/W is not adjoint") { ensemble, findings in
        try adjointness(ensemble, AlteredEnsemble(ensemble, .dividedByRanks), findings)
    },
    Law(name: "buckets are summed in their order, each once, by any number of steps") { ensemble, findings in
        var arena = [Float](repeating: 0, count: 40_000)
        for step in 1...3 {
            for index in arena.indices { arena[index] = Float(index % 97 + step * (ensemble.rank + 1)) }
            try arena.withUnsafeMutableBufferPointer { values in
                var start = 0
                var length = 1
                while start < values.count {
                    let end = min(values.count, start + length)
                    try ensemble.beginAllReduceSum(UnsafeMutableBufferPointer(rebasing: values[start..<end]))
                    start = end
                    length = length * 5 / 3 + 1
                }
                // Queued again: it must see the first sum.
                try ensemble.beginAllReduceSum(UnsafeMutableBufferPointer(rebasing: values[0..<10]))
                try ensemble.finishAllReduces()
            }
            let (size, ranks) = (ensemble.size, ensemble.size * (ensemble.size + 1) / 2)
            for index in arena.indices {
                let once = Float(index % 97 * size + step * ranks)
                let expected = index < 10 ? once * Float(size) : once
                let found = arena[index]
                findings.require(found == expected, "step \(step), value \(index): \(found), not \(expected)")
            }
        }
        try ensemble.finishAllReduces()
    },
    Law(name: "onRoot gives rank zero's result to all") { ensemble, findings in
        let result = try ensemble.onRoot { ["rank": [Double(ensemble.rank), 0.1, .infinity]] }
        findings.require(result == ["rank": [0, 0.1, .infinity]], "the result is \(result)")
    },
    Law(name: "onRoot throws rank zero's error, text and exit code, on all") { ensemble, findings in
        var cause = TuttiError(.retryable, "save", "a file", "disk full", hint: "Make room.")
        var caught: (any Error)?
        do { try ensemble.onRoot { throw cause } } catch { caught = error }
        cause.isShared = true
        findings.require(caught as? TuttiError == cause, "caught \(String(describing: caught))")
    },
    Law(name: "agree is the largest code of all ranks") { ensemble, findings in
        let code = try ensemble.agree(code: ensemble.rank == ensemble.size - 1 ? 85 : 0)
        findings.require(code == 85, "the code is \(code)")
    },
    Law(name: "the handshake accepts equal ranks and names the one that differs") { ensemble, findings in
        try ensemble.verifyIdentity("tutti test")
        if ensemble.size == 1 { return }
        var caught: (any Error)?
        do { try ensemble.verifyIdentity(ensemble.rank == 1 ? "tutti other" : "tutti test") } catch { caught = error }
        let error = caught as? TuttiError
        findings.require(error?.rank == 1 && error?.kind == .usage, "caught \(String(describing: caught))")
    },
]

/// <gather x, y> over `plain` against <x, reduceScatter y> over `other`.
private func adjointness(_ plain: any Ensemble, _ other: any Ensemble, _ findings: Findings) throws {
    for deal in deals(of: 1500, to: plain.size) {
        var numbers = Numbers(seed: UInt64(plain.rank + 77))
        let x = numbers.next(deal[plain.rank])
        let y = numbers.next(1500)
        let gathered = try plain.gather(x.withUnsafeBytes(Array.init)).flatMap { $0 }
        var products = [0.0, 0.0]
        gathered.withUnsafeBytes { bytes in
            for index in y.indices {
                let value = bytes.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
                products[0] += Double(value) * Double(y[index])
            }
        }
        for (own, sum) in zip(x, try reduceScatter(y, deal, other)) { products[1] += Double(own) * Double(sum) }
        try products.withUnsafeMutableBufferPointer { try plain.allReduceSum($0) }
        let difference = abs(products[0] - products[1])
        findings.require(
            difference <= 1e-4 * max(1, abs(products[0])), "deal \(deal): \(products[0]) and \(products[1])")
    }
}

/// This rank's slice of the sum of `values` over ranks.
func reduceScatter(_ values: [Float], _ deal: [Int], _ ensemble: any Ensemble) throws -> [Float] {
    var own = [Float](repeating: -1, count: deal[ensemble.rank])
    try values.withUnsafeBufferPointer { send in
        try deal.withUnsafeBufferPointer { counts in
            try own.withUnsafeMutableBufferPointer { into in
                try ensemble.reduceScatterSum(send, counts: counts, into: into)
            }
        }
    }
    return own
}
