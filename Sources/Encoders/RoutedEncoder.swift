// The encoder of a model: one sequence encoder for each of its routes, over the same parameters. Most models have one
// route; a model with a Router has several, which may share modules, and each text is encoded by the route that its
// batch names.
//
// Layout: the groups of the first route, then those of the second; a tensor that several routes use stands where the
// last of them finishes it. Backward goes through the routes in that order, so slices are finished in layout order.
//
// Legend: S sequences, D width of an embedding.

import TuttiGround
import TuttiKernels

/// One way through a model: the plan of its first module and the modules after it.
package struct RoutePlan: Sendable {
    /// What a user calls it; empty where there is only one.
    package let name: String
    /// The plan of the first module.
    package let plan: EncoderPlan
    /// The modules after it.
    package let heads: [HeadConfiguration]
    /// What stands before the names of the first module's tensors: nothing, or its folder. Equal for routes that share it.
    package let scope: String

    /// A route of a model.
    package init(name: String = "", plan: EncoderPlan, heads: [HeadConfiguration], scope: String = "") {
        self.name = name
        self.plan = plan
        self.heads = heads
        self.scope = scope
    }

    /// The model's name of a tensor of the first module.
    package func name(of tensor: String) -> String { scope.isEmpty ? tensor : "\(scope).\(tensor)" }

    /// Width of the token vectors that are pooled.
    package var pooledWidth: Int {
        heads.prefix { !$0.isPooling }.reduce(plan.hiddenSize) { $1.overTokens?.outputWidth(from: $0) ?? $0 }
    }

    /// The tensors that are not trained, under the model's names.
    fileprivate var frozen: [TensorSpecification] {
        plan.frozen.map { $0.renamed(name(of: $0.name)) }
    }

    /// The tensors in the groups in which backward finishes them, under the model's names.
    fileprivate var groups: [[TensorSpecification]] {
        let own = Set(plan.tensors.map(\.name))
        return SequenceEncoder.groups(plan, heads).map { group in
            group.map { $0.renamed(own.contains($0.name) ? name(of: $0.name) : $0.name) }
        }
    }
}

