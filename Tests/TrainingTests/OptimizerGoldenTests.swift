// Every optimizer on given gradients over 30 steps: the reference's numbers, on any ranks and over a resumption.

import Foundation
import TestSupport
import Testing
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiTraining

@Suite(.serialized) struct OptimizerGoldenTests {
    /// Ranks by node, how they sum, and who keeps the state.
    struct Way: Sendable, CustomStringConvertible {
        var nodes: [Int]
        var choice = ExchangeChoice.auto
        var sharding = OptimizerSharding.node

        var description: String { "nodes \(nodes), \(choice), \(sharding)" }
    }

    /// A case of Tests/Golden/optimizers/optimizers.json.
    struct Case: Sendable, CustomStringConvertible {
        var name: String
        var arguments: TrainingArguments
        var parameters: JSONObject

        var description: String { name }
        var isWhole: Bool { name.hasPrefix("muon") || name.hasPrefix("adafactor") }
    }

    static let cases: [Case] = {
        do {
            let file = try JSONValue.parse(file: Goldens.path("optimizers/optimizers.json"))
            return try (file.array ?? []).map { json in
                var given = json["arguments"]?.object ?? [:]
                given["max_grad_norm"] = .integer(0)
                let arguments = try TrainingArguments(
                    json: given, places: ConfigurationPlaces(file: "optimizers.json"), notice: { _ in })
                return Case(
                    name: json["name"]?.string ?? "", arguments: arguments,
                    parameters: json["parameters"]?.object ?? [:])
            }
        } catch {
            return []
        }
    }()

    private static let golden: ParameterLayout = {
        var layout = ParameterLayout()
        layout.append(TensorSpecification("encoder.layer.1.weight", [24, 10]))
        layout.append(TensorSpecification("encoder.layer.0.weight", [7, 12]))
        layout.append(TensorSpecification("encoder.layer.0.bias", [9]))
        return layout
    }()

    /// Several chunks of 64 K floats, the tensors across their borders.
    private static let wide: ParameterLayout = {
        var layout = ParameterLayout()
        layout.append(TensorSpecification("encoder.layer.1.weight", [300, 333]))
        layout.append(TensorSpecification("encoder.layer.1.bias", [401]))
        layout.append(TensorSpecification("encoder.layer.0.weight", [96, 900]))
        layout.append(TensorSpecification("embeddings.word_embeddings.weight", [700, 33]))
        return layout
    }()

    /// Runs steps from the generator of the golden file. `look` sees the weights to evaluate after each step; the whole
    /// gradient is the last rank's.
    private static func run(
        _ own: Case, _ layout: ParameterLayout, steps: Int, ensemble: any Ensemble, way: Way,
        interruptAfter: Int? = nil, spoils: Bool = false, names: [String: ParameterNames] = [:],
        look: (Int, ParameterStore) -> Void
    ) throws {
        var arguments = own.arguments
        arguments.exchange = way.choice
        arguments.optimizerSharding = way.sharding
        var random = TinyRandom(7)
        func prepare() throws -> (ParameterStore, ParameterUpdates) {
            let store = ParameterStore(layout: layout)
            return (
                store,
                try ParameterUpdates(
                    store, arguments: arguments, totalSteps: 30, names: names, ensemble: ensemble)
            )
        }
        var (store, updates) = try prepare()
        for entry in layout.entries {
            for (place, value) in zip(entry.elements, random.floats(entry.elementCount)) { store.values[place] = value }
        }
        _ = try updates.place()
        for step in 1...steps {
            store.clearGradients()
            let scale = step == 5 ? 0 : Float(0.1 * Double(1 + step % 3))
            for entry in layout.entries {
                let gradient = random.floats(entry.elementCount, scale: scale)
                guard ensemble.rank == ensemble.size - 1 else { continue }
                for (place, value) in zip(entry.elements, gradient) { store.gradients[place] = value }
            }
            if spoils { store.gradients[0] += 0.2 }
            _ = try updates.step(number: step - 1, factor: 1)
            try updates.evaluating {
                look(step, store)
                try ensemble.barrier()
            }
            guard step == interruptAfter else { continue }
            // What a checkpoint holds: the weights to evaluate and the state; the trained weights come back from both.
            let path = try ensemble.onRoot { NSTemporaryDirectory() + "optimizer-\(UUID().uuidString).safetensors" }
            let kept = try updates.evaluating { () -> [Float] in
                try updates.saveState(to: path)
                return Array(store.values)
            }
            let (next, others) = try prepare()
            _ = next.values.update(fromContentsOf: kept)
            _ = try others.place()
            try others.resume(from: path)
            (store, updates) = (next, others)
            try ensemble.onRoot { try FileManager.default.removeItem(atPath: path) }
        }
    }

