// Low-rank adapters on every dense module of every family, with magnitudes (DoRA) too: hand-written backward against central
// differences with dropout, the product against the merged weight, and nothing where B is zero.

import TestSupport
import Testing
import TuttiEncoders
import TuttiFormats
import TuttiKernels

struct AdapterTests {
    private let heads = [HeadConfiguration.pooling(modes: [.mean]), .normalize]
    private let stream = DropoutStream(seed: 7, step: 3, microStep: 1)

    /// The golden's encoder with an adapter on each dense module, all of its own weights frozen.
    private func adapted(
        _ golden: FamilyGolden, dropout: Float, adapterDropout: Float? = nil, spread: Float = 0.4,
        hasMagnitudes: Bool = false
    ) throws -> (encoder: SequenceEncoder, whole: SequenceEncoder) {
        let whole = try golden.encoder(heads: heads, dropout: Double(dropout))
        let plan = whole.plan
        #expect(Set(plan.denseModules).count == plan.denseModules.count && !plan.denseModules.isEmpty)
        let adapters = Dictionary(
            uniqueKeysWithValues: plan.denseModules.enumerated().map {
                (
                    $1,
                    AdapterPlan(
                        rank: 2 + $0 % 3, scale: 0.5, dropout: adapterDropout ?? dropout, hasMagnitudes: hasMagnitudes)
                )
            })
        let encoder = try SequenceEncoder(
            plan, heads: heads, frozen: Set(plan.tensors.map(\.name)), adapters: adapters)
        for entry in whole.layout.entries {
            let own = try #require(encoder.layout.entry(named: entry.name))
            _ = encoder.parameters.values(of: own).update(fromContentsOf: whole.parameters.values(of: entry))
        }
        var random = TinyRandom(21)
        for entry in encoder.layout.entries where !entry.name.contains("magnitude") {
            for (place, value) in random.floats(entry.elementCount).enumerated() {
                encoder.parameters.values(of: entry)[place] = spread * value
            }
        }
        for (module, plan) in adapters.sorted(by: { $0.key < $1.key }) where hasMagnitudes {
            let entry = try #require(encoder.layout.entry(named: AdapterPlan.magnitudeName(module)))
            let lengths = encoder.parameters.lengthsOfRows(of: module, plan)
            for (row, value) in random.floats(lengths.count).enumerated() {
                encoder.parameters.values(of: entry)[row] = lengths[row] * (1 + spread * value)
            }
        }
        encoder.parameters.allocateGradients()
        return (encoder, whole)
    }

    @Test(arguments: FamilyGolden.all)
    func layoutHoldsAdaptersAlone(_ golden: FamilyGolden) throws {
        let (encoder, _) = try adapted(golden, dropout: 0)
        #expect(encoder.layout.entries.allSatisfy { $0.name.contains(".lora_") && $0.decays })
        #expect(encoder.layout.entries.count == 2 * encoder.plan.denseModules.count)
    }

    @Test(arguments: FamilyGolden.all.filter(\.isSmooth))
    func directionalDerivatives(_ golden: FamilyGolden) throws {
        let (encoder, _) = try adapted(golden, dropout: 0.1)
        let derivative = DirectionalDerivative(
            encoder, try golden.batch(hasPadding: false), taps: Array(0...encoder.layerCount), dropout: stream,
            seed: 11)
        let kinds = Dictionary(grouping: encoder.layout.entries) { entry in
            entry.name.split(separator: ".").filter { Int($0) == nil }.joined(separator: ".")
        }
        for (kind, entries) in [("all", encoder.layout.entries)] + kinds.sorted(by: { $0.key < $1.key }) {
            let (slope, analytic, numeric) = derivative.along(entries, step: 0.01)
            #expect(slope > 1e-4, "\(kind): no slope to measure")
            #expect(abs(numeric - analytic) <= 2e-3 * abs(analytic), "\(kind): \(analytic) against \(numeric)")
        }
    }

