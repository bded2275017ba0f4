// Frozen parameters of every family: what is left has the gradients that it has in the whole model, in any combination; and
// what is frozen has no place in the arenas.

import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats
import TuttiKernels

struct FreezingTests {
    private let heads = [
        HeadConfiguration.pooling(modes: [.mean]), .dense(name: "2_Dense", inputWidth: 32, outputWidth: 7),
        .layerNorm(name: "3_LayerNorm", width: 7), .normalize,
    ]
    private let stream = DropoutStream(seed: 7, step: 3, microStep: 1)

    /// What is frozen: tensors in the order in which backward finishes them, from above or below, or every third.
    enum Share: String, CaseIterable, Sendable {
        case lowest, lowerHalf, lowerThreeQuarters, upperHalf, everyThird, allButThird, allButHeads, all

        func frozen(_ names: [String]) -> Set<String> {
            let count = names.count
            return switch self {
            case .lowest: Set(names.suffix(1))
            case .lowerHalf: Set(names.suffix(count / 2))
            case .lowerThreeQuarters: Set(names.suffix(3 * count / 4))
            case .upperHalf: Set(names.prefix(count / 2))
            case .everyThird: Set(names.enumerated().filter { $0.offset % 3 == 1 }.map(\.element))
            case .allButThird: Set(names.enumerated().filter { $0.offset % 3 != 1 }.map(\.element))
            case .allButHeads: Set(names.filter { !$0.hasPrefix("2_") && !$0.hasPrefix("3_") })
            case .all: Set(names)
            }
        }
    }

    /// Heads with weights that are no zeros.
    private func fill(_ encoder: SequenceEncoder) {
        for entry in encoder.layout.all where entry.name.contains("_") && entry.name.first?.isNumber == true {
            var random = TinyRandom(UInt64(entry.name.utf8.reduce(5) { $0 &* 31 &+ UInt64($1) }))
            for (place, value) in random.floats(entry.elementCount).enumerated() {
                encoder.parameters.values(of: entry)[place] = value
            }
        }
    }

    /// Dropout on, and taps: a gradient enters at every layer.
    ///
    /// By our own products, whose sums do not depend on the width: frozen weights leave the product that queries, keys and values
    /// share.
    @Test(arguments: FamilyGolden.all, Share.allCases)
    func gradientsAreThoseOfTheWholeModel(_ golden: FamilyGolden, _ share: Share) throws {
        try withGemm(.tutti) { try compareWithTheWholeModel(golden, share) }
    }

    private func compareWithTheWholeModel(_ golden: FamilyGolden, _ share: Share) throws {
        let width = try golden.settings().plan().hiddenSize
        var heads = heads
        heads[1] = .dense(name: "2_Dense", inputWidth: width, outputWidth: 7)
        let whole = try golden.encoder(modelOnly: heads, dropout: 0.1)
        let frozen = share.frozen(whole.layout.entries.map(\.name))
        let part = try golden.encoder(modelOnly: heads, dropout: 0.1, frozen: frozen)
        fill(whole)
        fill(part)
        #expect(part.layout.entries.map(\.name) == whole.layout.entries.map(\.name).filter { !frozen.contains($0) })
        #expect(part.layout.all.map(\.name) == whole.layout.all.map(\.name))
        #expect(part.layout.count + part.layout.frozenCount == whole.layout.count)
        #expect(part.parameters.gradients.count == part.layout.count)
        #expect(part.isTrained == (share != .all))

        let batch = try golden.batch()
        for taps in [nil, Array(0...whole.layerCount)] {
            let rows = (taps?.count ?? 1) * batch.sequenceCount
            var random = TinyRandom(9)
            let gradient = random.floats(rows * 7)
            whole.parameters.clearGradients()
            part.parameters.clearGradients()
            let expected = backpropagate(whole, batch, gradient, taps: taps, dropout: stream)
            let found = backpropagate(part, batch, gradient, taps: taps, dropout: stream)
            #expect(largestDifference(found.embeddings, expected.embeddings) <= 1e-6)
            #expect(largestDifference(embed(part, batch, taps: taps, dropout: stream), expected.embeddings) <= 1e-6)
            var end = 0
            for slice in found.slices {
                #expect(slice.lowerBound == end)
                end = slice.upperBound
            }
            #expect(end == part.layout.count)
            let largest = whole.parameters.gradients.reduce(0) { max($0, abs($1)) }
            for entry in part.layout.entries {
                let own = try #require(whole.layout.entry(named: entry.name))
                let wanted = whole.parameters.gradient(of: own)
                var bound = 1e-5 * Double(max(wanted.reduce(0) { max($0, abs($1)) }, 1e-3 * largest))
                // The true gradient of a key bias is zero: what is left is rounding of the key weights' gradient.
                if entry.name.hasSuffix(".bias"),
                    let weight = whole.layout.entry(named: entry.name.dropLast("bias".count) + "weight")
                {
                    let terms = whole.parameters.gradient(of: weight).reduce(0) { max($0, abs($1)) }
                    bound = max(bound, 1e-6 * Double(terms))
                }
                let difference = largestDifference(part.parameters.gradient(of: entry), wanted)
                #expect(difference <= bound, "\(entry.name): \(difference) > \(bound)")
            }
        }
    }

    /// Backward ends at the lowest layer that is trained, and what is below keeps no activations.
    @Test func lowerLayersKeepNothing() throws {
        let golden = try #require(FamilyGolden.all.first { $0.name == "bert" })
        let names = try golden.encoder(modelOnly: heads, dropout: 0).layout.entries.map(\.name)
        let batch = try golden.batch()
        func bytes(_ isFrozen: (String) -> Bool) throws -> Int {
            try golden.encoder(modelOnly: heads, dropout: 0, frozen: Set(names.filter(isFrozen)))
                .activationBytes(of: batch)
        }
        let whole = try bytes { _ in false }
        let upper = try bytes { $0.hasPrefix("embeddings") || $0.hasPrefix("encoder.layer.0") }
        let none = try bytes { !$0.hasPrefix("2_Dense") }
        #expect(none < upper && upper < whole, "\(none), \(upper), \(whole)")
        // Negative control: layers above what is trained are kept.
        #expect(try bytes { $0.hasPrefix("encoder.layer.1") } == whole)
    }
}

extension FamilyGolden {
    /// An encoder whose heads have no weights in the reference's file.
    fileprivate func encoder(
        modelOnly heads: [HeadConfiguration], dropout: Double, frozen: Set<String> = []
    ) throws -> SequenceEncoder {
        let encoder = try SequenceEncoder(settings(dropout: dropout).plan(), heads: heads, frozen: frozen)
        let own = try self.encoder(heads: [.pooling(modes: [.mean])])
        for entry in own.layout.entries {
            let same = try #require(encoder.layout.entry(named: entry.name))
            _ = encoder.parameters.values(of: same).update(fromContentsOf: own.parameters.values(of: entry))
        }
        encoder.parameters.allocateGradients()
        return encoder
    }
}
