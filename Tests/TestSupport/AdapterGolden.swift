// The adapters of Tests/Golden/lora.py, as folders beside their base models.

import Foundation
import TuttiFormats
import TuttiGround

/// One case of Tests/Golden/lora.
package struct AdapterGolden: Sendable, CustomStringConvertible {
    /// Its name.
    package let name: String

    /// Every case there is.
    package static let all: [AdapterGolden] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: Goldens.path("lora"))) ?? []
        return names.sorted().map { AdapterGolden(name: $0) }
    }()

    package var description: String { name }

    /// What the reference found.
    package func expected() throws -> JSONObject {
        try JSONValue.parse(file: Goldens.path("lora/\(name)/expected.json")).object ?? JSONObject()
    }

    /// Tensors that it found.
    package func tensors() throws -> SafetensorsFile {
        try SafetensorsFile(path: Goldens.path("lora/\(name)/expected.safetensors"))
    }

    /// The folder of the base model.
    package func base() throws -> String {
        Goldens.path("families/\(try expected()["family"]?.string ?? "")/model")
    }

    /// The adapter's tensors as the reference saved them.
    package func saved() throws -> SafetensorsFile {
        try SafetensorsFile(path: Goldens.path("lora/\(name)/model/adapter_model.safetensors"))
    }

    /// Makes the model folder `path`: the adapter's files, and those of its base model but for config.json and weights.
    package func make(_ path: String) throws {
        let files = FileManager.default
        try files.copyItem(atPath: try base(), toPath: path)
        for file in ["config.json", "model.safetensors"] { try files.removeItem(atPath: path + "/" + file) }
        let own = Goldens.path("lora/\(name)/model")
        try files.copyItem(
            atPath: own + "/adapter_model.safetensors", toPath: path + "/adapter_model.safetensors")
        let settings = try String(contentsOfFile: own + "/adapter_config.json", encoding: .utf8)
        try settings.replacing("\"BASE\"", with: "\"\(try base())\"")
            .write(toFile: path + "/adapter_config.json", atomically: true, encoding: .utf8)
    }
}
