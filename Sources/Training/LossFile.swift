// The parameters that losses own on disk: `loss.safetensors`, beside every saved model, under the reference's names.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround

/// Keeps what losses have learned.
enum LossFile {
    static let name = "loss.safetensors"

    /// Writes `loss.safetensors` into `directory`, unless no loss owns anything.
    static func save(to directory: String, from store: ParameterStore) throws(TuttiError) {
        let entries = store.layout.entries.filter { $0.owner == .loss }
        if entries.isEmpty { return }
        try SafetensorsWriter.write(
            path: directory + "/" + name,
            tensors: entries.map { ($0.name, .f32, $0.shape, UnsafeRawBufferPointer(store.values(of: $0))) })
    }

    /// Reads it back; every tensor must be there with its shape.
    static func load(from directory: String, into store: ParameterStore) throws(TuttiError) {
        let entries = store.layout.entries.filter { $0.owner == .loss }
        if entries.isEmpty { return }
        let file = try SafetensorsFile(path: directory + "/" + name)
        for entry in entries {
            guard let info = file.info(entry.name), info.shape == entry.shape else {
                throw TuttiError(
                    .data, "read the loss's parameters", "\(file.path): \(entry.name)", "missing or of another shape",
                    hint: "The checkpoint belongs to another loss.")
            }
            try file.readFloats(entry.name, into: store.values(of: entry))
        }
    }
}
