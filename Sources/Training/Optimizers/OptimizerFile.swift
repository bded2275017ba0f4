// An optimizer's state on disk: `optimizer.safetensors`, a tensor `<prefix>.<parameter>` each.

import TuttiEncoders
import TuttiFormats
import TuttiGround

/// What an optimizer remembers between steps: arenas in the layout of the parameters, in memory that the run keeps.
struct OptimizerState {
    /// The prefix of each arena's tensors.
    var names: [String] = []
    /// An arena for each name, zero before the first step.
    var arenas: [UnsafeMutableBufferPointer<Float>] = []

    /// Writes the state; weights that never had a gradient are written too.
    func save(to path: String, layout: ParameterLayout) throws(TuttiError) {
        var tensors: [SafetensorsWriter.Tensor] = []
        for (prefix, values) in zip(names, arenas) {
            for entry in layout.entries {
                let bytes = UnsafeRawBufferPointer(UnsafeMutableBufferPointer(rebasing: values[entry.elements]))
                tensors.append((name: "\(prefix).\(entry.name)", dtype: .f32, shape: entry.shape, bytes: bytes))
            }
        }
        try SafetensorsWriter.write(path: path, tensors: tensors)
    }

    /// Reads the state back; every tensor must be there with its shape.
    func load(from path: String, layout: ParameterLayout) throws(TuttiError) {
        let file = try SafetensorsFile(path: path)
        for (prefix, values) in zip(names, arenas) {
            for entry in layout.entries {
                let name = "\(prefix).\(entry.name)"
                guard let info = file.info(name), info.shape == entry.shape else {
                    throw TuttiError(
                        .data, "read the optimizer's state", "\(path): \(name)", "missing or of another shape",
                        hint: "The checkpoint belongs to another model or optimizer.")
                }
                try file.readFloats(name, into: UnsafeMutableBufferPointer(rebasing: values[entry.elements]))
            }
        }
    }
}