/// An encoder for each route of a model. Used by one thread at a time.
package final class RoutedEncoder {
    /// Its compute settings, by default those of the process. Callers enter them around passes and around computations
    /// on their results: `encoder.compute.run { ... }`.
    package var compute = Compute.process
    /// The routes in the order of their passes.
    package let routes: [SequenceEncoder]
    /// What the encoder was made of.
    package let plans: [RoutePlan]
    /// Values and gradients of all parameters.
    package let parameters: ParameterStore
    /// The values of what is not trained; a twin shares them.
    package let fixed: ParameterStore
    /// Width of an embedding, of all routes.
    package let outputWidth: Int
    private var spare: RoutedMemory?

    /// The size of the noise that token embeddings get in training (NEFTune), on routes with layers; 0 = none.
    package var embeddingNoise: Float = 0 {
        didSet { for route in routes where route.layerCount > 0 { route.embeddingNoise = embeddingNoise } }
    }

    /// How training passes keep activations.
    package var kept = KeptActivations.fp32 { didSet { for route in routes { route.kept = kept } } }
    /// The instructions of dense products of training passes, whose operands are rounded to bf16; nil = fp32.
    package var halfProducts: HalfProducts? { didSet { for route in routes { route.halfProducts = halfProducts } } }
    /// How dense products of passes without backward and dropout are computed: evaluation, encoding, teachers.
    package var frozenProducts = DenseProducts.fp32 {
        didSet { for route in routes { route.frozenProducts = frozenProducts } }
    }

    /// Encoders with zero weights, to be set through `parameters`; those that `frozen` names are not trained, and the modules
    /// that `adapters` names have one.
    ///
    /// - Parameter fixed: the values of tables that are never trained, of an encoder of the same plans; nil = new ones.
    /// - Throws: if modules do not match each other, or routes give embeddings of different widths.
    package init(
        _ plans: [RoutePlan], frozen: Set<String> = [], adapters: [String: AdapterPlan] = [:],
        fixed: ParameterStore? = nil
    ) throws(TuttiError) {
        precondition(!plans.isEmpty, "RoutedEncoder: no route")
        precondition(adapters.isEmpty || plans.count == 1, "RoutedEncoder: adapters of several routes")
        var groups = plans.flatMap(\.groups)
        var seen: Set<String> = []
        for place in groups.indices.reversed() { groups[place].removeAll { !seen.insert($0.name).inserted } }
        var layout = ParameterLayout(adapters: adapters)
        let slices = groups.map { layout.append($0, frozen: frozen) }
        // Of several tables that are trained the largest is the one whose rows are tracked.
        let tables = plans.filter { $0.plan.frozen.isEmpty && !$0.plan.countsWords }.map {
            ($0.name(of: $0.plan.embedding.word.name), $0.plan.vocabularySize * $0.plan.hiddenSize)
        }.filter { layout.trains($0.0) }
        let parameters = ParameterStore(layout: layout, wordTable: tables.max { $0.1 < $1.1 }?.0)
        var untrained: [TensorSpecification] = []
        for tensor in plans.flatMap(\.frozen) where !untrained.contains(tensor) { untrained.append(tensor) }
        let fixed = fixed ?? ParameterStore(layout: ParameterLayout(untrained))
        var routes: [SequenceEncoder] = []
        var first = 0
        for plan in plans {
            let count = plan.groups.count
            let own = plan.scope.isEmpty ? layout : layout.renamed { plan.bareName(of: $0) }
            routes.append(
                try SequenceEncoder(
                    plan.plan, heads: plan.heads, layout: own, slices: Array(slices[first..<first + count]),
                    parameters: parameters, fixed: fixed,
                    fixedLayout: plan.scope.isEmpty ? nil : fixed.layout.renamed { plan.bareName(of: $0) }))
            first += count
        }
        for (route, plan) in zip(routes, plans) where route.outputWidth != routes[0].outputWidth {
            throw planError(
                "routes",
                "the route '\(plan.name)' gives embeddings of \(route.outputWidth) numbers, '\(plans[0].name)' of"
                    + " \(routes[0].outputWidth)",
                hint: "Only embeddings of one width can be compared: a Dense module changes the width.")
        }
        self.plans = plans
        self.routes = routes
        self.parameters = parameters
        self.fixed = fixed
        outputWidth = routes[0].outputWidth
    }

    /// An encoder of the same plans and frozen parameters, with values of its own that are still zero.
    package func makeTwin() throws(TuttiError) -> RoutedEncoder {
        try RoutedEncoder(
            plans, frozen: Set(layout.all.filter(\.isFrozen).map(\.name)), adapters: layout.adapters, fixed: fixed)
    }

    /// An encoder of the same plans, settings and values, of which these parameters alone are frozen, and these modules
    /// alone have adapters. New adapters are zero; parameters of losses are left out.
    package func remade(
        frozen: Set<String>, adapters: [String: AdapterPlan]
    ) throws(TuttiError) -> RoutedEncoder {
        let other = try RoutedEncoder(plans, frozen: frozen, adapters: adapters, fixed: fixed)
        (other.compute, other.embeddingNoise) = (compute, embeddingNoise)
        (other.kept, other.halfProducts, other.frozenProducts) = (kept, halfProducts, frozenProducts)
        for entry in other.layout.all {
            guard let own = layout.entry(named: entry.name) else { continue }
            _ = other.parameters.values(of: entry).update(fromContentsOf: parameters.values(of: own))
        }
        return other
    }

    /// An encoder of the same plans, without adapters and with nothing frozen: their products are added to the weights.
    package func merged() throws(TuttiError) -> RoutedEncoder {
        let other = try remade(frozen: [], adapters: [:])
        for (module, plan) in layout.adapters {
            let names = AdapterPlan.names(module)
            guard let a = layout.entry(named: names.a), let b = layout.entry(named: names.b),
                let weight = other.layout.entry(named: (plan.part?.module ?? module) + ".weight")
            else { continue }
            let merged = other.parameters.valueMatrix(of: weight).rows(plan.range(of: weight.shape[0]))
            compute.run {
                Gemm.multiply(
                    parameters.valueMatrix(of: b), parameters.valueMatrix(of: a), into: merged, alpha: plan.scale,
                    beta: 1)
                guard let entry = layout.entry(named: AdapterPlan.magnitudeName(module)) else { return }
                let magnitudes = parameters.values(of: entry)
                for (row, length) in parameters.lengthsOfRows(of: module, plan).enumerated() where length > 0 {
                    merged.rows(row..<row + 1).scale(by: magnitudes[row] / length)
                }
            }
        }
        return other
    }

    /// Whether any parameter of the model is trained.
    package var isTrained: Bool { routes.contains(where: \.isTrained) }

    /// The position of each parameter.
    package var layout: ParameterLayout { parameters.layout }
    /// What holds all tensors of the model: those that are trained, and the others.
    package var stores: [ParameterStore] { [parameters, fixed] }
    /// The route that costs most a token.
    private var largest: SequenceEncoder {
        routes.dropFirst().reduce(routes[0]) { $1.plan.denseParameters > $0.plan.denseParameters ? $1 : $0 }
    }
    /// The plan of the route that costs most a token.
    package var plan: EncoderPlan { largest.plan }
    /// Number of transformer layers of that route.
    package var layerCount: Int { plan.layerCount }
    /// Whether modules between layers and pooling need the last layer, on any route.
    package var worksOnTokens: Bool { routes.contains(where: \.worksOnTokens) }
    /// Maximum tokens of a sequence of that route.
    package var longestSequence: Int { plan.longestSequence }

    /// Embeds `batch` without a backward: `result` [taps * S, D], tap by tap.
    ///
    /// - Parameters:
    ///   - taps: ascending layers; nil = the last, which alone is possible with several routes.
    ///   - dropout: the masks; nil = evaluation.
    package func embed(_ batch: PackedBatch, taps: [Int]? = nil, dropout: DropoutStream? = nil, into result: Matrix) {
        takeBack(run(batch, taps, dropout, into: result, keepsActivations: false))
    }

    /// Embeds `batch`, as `embed`; the pass back-propagates a gradient of `result`.
    package func forward(
        _ batch: PackedBatch, taps: [Int]? = nil, dropout: DropoutStream?, into result: Matrix
    ) -> RoutedPass {
        RoutedPass(self, run(batch, taps, dropout, into: result, keepsActivations: true))
    }

    /// Bytes that a step over `batch` takes for activations and, in training, the scratch of its backward; a forward finds
    /// them.
    package func activationBytes(of batch: PackedBatch, isTraining: Bool = true) -> Int {
        let memory = takeMemory()
        defer { takeBack(memory) }
        memory.deal(batch)
        return routes.indices.reduce(0) {
            $0
                + routes[$1].activationBytes(
                    of: routes.count == 1 ? batch : memory.batches[$1], isTraining: isTraining)
        }
    }

    private func run(
        _ batch: PackedBatch, _ taps: [Int]?, _ dropout: DropoutStream?, into result: Matrix, keepsActivations: Bool
    ) -> RoutedMemory {
        let memory = takeMemory()
        for route in routes { memory.passes.append(route.takeMemory()) }
        if let only = routes.first, routes.count == 1 {
            only.forward(
                batch, taps ?? only.lastLayer, dropout, into: result, memory.passes[0],
                keepsActivations: keepsActivations)
            return memory
        }
        precondition(taps == nil, "RoutedEncoder: layers of a model with several routes")
        memory.deal(batch)
        for (place, route) in routes.enumerated() {
            let rows = memory.rows[place]
            let embedded = memory.arena.matrix(rows.count, outputWidth)  // [S of the route, D]
            route.forward(
                memory.batches[place], route.lastLayer, dropout, into: embedded, memory.passes[place],
                keepsActivations: keepsActivations)
            for (own, row) in rows.enumerated() { result.rows(row..<row + 1).copy(from: embedded.rows(own..<own + 1)) }
        }
        return memory
    }

    /// The backward of the pass stored in `memory`, route after route.
    fileprivate func backward(_ dEmbeddings: Matrix, _ memory: RoutedMemory, finished: (Range<Int>) -> Void) {
        if routes.count == 1 { return routes[0].backward(dEmbeddings, memory.passes[0], finished: finished) }
        for (place, route) in routes.enumerated() where route.isTrained {
            let rows = memory.rows[place]
            let own = memory.arena.matrix(rows.count, outputWidth)  // [S of the route, D]
            for (at, row) in rows.enumerated() { own.rows(at..<at + 1).copy(from: dEmbeddings.rows(row..<row + 1)) }
            route.backward(own, memory.passes[place], finished: finished)
        }
    }

    private func takeMemory() -> RoutedMemory {
        if let memory = spare {
            spare = nil
            return memory
        }
        return RoutedMemory(routes: routes.count)
    }

    /// Keeps the memory of a finished pass for the next one.
    fileprivate func takeBack(_ memory: RoutedMemory) {
        for (route, pass) in zip(routes, memory.passes) { route.takeBack(pass) }
        memory.passes.removeAll(keepingCapacity: true)
        spare = memory
    }
}

