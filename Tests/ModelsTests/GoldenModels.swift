// The tiny model folders of Tests/Golden/models.py, put together as the reference saved them.

import Foundation
import TestSupport
import TuttiFormats
import TuttiGround

/// The folders and embeddings that Tests/Golden/models.py wrote.
enum GoldenModels {
    static let folder = Goldens.path("models")

    /// Texts that every golden embedding belongs to.
    static func texts() throws -> [String] {
        try unwrapped(JSONValue.parse(file: folder + "/texts.json").array).compactMap(\.string)
    }

    /// The reference's embeddings of the texts, row after row.
    static func embeddings(_ name: String) throws -> [Float] {
        try SafetensorsFile(path: folder + "/embeddings.safetensors").floats(name)
    }

    /// Runs `body` with a writable copy of a golden folder, files that it shares with the plain one put back.
    static func with<T>(_ name: String, _ body: (String) throws -> T) throws -> T {
        try withTemporaryDirectory { scratch in
            let model = scratch + "/model"
            let files = FileManager.default
            try files.copyItem(atPath: folder + "/" + name, toPath: model)
            let plain = folder + (name.hasPrefix("mpnet") ? "/mpnet-plain" : "/bert-plain")
            for file in try files.contentsOfDirectory(atPath: plain) where !files.fileExists(atPath: model + "/" + file)
            {
                try files.copyItem(atPath: plain + "/" + file, toPath: model + "/" + file)
            }
            return try body(model)
        }
    }

    private static func unwrapped<T>(_ value: T?) throws -> T {
        guard let value else { throw TuttiError(.data, "read goldens", folder, "not as written") }
        return value
    }
}
