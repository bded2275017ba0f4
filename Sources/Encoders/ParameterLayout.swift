// The position of every parameter in the arenas of values, gradients and optimizer state (ARCHITECTURE.md, decision 3).
//
// Parameters are ordered by when backward finishes their gradients, so that a finished layer is one contiguous range that
// an all-reduce can use without copies. Ranges are 64-byte aligned; the padding between them stays zero. Everything
// in a layout is trained: frozen parameters have their own layout and store without gradients.

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
        /// Its floats in an arena, including padding: both ends are multiples of 16.
        package let range: Range<Int>
        /// Its owner.
        package let owner: Owner
        /// Whether weight decay applies to it (the reference's name rule).
        package let decays: Bool

        /// Floats of the tensor, without padding.
        package var elementCount: Int { shape.reduce(1, *) }
        /// The tensor's own floats in an arena, without padding.
        package var elements: Range<Int> { range.lowerBound..<range.lowerBound + elementCount }
    }

    /// Floats between the starts that a tensor may have: 64 bytes.
    static let alignment = 16

    /// The parameters, in the order in which backward finishes them.
    package private(set) var entries: [Entry] = []
    /// Floats of an arena.
    package private(set) var count = 0
    /// Floats of the model's own parameters, which come first.
    package private(set) var modelCount = 0
    private var places: [String: Int] = [:]

    /// A layout without parameters.
    package init() {}

    /// The floats of the parameters that losses own, including alignment; empty if there are none.
    package var lossRange: Range<Int> { modelCount..<count }

    /// The same model with other loss parameters after its own, starting at a multiple of `alignment` floats.
    package func withLossParameters(_ tensors: [TensorSpecification], alignment: Int) -> ParameterLayout {
        var layout = ParameterLayout()
        for entry in entries where entry.owner == .model { layout.append(TensorSpecification(entry.name, entry.shape)) }
        if !tensors.isEmpty { layout.count = (layout.count + alignment - 1) / alignment * alignment }
        for tensor in tensors { layout.append(tensor, owner: .loss) }
        return layout
    }

    /// The same places under other names; entries without one are left out.
    func renamed(_ name: (String) -> String?) -> ParameterLayout {
        var layout = ParameterLayout()
        (layout.count, layout.modelCount) = (count, modelCount)
        for entry in entries {
            guard let name = name(entry.name) else { continue }
            layout.places[name] = layout.entries.count
            layout.entries.append(
                Entry(name: name, shape: entry.shape, range: entry.range, owner: entry.owner, decays: entry.decays))
        }
        return layout
    }

    /// The entry with this name.
    package func entry(named name: String) -> Entry? { places[name].map { entries[$0] } }

    /// Appends a parameter; its name must be new.
    package mutating func append(_ tensor: TensorSpecification, owner: Owner = .model) {
        precondition(places[tensor.name] == nil, "ParameterLayout: duplicate '\(tensor.name)'")
        let elements = tensor.shape.reduce(1, *)
        let padded = (elements + Self.alignment - 1) / Self.alignment * Self.alignment
        places[tensor.name] = entries.count
        entries.append(
            Entry(
                name: tensor.name, shape: tensor.shape, range: count..<count + padded, owner: owner,
                decays: !Self.isExcludedFromDecay(tensor.name)))
        count += padded
        if owner == .model { modelCount = count }
    }

    /// Appends parameters of the model; returns their range of floats.
    mutating func append(_ tensors: [TensorSpecification]) -> Range<Int> {
        let start = count
        for tensor in tensors { append(tensor) }
        return start..<count
    }

    /// The reference's no-decay rule on the lower-cased name: bias|layernorm|rmsnorm|(^|\.)norm($|\.)|_norm($|\.).
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
    package let name: String
    /// The shape that it must have.
    package let shape: [Int]

    /// A tensor of this name and shape.
    package init(_ name: String, _ shape: [Int]) {
        self.name = name
        self.shape = shape
    }
}