    @Test func thereAreCases() { #expect(Self.cases.count == 20) }

    /// What of the parameters the golden file keeps: vectors, and the first and last rows of matrices.
    private static func kept(_ store: ParameterStore, _ name: String) -> [Float] {
        guard let entry = store.layout.entry(named: name) else { return [] }
        let values = Array(store.values(of: entry))
        guard entry.shape.count > 1 else { return values }
        return Array(values.prefix(entry.shape[1])) + Array(values.suffix(entry.shape[1]))
    }

    /// How far a run is from the golden one: at most, and as a share of the way that a tensor goes; and the longest way.
    private func worst(
        _ own: Case, spoils: Bool = false
    ) throws -> (error: Double, share: Double, moved: Double) {
        var first: [String: [Float]] = [:]
        var (errors, ways): ([String: Double], [String: Double]) = ([:], [:])
        try Self.run(
            own, Self.golden, steps: 30, ensemble: LocalEnsemble.single(), way: Way(nodes: [0]), spoils: spoils
        ) { step, store in
            for (name, json) in own.parameters["\(step)"]?.object ?? [:] {
                let (expected, found) = ((json.array ?? []).compactMap(\.double), Self.kept(store, name))
                #expect(expected.count == found.count && !found.isEmpty)
                for (a, b) in zip(expected, found) {
                    errors[name] = max(errors[name] ?? 0, abs(a - Double(b)) / max(1, abs(a)))
                }
                let start = first[name] ?? found
                for (a, b) in zip(start, found) { ways[name] = max(ways[name] ?? 0, Double(abs(a - b))) }
                first[name] = start
            }
        }
        #expect(errors.count == 3)
        let shares = errors.map { $0.value / max(ways[$0.key] ?? 0, 1e-9) }
        return (errors.values.max() ?? 0, shares.max() ?? 0, ways.values.max() ?? 0)
    }

    @Test(arguments: cases) func thirtyStepsAreTheReferences(_ own: Case) throws {
        let (error, share, moved) = try worst(own)
        // Products of bf16 are only as exact as their rounding: 1e-2 of the way.
        #expect(own.name.hasPrefix("muon") ? share <= 1e-2 : error <= 1e-6, "\(error), \(share) of the way")
        #expect(moved > 4e-3)
    }

    /// The control: one gradient that is off is noticed.
    @Test(arguments: cases) func anotherGradientIsNoticed(_ own: Case) throws {
        #expect(try worst(own, spoils: true).error > 1e-5)
    }

    private static let ways = [
        Way(nodes: [0, 0]), Way(nodes: [0, 0, 1, 1]), Way(nodes: [0, 0, 0, 0]), Way(nodes: [0, 1], choice: .messages),
        Way(nodes: [0, 1], sharding: .all), Way(nodes: [0, 1], choice: .messages, sharding: .all),
    ]

    /// Any ranks, any exchange, with a resumption in between: the bits of one rank that goes through.
    @Test(arguments: cases) func ranksAndResumptionsDoNotChangeABit(_ own: Case) throws {
        func end(_ way: Way, interruptAfter: Int?) throws -> [[UInt32]] {
            try LocalEnsemble.run(nodes: way.nodes) { ensemble in
                var bits: [UInt32] = []
                try Self.run(
                    own, Self.wide, steps: 6, ensemble: ensemble, way: way, interruptAfter: interruptAfter
                ) { step, store in
                    if step == 6 { bits = store.values.map(\.bitPattern) }
                }
                return bits
            }
        }
        let alone = try end(Way(nodes: [0]), interruptAfter: nil)[0]
        #expect(try end(Way(nodes: [0]), interruptAfter: 3)[0] == alone)
        for way in Self.ways where !(own.isWhole && way.sharding == .all) {
            let all = try end(way, interruptAfter: 3)
            #expect(all.allSatisfy { $0 == alone }, "\(way)")
        }
    }

    /// A tensor that is several parameters in the reference moves as these do, on any ranks and over a resumption.
    @Test(arguments: cases.filter(\.isWhole))
    fileprivate func partsOfATensorMoveAsTensors(_ own: Case) throws {
        let (fused, apart) = (["qkv"], ["q", "k", "v"])
        @Sendable func layout(_ modules: [String]) -> ParameterLayout {
            let outputs = 15 / modules.count
            return ParameterLayout(
                modules.map { TensorSpecification("encoder.layer.0.\($0).weight", [outputs, 7]) }
                    + modules.map { TensorSpecification("encoder.layer.0.\($0).bias", [outputs]) })
        }
        var parts = ParameterNames([])
        parts.parts = apart.map { ["model.\($0)"] }
        let names = Dictionary(uniqueKeysWithValues: layout(fused).entries.map { ($0.name, parts) })
        func end(
            _ modules: [String], names: [String: ParameterNames], way: Way = Way(nodes: [0])
        ) throws -> [Float] {
            let ends = try LocalEnsemble.run(nodes: way.nodes) { ensemble in
                var last: [Float] = []
                try Self.run(
                    own, layout(modules), steps: 6, ensemble: ensemble, way: way, interruptAfter: 3, names: names
                ) {
                    last = $1.layout.entries.flatMap($1.values(of:))
                }
                return last
            }
            #expect(ends.allSatisfy { $0 == ends[0] })
            return ends[0]
        }
        let wanted = try end(apart, names: [:])
        #expect(try end(fused, names: names) == wanted)
        #expect(try end(fused, names: names, way: Way(nodes: [0, 0, 1])) == wanted)
        #expect(try end(fused, names: [:]) != wanted, "control: one parameter instead of three")
    }

    @Test func wholeTensorsAreNotDealtInPieces() {
        for name in ["adafactor", "muon"] {
            let error = #expect(throws: TuttiError.self) {
                try TrainingArguments(
                    json: ["optim": .string(name), "optimizer_sharding": .string("all")],
                    places: ConfigurationPlaces(file: "run.yaml"), notice: { _ in })
            }
            #expect(error?.subject.contains("optimizer_sharding") == true && error?.kind == .usage)
        }
    }
}
