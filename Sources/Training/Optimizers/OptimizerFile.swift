// An optimizer's state on disk: `optimizer.safetensors`, a tensor `<prefix>.<parameter>` each.
//
// The file holds the whole state, however it is dealt to memories: any number of ranks can go on with it. Where no memory
// has all of it, all ranks write the file together: rank zero gets a few megabytes at a time.

import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels

/// What an optimizer remembers between steps: arenas in the layout of the parameters, in memory that the run keeps.
struct OptimizerState {
    /// The prefix of each arena's tensors.
    var names: [String] = []
    /// An arena for each name, zero before the first step.
    private(set) var arenas: [StateArena] = []
    /// What the optimizer keeps beside the arenas.
    private(set) var numbers: OptimizerNumbers
    private let tensorsOf: @Sendable (ParameterLayout.Entry) -> [StateTensor]
    private let whole: [ParameterLayout.Entry]
    private var placement: Placement?

    /// The state of `optimizer`, without memory yet; `runs` says what its tensors are, if it needs whole ones.
    init(_ optimizer: any Optimizer, runs: [UpdateRun]) {
        whole = runs.compactMap(\.tensor)
        names = optimizer.stateNames
        numbers = OptimizerNumbers(names: optimizer.numberNames)
        tensorsOf = optimizer.stateTensors
    }

    /// Takes the memory that an exchange has placed.
    mutating func take(_ placement: Placement) { (arenas, self.placement) = (placement.state, placement) }

    /// Whether several memories keep it together.
    var isSharded: Bool { placement?.holders.isEmpty == false }

    /// Bytes of its arenas, as far as this memory stores them.
    var byteCount: Int { arenas.reduce(0) { $0 + 4 * $1.floats.count } }

    /// The same state with its numbers and arenas in `memory`, whose contents are not copied yet.
    func placed(in memory: inout Arena) -> OptimizerState {
        var copy = self
        copy.numbers = OptimizerNumbers(names: numbers.names)
        copy.arenas = arenas.map { arena in
            let start = memory.floats(arena.floats.count)
            return StateArena(arena.stored, UnsafeMutableBufferPointer(start: start, count: arena.floats.count))
        }
        return copy
    }

    /// Takes the contents of `other`, the same state elsewhere.
    func copy(_ other: OptimizerState) {
        numbers.values = other.numbers.values
        for (arena, from) in zip(arenas, other.arenas) { _ = arena.floats.update(fromContentsOf: from.floats) }
    }

    // ---- writing -----------------------------------------------------------------------------------------------------

    /// Writes the state that this memory has all of; weights that never had a gradient are written too.
    func save(to path: String, layout: ParameterLayout) throws(TuttiError) {
        var tensors = self.tensors(layout).map { tensor in
            let bytes = UnsafeRawBufferPointer(arenas[tensor.arena][tensor.elements])
            return (name: tensor.name, dtype: TensorType.f32, shape: tensor.shape, bytes: bytes)
        }
        var failure: TuttiError?
        numberBytes.withUnsafeBytes { bytes in
            for (place, name) in numbers.names.enumerated() {
                let own = UnsafeRawBufferPointer(rebasing: bytes[(8 * place)..<(8 * place + 8)])
                tensors.append((name: name, dtype: .f64, shape: [1], bytes: own))
            }
            do throws(TuttiError) { try SafetensorsWriter.write(path: path, tensors: tensors) } catch {
                failure = error
            }
        }
        if let failure { throw failure }
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
            of: tensors.map { (name: $0.name, dtype: TensorType.f32, shape: $0.shape) }
                + numbers.names.map { (name: $0, dtype: TensorType.f64, shape: [1]) })
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
            guard place < tensors.count else {
                let own = Array(numberBytes[(8 * (place - tensors.count))...].prefix(8))
                attempt { () throws(TuttiError) in try output?.write(own) }
                continue
            }
            var left = tensors[place].elements
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

    /// Reads back the numbers that every rank keeps.
    func loadNumbers(from path: String) throws(TuttiError) {
        if numbers.names.isEmpty { return }
        let file = try SafetensorsFile(path: path)
        for (place, name) in numbers.names.enumerated() {
            let bytes = file.info(name)?.shape == [1] ? try file.rawBytes(name) : nil
            guard let bytes, bytes.count == 8 else { throw missing(name, path) }
            let bits = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
            numbers.values[place] = Double(bitPattern: bits)
        }
    }

    /// Reads back what this memory stores; every tensor must be there with its shape.
    func load(from path: String, layout: ParameterLayout) throws(TuttiError) {
        let file = try SafetensorsFile(path: path)
        for (name, place, elements, shape) in tensors(layout) {
            guard let info = file.info(name), info.shape == shape else { throw missing(name, path) }
            let arena = arenas[place]
            for chunk in arena.stored.ranges where chunk.overlaps(elements) {
                let part = chunk.clamped(to: elements)
                let first = part.lowerBound - elements.lowerBound
                try file.readFloats(name, from: first, into: arena[part])
            }
        }
    }

    private func missing(_ name: String, _ path: String) -> TuttiError {
        TuttiError(
            .data, "read the optimizer's state", "\(path): \(name)", "missing or of another shape",
            hint: "The checkpoint belongs to another model or optimizer.")
    }

    /// The numbers, little-endian.
    private var numberBytes: [UInt8] {
        numbers.values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
    }

    /// The tensors of the file: name, arena, its floats there, shape.
    private func tensors(
        _ layout: ParameterLayout
    ) -> [(name: String, arena: Int, elements: Range<Int>, shape: [Int])] {
        (whole.isEmpty ? layout.entries : whole).flatMap { entry in
            tensorsOf(entry).map { ("\($0.prefix).\(entry.name)", $0.arena, $0.elements, $0.shape) }
        }
    }
}