/// A forward whose activations are kept until `backward` has consumed it; its owner may back-propagate it once.
package struct RoutedPass: ~Copyable {
    private let encoder: RoutedEncoder
    private let memory: RoutedMemory

    fileprivate init(_ encoder: RoutedEncoder, _ memory: RoutedMemory) {
        self.encoder = encoder
        self.memory = memory
    }

    /// Adds the gradients of all parameters that are trained, given the gradient [taps * S, D] of the embeddings.
    ///
    /// `finished` gets each completed slice of the gradient arena once, in layout order; together they cover the arena.
    package consuming func backward(_ dEmbeddings: Matrix, finished: (Range<Int>) -> Void) {
        encoder.backward(dEmbeddings, memory, finished: finished)
    }

    deinit { encoder.takeBack(memory) }
}

/// The saved state of a pass over all routes, in memory that passes reuse.
private final class RoutedMemory {
    var passes: [PassMemory] = []
    /// The sequences of each route, and their places in the whole batch.
    var batches: [PackedBatch]
    var rows: [[Int]]
    var arena = Arena()

    init(routes: Int) {
        passes.reserveCapacity(routes)
        batches = [PackedBatch](repeating: PackedBatch(), count: routes)
        rows = [[Int]](repeating: [], count: routes)
    }

    /// Deals the sequences of `batch` to their routes.
    func deal(_ batch: PackedBatch) {
        arena.reset()
        for route in batches.indices {
            batches[route].removeAll()
            rows[route].removeAll(keepingCapacity: true)
        }
        for s in 0..<batch.sequenceCount {
            let route = Int(batch.routes[s])
            batches[route].append(sequence: s, of: batch)
            rows[route].append(s)
        }
    }
}

extension RoutePlan {
    /// The plan's name of one of the model's tensors; nil for tensors of other first modules.
    fileprivate func bareName(of tensor: String) -> String? {
        if tensor.hasPrefix(scope + ".") { return String(tensor.dropFirst(scope.count + 1)) }
        return heads.contains { $0.tensors.contains { $0.name == tensor } } ? tensor : nil
    }
}
