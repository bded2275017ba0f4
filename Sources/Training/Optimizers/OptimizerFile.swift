// An optimizer's state on disk: `optimizer.safetensors`, a tensor `<prefix>.<parameter>` each.
//
// The file holds the whole state, however it is dealt to memories: any number of ranks can go on with it. Where no memory
// has all of it, all ranks write the file together: rank zero gets a few megabytes at a time.

import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround

/// What an optimizer remembers between steps: arenas in the layout of the parameters, in memory that the run keeps.
struct OptimizerState {
    /// The prefix of each arena's tensors.
    var names: [String] = []
    /// An arena for each name, zero before the first step.
    private(set) var arenas: [StateArena] = []
    private var placement: Placement?

    /// State of these names, without memory yet.
    init(names: [String]) { self.names = names }

    /// Takes the memory that an exchange has placed.
    mutating func take(_ placement: Placement) { (arenas, self.placement) = (placement.state, placement) }

    /// Whether several memories keep it together.
    var isSharded: Bool { placement?.holders.isEmpty == false }

    // ---- writing -----------------------------------------------------------------------------------------------------

    /// Writes the state that this memory has all of; weights that never had a gradient are written too.
    func save(to path: String, layout: ParameterLayout) throws(TuttiError) {
        let tensors = self.tensors(layout).map { tensor in
            let bytes = UnsafeRawBufferPointer(arenas[tensor.arena][tensor.entry.elements])
            return (name: tensor.name, dtype: TensorType.f32, shape: tensor.entry.shape, bytes: bytes)
        }
        try SafetensorsWriter.write(path: path, tensors: tensors)
    }

    /// Writes the state that several memories keep together to a file on rank zero: the same bytes as `save`, but not
    /// atomically. Collective.
    ///
    /// - Throws: on every rank what writing threw on rank zero.
    func saveTogether(to path: String, layout: ParameterLayout, among ensemble: any Ensemble) throws {
        guard let placement, let ensemble = ensemble as? any MessagePassing else {
            preconditionFailure("OptimizerState: not placed, or sharded among ranks that cannot send messages")
        }
        let gathering = StateGathering(placement, among: ensemble)
        let tensors = self.tensors(layout)
        let start = SafetensorsWriter.start(
            of: tensors.map { (name: $0.name, dtype: TensorType.f32, shape: $0.entry.shape) })
        var output: OutputFile?
        var failure: TuttiError?
        // Rank zero goes on gathering when it cannot write: the others send anyway.
        func attempt(_ body: () throws(TuttiError) -> Void) {
            guard ensemble.isRoot, failure == nil else { return }
            do throws(TuttiError) { try body() } catch { failure = error }
        }
        attempt { () throws(TuttiError) in
            output = try OutputFile(path: path)
            try output?.write(start.header)
        }
        for place in start.order {
            var left = tensors[place].entry.elements
            while !left.isEmpty {
                let part = left.prefix(StateGathering.most)
                let floats = try gathering.gather(part, of: tensors[place].arena)
                attempt { () throws(TuttiError) in try output?.write(UnsafeRawBufferPointer(floats)) }
                left = part.upperBound..<left.upperBound
            }
        }
        attempt { () throws(TuttiError) in try output?.finish() }
        try ensemble.onRoot { if let failure { throw failure } }
    }

    // ---- reading -----------------------------------------------------------------------------------------------------

    /// Reads back what this memory stores; every tensor must be there with its shape.
    func load(from path: String, layout: ParameterLayout) throws(TuttiError) {
        let file = try SafetensorsFile(path: path)
        for (name, place, entry) in tensors(layout) {
            guard let info = file.info(name), info.shape == entry.shape else {
                throw TuttiError(
                    .data, "read the optimizer's state", "\(path): \(name)", "missing or of another shape",
                    hint: "The checkpoint belongs to another model or optimizer.")
            }
            let (elements, arena) = (entry.elements, arenas[place])
            for chunk in arena.stored.ranges where chunk.overlaps(elements) {
                let part = chunk.clamped(to: elements)
                let first = part.lowerBound - elements.lowerBound
                try file.readFloats(name, from: first, into: arena[part])
            }
        }
    }

    /// The tensors of the file: name, arena, parameter.
    private func tensors(_ layout: ParameterLayout) -> [(name: String, arena: Int, entry: ParameterLayout.Entry)] {
        names.indices.flatMap { arena in
            layout.entries.map { (name: "\(names[arena]).\($0.name)", arena: arena, entry: $0) }
        }
    }
}