    /// Magnitudes as they are; A and B with magnitudes that follow the rows' lengths, which count as constants.
    @Test(arguments: FamilyGolden.all.filter(\.isSmooth))
    func directionalDerivativesWithMagnitudes(_ golden: FamilyGolden) throws {
        let (encoder, _) = try adapted(golden, dropout: 0.1, hasMagnitudes: true)
        let (store, plans) = (encoder.parameters, encoder.layout.adapters)
        var scales: [String: [Float]] = [:]
        for (module, plan) in plans {
            let entry = try #require(encoder.layout.entry(named: AdapterPlan.magnitudeName(module)))
            let lengths = store.lengthsOfRows(of: module, plan)
            #expect(store.values(of: entry).contains { $0 > 0 } && lengths.allSatisfy { $0 > 0 })
            scales[module] = zip(store.values(of: entry), lengths).map { $0 / $1 }
        }
        var derivative = DirectionalDerivative(
            encoder, try golden.batch(hasPadding: false), taps: Array(0...encoder.layerCount), dropout: stream,
            seed: 11)
        for kind in [".lora_magnitude_vector.", ".lora_A.", ".lora_B."] {
            let entries = encoder.layout.entries.filter { $0.name.contains(kind) }
            #expect(entries.count == plans.count)
            if kind != ".lora_magnitude_vector." {
                derivative.follow = {
                    for (module, plan) in plans {
                        guard let entry = encoder.layout.entry(named: AdapterPlan.magnitudeName(module)) else {
                            continue
                        }
                        for (row, length) in store.lengthsOfRows(of: module, plan).enumerated() {
                            store.values(of: entry)[row] = (scales[module]?[row] ?? 0) * length
                        }
                    }
                }
            }
            let (slope, analytic, numeric) = derivative.along(entries, step: 0.01)
            #expect(slope > 1e-4, "\(kind): no slope to measure")
            #expect(abs(numeric - analytic) <= 2e-3 * abs(analytic), "\(kind): \(analytic) against \(numeric)")
        }
    }

    /// A mask that keeps everything goes through the products of dropout, and gives what none gives.
    @Test(arguments: FamilyGolden.all)
    func magnitudesWithAndWithoutMasks(_ golden: FamilyGolden) throws {
        let (plain, _) = try adapted(golden, dropout: 0, hasMagnitudes: true)
        let (masked, _) = try adapted(golden, dropout: 0, adapterDropout: 1e-9, hasMagnitudes: true)
        let batch = try golden.batch()
        let c = noise(batch.sequenceCount * plain.outputWidth, seed: 3)
        let (one, other) = (
            backpropagate(plain, batch, c, dropout: stream), backpropagate(masked, batch, c, dropout: stream)
        )
        #expect(largestDifference(one.embeddings, other.embeddings) <= 2e-6)
        let scale = Double(plain.parameters.gradients.reduce(0) { max($0, abs($1)) })
        #expect(largestDifference(plain.parameters.gradients, masked.parameters.gradients) <= 2e-5 * scale)
        let (low, _) = try adapted(golden, dropout: 0)
        #expect(largestDifference(embed(low, batch), one.embeddings) > 0.01, "magnitudes that change nothing")
    }

    /// W + s B A in place of W; and the base model where B is zero.
    @Test(arguments: FamilyGolden.all)
    func embeddingsAreThoseOfMergedWeights(_ golden: FamilyGolden) throws {
        let (encoder, whole) = try adapted(golden, dropout: 0)
        let batch = try golden.batch()
        let before = embed(whole, batch)
        for (module, plan) in encoder.layout.adapters {
            let weight = try #require(whole.layout.entry(named: module + ".weight"))
            let names = AdapterPlan.names(module)
            let a = try #require(encoder.layout.entry(named: names.a))
            let b = try #require(encoder.layout.entry(named: names.b))
            let (values, own) = (whole.parameters.values(of: weight), encoder.parameters)
            for row in 0..<weight.shape[0] {
                for column in 0..<weight.shape[1] {
                    var sum = 0.0
                    for r in 0..<plan.rank {
                        sum +=
                            Double(own.values(of: b)[row * plan.rank + r])
                            * Double(own.values(of: a)[r * weight.shape[1] + column])
                    }
                    values[row * weight.shape[1] + column] += Float(Double(plan.scale) * sum)
                }
            }
        }
        let merged = embed(whole, batch)
        #expect(largestDifference(embed(encoder, batch), merged) <= 5e-6)
        #expect(largestDifference(before, merged) > 0.01, "adapters that change nothing prove nothing")
        for entry in encoder.layout.entries where entry.name.contains("lora_B") {
            encoder.parameters.values(of: entry).update(repeating: 0)
        }
        #expect(largestDifference(embed(encoder, batch), before) <= 1e-7)
    }
}
