// The position of every parameter in the arenas of values, gradients and optimizer state (ARCHITECTURE.md, decision 3).
//
// Parameters are ordered by when backward finishes their gradients, so that a finished layer is one contiguous range that
// an all-reduce can use without copies. Ranges are 64-byte aligned; the padding between them stays zero.
//
// Frozen parameters have places in an arena of their own, of values alone. What is counted, exchanged and updated is what
// is trained, so that nobody else has to know of them.

/// The order, position and role of every parameter.
package struct ParameterLayout: Sendable, Equatable {
    /// The owner of a parameter.
    package enum Owner: Sendable, Equatable {
        /// The encoder and its heads.
        case model
        /// A loss function.
        case loss
    }

    /// One parameter tensor.
    package struct Entry: Sendable, Equatable {
        /// The checkpoint's name of the tensor.
        package let name: String
        /// Its shape, as in the checkpoint.
        package let shape: [Int]
        /// Its floats in an arena, including padding: both ends are multiples of 16. A frozen one has them in the arena
        /// of frozen values.
        package let range: Range<Int>
        /// Its owner.
        package let owner: Owner
        /// Whether weight decay applies to it.
        package let decays: Bool
        /// Whether it is not trained: it has neither gradient nor optimizer state.
        package var isFrozen = false

        /// Floats of the tensor, without padding.
        package var elementCount: Int { shape.reduce(1, *) }
        /// The tensor's own floats in an arena, without padding.
        package var elements: Range<Int> { range.lowerBound..<range.lowerBound + elementCount }
        /// One of `count` equal parts of it, in the order of its rows, as a tensor of its own; the last one has the padding.
        package func part(_ index: Int, of count: Int) -> Entry {
            let (rows, own) = ((shape.first ?? 0) / count, elementCount / count)
            let start = range.lowerBound + index * own
            return Entry(
                name: "\(name).\(index)", shape: [rows] + shape.dropFirst(),
                range: start..<(index == count - 1 ? range.upperBound : start + own), owner: owner, decays: decays,
                isFrozen: isFrozen)
        }
        /// The tensor.
        package var specification: TensorSpecification { TensorSpecification(name, shape, decays: decays) }
    }

    /// Floats between the starts that a tensor may have: 64 bytes.
    static let alignment = 16

    /// All parameters, the frozen ones among the others, in the order in which backward finishes or would finish them.
    package private(set) var all: [Entry] = []
    /// The parameters that are trained, in the order in which backward finishes them.
    package private(set) var entries: [Entry] = []
    /// Floats of an arena.
    package private(set) var count = 0
    /// Floats of the model's own parameters, which come first.
    package private(set) var modelCount = 0
    /// Floats of the arena of frozen values.
    package private(set) var frozenCount = 0
    /// The low-rank adapters, by the names of what they belong to: dense modules, or parts of them.
    package let adapters: [String: AdapterPlan]
    private let adapterNames: [String: [String]]  // by modules
    private var places: [String: Int] = [:]  // among all

    /// A layout without parameters, of a model with these adapters.
    package init(adapters: [String: AdapterPlan] = [:]) {
        self.adapters = adapters
        adapterNames = Dictionary(grouping: adapters.keys) { adapters[$0]?.part?.module ?? $0 }
            .mapValues { names in names.sorted { (adapters[$0]?.part?.index ?? 0) < (adapters[$1]?.part?.index ?? 0) } }
    }

    /// A layout of these tensors of a model.
    package init(_ tensors: [TensorSpecification]) {
        self.init()
        for tensor in tensors { append(tensor) }
    }

    /// The adapters of a module of the plan, and of its parts.
    func adapters(of module: String) -> [(name: String, plan: AdapterPlan)] {
        (adapterNames[module] ?? []).compactMap { name in adapters[name].map { (name, $0) } }
    }

    /// The floats of the parameters that losses own, including alignment; empty if there are none.
    package var lossRange: Range<Int> { modelCount..<count }

    /// The same model with other loss parameters after its own, starting at a multiple of `alignment` floats.
    package func withLossParameters(_ tensors: [TensorSpecification], alignment: Int) -> ParameterLayout {
        var layout = ParameterLayout(adapters: adapters)
        for entry in all where entry.owner == .model {
            layout.append(entry.specification, isFrozen: entry.isFrozen)
        }
        if !tensors.isEmpty { layout.count = (layout.count + alignment - 1) / alignment * alignment }
        for tensor in tensors { layout.append(tensor, owner: .loss) }
        return layout
    }

    /// The same places under other names; entries without one are left out.
    ///
    /// Adapters keep their names: only a model of one route has any.
    func renamed(_ name: (String) -> String?) -> ParameterLayout {
        var layout = ParameterLayout(adapters: adapters)
        (layout.count, layout.modelCount, layout.frozenCount) = (count, modelCount, frozenCount)
        for entry in all {
            guard let name = name(entry.name) else { continue }
            layout.add(
                Entry(
                    name: name, shape: entry.shape, range: entry.range, owner: entry.owner, decays: entry.decays,
                    isFrozen: entry.isFrozen))
        }
        return layout
    }

    /// The entry with this name.
    package func entry(named name: String) -> Entry? { places[name].map { all[$0] } }

    /// Whether a parameter of this name is trained.
    func trains(_ name: String) -> Bool { entry(named: name).map { !$0.isFrozen } ?? false }

    /// Whether any of these tensors, or of their adapters', is trained.
    func trains(_ tensors: [TensorSpecification]) -> Bool { withAdapters(tensors).contains { trains($0.name) } }

    /// Tensors, and those of the adapters of their modules.
    func withAdapters(_ tensors: [TensorSpecification]) -> [TensorSpecification] {
        guard !adapters.isEmpty else { return tensors }
        return tensors
            + tensors.flatMap { tensor -> [TensorSpecification] in
                guard tensor.name.hasSuffix(".weight") else { return [] }
                return adapters(of: String(tensor.name.dropLast(".weight".count)))
                    .flatMap { $0.plan.tensors($0.name, weight: tensor.shape) }
            }
    }

    /// Appends a parameter; its name must be new.
    package mutating func append(_ tensor: TensorSpecification, owner: Owner = .model, isFrozen: Bool = false) {
        precondition(places[tensor.name] == nil, "ParameterLayout: duplicate '\(tensor.name)'")
        let elements = tensor.shape.reduce(1, *)
        let padded = (elements + Self.alignment - 1) / Self.alignment * Self.alignment
        let start = isFrozen ? frozenCount : count
        add(
            Entry(
                name: tensor.name, shape: tensor.shape, range: start..<start + padded, owner: owner,
                decays: tensor.decays, isFrozen: isFrozen))
        if isFrozen {
            frozenCount += padded
            return
        }
        count += padded
        if owner == .model { modelCount = count }
    }

    /// Appends parameters of the model and of their adapters; returns the floats of those that are trained.
    mutating func append(_ tensors: [TensorSpecification], frozen: Set<String> = []) -> Range<Int> {
        let start = count
        for tensor in withAdapters(tensors) { append(tensor, isFrozen: frozen.contains(tensor.name)) }
        return start..<count
    }

    private mutating func add(_ entry: Entry) {
        places[entry.name] = all.count
        all.append(entry)
        if !entry.isFrozen { entries.append(entry) }
    }

    /// The reference's no-decay rule on the lower-cased name: bias|layernorm|rmsnorm|(^|\.)norm($|\.)|_norm($|\.). It has
    /// another one for all tensors of nn.LayerNorm.
    package static func isExcludedFromDecay(_ name: String) -> Bool {
        let name = name.lowercased()
        if ["bias", "layernorm", "rmsnorm"].contains(where: { occurs($0, in: name) }) { return true }
        return name.split(separator: ".", omittingEmptySubsequences: false).contains {
            $0 == "norm" || $0.hasSuffix("_norm")
        }
    }

    private static func occurs(_ word: String, in text: String) -> Bool {
        let (word, text) = (Array(word.utf8), Array(text.utf8))
        guard word.count <= text.count else { return false }
        return (0...text.count - word.count).contains { text[$0..<$0 + word.count].elementsEqual(word) }
    }
}

/// A tensor that a model reads from its checkpoint.
package struct TensorSpecification: Sendable, Equatable {
    /// The checkpoint's name.
    package private(set) var name: String
    /// The shape that it must have.
    package let shape: [Int]
    /// Whether weight decay applies to it: not to those of norms, and not to those whose names the reference's rule means.
    package let decays: Bool

    /// A tensor of this name and shape.
    package init(_ name: String, _ shape: [Int], isOfNorm: Bool = false) {
        self.init(name, shape, decays: !isOfNorm && !ParameterLayout.isExcludedFromDecay(name))
    }

    init(_ name: String, _ shape: [Int], decays: Bool) {
        (self.name, self.shape, self.decays) = (name, shape, decays)
    }

    /// The same tensor under another name.
    package func renamed(_ name: String) -> TensorSpecification {
        var other = self
        other.name = name
        return other
    }
}
