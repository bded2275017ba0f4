// Philox against Random123's known answers; the element hash and its keys against statistics.

import CTuttiKernels
import Testing
import TestSupport
import TuttiGround
import TuttiKernels

@Suite(.serialized, .atEveryLevel) struct RandomTests {
    @Test func philoxKnownAnswers() {
        let full = UInt32.max
        #expect(
            Philox.block(counter: (0, 0, 0, 0), key: (0, 0)) == (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
        #expect(
            Philox.block(counter: (full, full, full, full), key: (full, full))
                == (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
        #expect(
            Philox.block(
                counter: (0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: (0xa409_3822, 0x299f_31d0))
                == (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
    }

    @Test func everyArgumentOfAKeyCounts() {
        var keys: Set<UInt64> = []
        for seed in [UInt64(1), 2, 1 << 32] {
            for step in [UInt64(0), 1, 1 << 32] {
                for micro in [UInt32(0), 1] {
                    for slot in [UInt64(0), 1, 1 << 32] {
                        for column in [UInt32(0), 1] {
                            let key = Dropout.sequenceKey(
                                seed: seed, step: step, microStep: micro, slot: slot, column: column)
                            for (layer, site) in [(UInt32(0), UInt32(0)), (0, 1), (1, 0)] {
                                keys.insert(Dropout.siteKey(key, layer: layer, site: site))
                            }
                        }
                    }
                }
            }
        }
        #expect(keys.count == 3 * 3 * 2 * 3 * 2 * 3)
    }

    /// The kept mask of `count` elements as 0 / 1.
    private func mask(_ key: UInt64, _ count: Int, rate: Float) -> [Double] {
        (0..<count).map { Dropout.keeps(siteKey: key, index: UInt32($0), rate: rate) ? 1 : 0 }
    }

    /// z-score of the correlation of two masks of the same rate.
    private func correlation(_ a: [Double], _ b: [Double], rate: Double) -> Double {
        let variance = rate * (1 - rate)
        let sum = zip(a, b).reduce(0.0) { $0 + ($1.0 - (1 - rate)) * ($1.1 - (1 - rate)) }
        return sum / (variance * Double(a.count).squareRoot())
    }

    @Test(arguments: [Float(0.1), 0.5, 0.013])
    func rateAndIndependence(rate: Float) {
        let count = 100_000
        let wide = Double(rate)
        let base = Dropout.sequenceKey(seed: 42, step: 7, microStep: 0, slot: 3, column: 0)
        let site = Dropout.siteKey(base, layer: 2, site: 1)
        let one = mask(site, count, rate: rate)
        let kept = one.reduce(0, +)
        let deviation = (Double(count) * wide * (1 - wide)).squareRoot()
        #expect(abs(kept - Double(count) * (1 - wide)) < 5 * deviation)
        // Shifts by one element, by a row of 384, by a power of two.
        for shift in [1, 2, 16, 384, 1024, 4096] {
            #expect(abs(correlation(Array(one.dropLast(shift)), Array(one.dropFirst(shift)), rate: wide)) < 5)
        }
        // Neighbouring layer, site, slot, column, step.
        var others = [
            Dropout.siteKey(base, layer: 3, site: 1), Dropout.siteKey(base, layer: 2, site: 2),
            Dropout.siteKey(
                Dropout.sequenceKey(seed: 42, step: 7, microStep: 0, slot: 4, column: 0), layer: 2, site: 1),
            Dropout.siteKey(
                Dropout.sequenceKey(seed: 42, step: 7, microStep: 0, slot: 3, column: 1), layer: 2, site: 1),
            Dropout.siteKey(
                Dropout.sequenceKey(seed: 42, step: 8, microStep: 0, slot: 3, column: 0), layer: 2, site: 1),
        ]
        // Long sequences walk through each other's first halves: the second half alone must then tell masks apart.
        var random = TinyRandom(8)
        for _ in 0..<40 { others.append(site & 0xFFFF_FFFF | random.next() << 32) }
        for other in others { #expect(abs(correlation(one, mask(other, count, rate: rate), rate: wide)) < 5) }
    }

    @Test func ratesOfRowsAndColumnsAreEven() {
        let (rows, columns) = (512, 384)
        let key = Dropout.siteKey(
            Dropout.sequenceKey(seed: 1, step: 1, microStep: 0, slot: 0, column: 0), layer: 0, site: 0)
        let kept = mask(key, rows * columns, rate: 0.1)
        func chiSquared(_ groups: Int, _ size: Int, _ index: (Int, Int) -> Int) -> Double {
            (0..<groups).reduce(0.0) { sum, group in
                let count = (0..<size).reduce(0.0) { $0 + kept[index(group, $1)] }
                let expected = 0.9 * Double(size)
                return sum + (count - expected) * (count - expected) / (Double(size) * 0.09)
            }
        }
        // Chi-squared with n degrees: mean n, deviation sqrt(2 n); five deviations either way.
        let ofRows = chiSquared(rows, columns) { $0 * columns + $1 }
        let ofColumns = chiSquared(columns, rows) { $1 * columns + $0 }
        #expect(abs(ofRows - Double(rows)) < 5 * (2 * Double(rows)).squareRoot())
        #expect(abs(ofColumns - Double(columns)) < 5 * (2 * Double(columns)).squareRoot())
    }

    @Test func dropoutIsItsOwnAdjointAndKnowsOnlyTheSequence() {
        let columns = 37
        let lengths = [3, 0, 5, 1]
        let offsets = lengths.reduce(into: [Int32(0)]) { $0.append($0[$0.count - 1] + Int32($1)) }
        let keys: [UInt64] = (0..<4).map { Dropout.siteKey(99, layer: 0, site: UInt32($0)) }
        let x = FloatBlock(count: 9 * columns, of: 1)
        let y = FloatBlock(count: 9 * columns)
        let mask = DropoutMask(rate: 0.3, keys: keys.pinned, offsets: offsets.pinned, sequences: 4)
        RowKernels.dropout(x.matrix(9, columns), mask, into: y.matrix(9, columns))
        for s in 0..<4 {
            for p in 0..<lengths[s] {
                for d in 0..<columns {
                    let keeps = Dropout.keeps(siteKey: keys[s], index: UInt32(p * columns + d), rate: 0.3)
                    let value = y.values[(Int(offsets[s]) + p) * columns + d]
                    #expect(value == (keeps ? 1 / (1 - Float(0.3)) : 0))
                }
            }
        }
    }

    @Test func counterRandomStreamsDiffer() {
        var a = CounterRandom(seed: 1, stream: 0)
        var b = CounterRandom(seed: 1, stream: 0)
        var c = CounterRandom(seed: 1, stream: 1)
        let first = (0..<8).map { _ in a.next() }
        #expect(first == (0..<8).map { _ in b.next() })
        #expect(first != (0..<8).map { _ in c.next() })
        #expect(Set(first).count == 8)
    }
}
