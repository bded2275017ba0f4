// Several encoders over one arena: slices of the gradient, texts of one route alone, shared modules.

import TestSupport
import Testing
import TuttiEncoders
import TuttiKernels

@Suite struct RoutedEncoderTests {
    private func encoder(widths: [Int] = [6, 6]) throws -> RoutedEncoder {
        let plan = try StaticEmbedding(rows: 20, width: 6).plan()
        let other = try StaticEmbedding(rows: 30, width: 4).plan()
        let pooling = HeadConfiguration.pooling(modes: [.mean])
        let encoder = try RoutedEncoder([
            RoutePlan(name: "a", plan: plan, heads: [pooling], scope: "one"),
            RoutePlan(
                name: "b", plan: other,
                heads: [pooling, .dense(name: "b_1_Dense", inputWidth: 4, outputWidth: widths[1])], scope: "two"),
            RoutePlan(
                name: "c", plan: plan,
                heads: [pooling, .dense(name: "c_1_Dense", inputWidth: 6, outputWidth: widths[0])], scope: "one"),
        ])
        var random = TinyRandom(3)
        for (place, value) in random.floats(encoder.layout.count).enumerated() {
            encoder.parameters.values[place] = value
        }
        encoder.parameters.allocateGradients()
        return encoder
    }

    /// Texts of the routes `routes`, in that order.
    private func batch(_ routes: [Int]) -> PackedBatch {
        var batch = PackedBatch()
        for (slot, route) in routes.enumerated() {
            batch.append([Int32(slot), Int32(slot + 3), 2], slot: UInt64(slot), route: route)
        }
        return batch
    }

    private func embed(_ encoder: RoutedEncoder, _ batch: PackedBatch) -> [[Float]] {
        var arena = Arena()
        let result = arena.matrix(batch.sequenceCount, encoder.outputWidth)
        encoder.embed(batch, into: result)
        return (0..<result.rows).map { row in (0..<result.columns).map { result[row, $0] } }
    }

    @Test func layoutsAndSlices() throws {
        let encoder = try encoder()
        // A table that two routes share stands where the last of them finishes it.
        #expect(
            encoder.layout.entries.map(\.name) == [
                "b_1_Dense.linear.weight", "b_1_Dense.linear.bias", "two.embedding.weight",
                "c_1_Dense.linear.weight", "c_1_Dense.linear.bias", "one.embedding.weight",
            ])
        for routes in [[0, 1, 2, 0, 2], [1, 1], []] {
            let batch = batch(routes)
            var arena = Arena()
            let result = arena.matrix(batch.sequenceCount, 6)
            let pass = encoder.forward(batch, dropout: nil, into: result)
            let gradient = arena.matrix(batch.sequenceCount, 6)
            gradient.fill(1)
            var slices: [Range<Int>] = []
            encoder.parameters.clearGradients()
            pass.backward(gradient) { slices.append($0) }
            #expect(slices.first?.lowerBound == 0 && slices.last?.upperBound == encoder.layout.count)
            #expect(zip(slices, slices.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
            for (name, routesOfIt) in [("one.embedding.weight", [0, 2]), ("two.embedding.weight", [1])] {
                let entry = try #require(encoder.layout.entry(named: name))
                let isUsed = encoder.parameters.gradient(of: entry).contains { $0 != 0 }
                #expect(isUsed == routes.contains { routesOfIt.contains($0) }, "\(name) \(routes)")
            }
        }
    }

    @Test func rowsStandWhereTheirTextsDo() throws {
        let encoder = try encoder()
        let routes = [2, 0, 1, 0, 2, 1, 1]
        let together = embed(encoder, batch(routes))
        for (place, route) in routes.enumerated() {
            var one = PackedBatch()
            one.append([Int32(place), Int32(place + 3), 2], slot: 0, route: route)
            #expect(embed(encoder, one)[0] == together[place])
        }
        #expect(embed(encoder, batch([0]))[0] != embed(encoder, batch([1]))[0])
    }

    /// The gradient of the sum of weighted embeddings, by central differences in random directions.
    @Test func gradientsAreThoseOfDifferences() throws {
        let encoder = try encoder()
        let batch = batch([0, 1, 2, 0, 2, 1])
        var arena = Arena()
        let (result, weights) = (arena.matrix(6, 6), arena.matrix(6, 6))
        var random = TinyRandom(8)
        for (place, value) in random.floats(36).enumerated() { weights[place / 6, place % 6] = value }
        let pass = encoder.forward(batch, dropout: nil, into: result)
        let gradient = arena.matrix(6, 6)
        gradient.copy(from: weights)
        pass.backward(gradient) { _ in }
        func value() -> Double {
            let rows = embed(encoder, batch)
            return rows.indices.reduce(0.0) { sum, row in
                sum + (0..<6).reduce(0.0) { $0 + Double(rows[row][$1]) * Double(weights[row, $1]) }
            }
        }
        let values = encoder.parameters.values
        for entry in encoder.layout.entries {
            let direction = random.floats(entry.elementCount)
            let slope = zip(entry.elements, direction).reduce(0.0) {
                $0 + Double(encoder.parameters.gradients[$1.0]) * Double($1.1)
            }
            let step: Float = 1e-2
            func moved(_ sign: Float) -> Double {
                for (place, along) in zip(entry.elements, direction) { values[place] += sign * step * along }
                defer { for (place, along) in zip(entry.elements, direction) { values[place] -= sign * step * along } }
                return value()
            }
            let found = (moved(1) - moved(-1)) / (2 * Double(step))
            #expect(abs(found - slope) <= 2e-3 * max(1, abs(slope)), "\(entry.name): \(found) vs \(slope)")
        }
    }

    @Test func routesOfOtherWidthsAreRefused() {
        #expect(throws: (any Error).self) { try encoder(widths: [6, 5]) }
        #expect(throws: (any Error).self) { try encoder(widths: [7, 6]) }
    }
}
