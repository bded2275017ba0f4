// A plan without layers, with dense layers that add their input: forward by hand, gradients by central differences, and
// the rows that a run has used.

import TestSupport
import Testing
import TuttiEncoders
import TuttiKernels

@Suite struct StaticEncoderTests {
    private static let (rows, width) = (30, 20)

    private func encoder(_ heads: [HeadConfiguration] = []) throws -> SequenceEncoder {
        let plan = try StaticEmbedding(rows: Self.rows, width: Self.width).plan()
        let encoder = try SequenceEncoder(plan, heads: [.pooling(modes: [.mean])] + heads)
        for (number, entry) in encoder.layout.entries.enumerated() {
            let values = noise(entry.elementCount, seed: UInt64(number + 1))
            for (place, value) in zip(entry.elements, values) { encoder.parameters.values[place] = 0.3 * value }
        }
        encoder.parameters.allocateGradients()
        return encoder
    }

    private var batch: PackedBatch {
        var batch = PackedBatch()
        for (slot, ids) in [[3, 3, 29], [], [7], [1, 2, 3, 4, 5, 6, 7, 8]].enumerated() {
            batch.append(ids.map { Int32($0) }, slot: UInt64(slot))
        }
        return batch
    }

    @Test func aSequenceIsTheMeanOfItsRows() throws {
        let encoder = try encoder()
        let table = Array(encoder.parameters.values.prefix(Self.rows * Self.width))
        let found = embed(encoder, batch)
        for column in 0..<Self.width {
            let (three, last) = (table[3 * Self.width + column], table[29 * Self.width + column])
            #expect(abs(found[column] - (2 * three + last) / 3) <= 1e-6)
            #expect(found[Self.width + column] == 0)
            #expect(found[2 * Self.width + column] == table[7 * Self.width + column])
        }
        #expect(encoder.layerCount == 0 && encoder.plan.trainingFLOPs(tokens: 5, lengths: [5]) == 0)
    }

    @Test func gradientsEqualDifferences() throws {
        let encoder = try encoder([
            .dense(name: "1_Dense", inputWidth: 20, outputWidth: 12, hasResidual: true),
            .dense(name: "2_Dense", inputWidth: 12, outputWidth: 12, bias: false, hasResidual: true),
        ])
        let names = encoder.layout.entries.map(\.name)
        #expect(names.contains("1_Dense.residual.weight") && !names.contains("2_Dense.residual.weight"))
        let weights = noise(batch.sequenceCount * encoder.outputWidth, seed: 77)
        backpropagate(encoder, batch, weights)
        func value() -> Double {
            zip(embed(encoder, batch), weights).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
        }
        for entry in encoder.layout.entries {
            let random = noise(entry.elementCount, seed: 5)
            let length = random.reduce(0) { $0 + $1 * $1 }.squareRoot()
            let direction = random.map { $0 / length }
            let start = Array(encoder.parameters.values[entry.elements])
            var analytic = 0.0
            for (place, d) in zip(entry.elements, direction) {
                analytic += Double(encoder.parameters.gradients[place]) * Double(d)
            }
            func at(_ step: Double) -> Double {
                for (place, (x, d)) in zip(entry.elements, zip(start, direction)) {
                    encoder.parameters.values[place] = Float(Double(x) + step * Double(d))
                }
                return value()
            }
            let h = 0.02
            let numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
            _ = at(0)
            #expect(abs(analytic) > 1e-3, "\(entry.name): no slope to measure")
            #expect(abs(numeric - analytic) <= 1e-3 * abs(analytic), "\(entry.name): \(analytic) against \(numeric)")
        }
    }

    @Test func onlyRowsThatARunUsedAreVisited() throws {
        let encoder = try encoder()
        let touched = encoder.parameters.touched
        func visited() -> Set<Int> {
            var floats: Set<Int> = []
            touched.prepareRun()
            touched.forEachStretchOfRun(in: 0..<encoder.layout.count) { floats.formUnion($0) }
            return Set((0..<Self.rows).filter { floats.contains($0 * Self.width + Self.width / 2) })
        }
        touched.beginRun()
        #expect(!touched.knowsRun && visited().isEmpty && touched.knowsRun)
        backpropagate(encoder, batch)
        touched.collect()
        #expect(visited().isSuperset(of: [1, 2, 3, 4, 5, 6, 7, 8, 29]) && !visited().contains(20))
        encoder.parameters.clearGradients()
        var other = PackedBatch()
        other.append([20], slot: 0)
        backpropagate(encoder, other)
        touched.collect()
        #expect(visited().isSuperset(of: [1, 8, 20, 29]) && !visited().contains(12))
        touched.assumeAllHadGradients()
        #expect(visited().count == Self.rows)
        touched.beginRun()
        #expect(visited().isEmpty)
    }
}
