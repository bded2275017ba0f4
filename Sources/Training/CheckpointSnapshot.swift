// Copies of what a checkpoint holds: it is written from them while training changes the originals.

import TuttiEncoders
import TuttiKernels

/// Memory for the weights and the optimizer's state at one step; rank zero keeps it from its first save on.
final class CheckpointSnapshot {
    /// The weights, those of losses among them.
    let parameters: ParameterStore
    /// The state of the optimizer, as far as the memory that was copied stores it.
    let state: OptimizerState
    private var memory = Arena()

    /// Room for copies of `original`.
    init(of original: TrainingMemory) {
        parameters = ParameterStore(layout: original.parameters.layout)
        parameters.shareFrozen(of: original.parameters)  // they do not change
        state = original.state.placed(in: &memory)
    }

    /// Copies `original` as it is now.
    func take(_ original: TrainingMemory) {
        _ = parameters.values.update(fromContentsOf: original.parameters.values)
        state.copy(original.state)
    }

    /// Megabytes that copies of `original` take.
    static func megabytes(of original: TrainingMemory) -> Int {
        (4 * original.parameters.layout.count + original.state.byteCount) >> 20
    }
}
