// A tiny model whose feed-forwards are so wide that its parameters take several of the chunks that exchanges deal.

import Foundation
import TuttiFormats
import TuttiGround

/// The golden model bert-adamw with wider feed-forwards.
package enum WideModel {
    /// Inner width: some 270,000 parameters, five chunks.
    package static let inner = 2048

    /// Makes its folder below `directory` and returns its path.
    package static func make(in directory: String) throws -> String {
        let (source, folder) = (Goldens.path("training/bert-adamw/model"), directory + "/wide")
        try FileManager.default.copyItem(atPath: source, toPath: folder)
        let path = folder + "/config.json"
        let config = try String(contentsOfFile: path, encoding: .utf8)
        try AtomicWrite.file(
            path: path,
            text: config.replacingOccurrences(of: "\"intermediate_size\": 64", with: "\"intermediate_size\": \(inner)"))
        let file = try SafetensorsFile(path: source + "/model.safetensors")
        var random = TinyRandom(7)
        let tensors = try file.tensors.map { info -> (name: String, shape: [Int], values: [Float]) in
            var shape = info.shape
            if info.name.contains("intermediate.dense") { shape[0] = inner }
            if info.name.hasSuffix(".output.dense.weight"), !info.name.contains("attention") { shape[1] = inner }
            let values =
                shape == info.shape
                ? try file.floats(info.name) : random.floats(shape.reduce(1, *), scale: 0.03)
            return (info.name, shape, values)
        }
        let start = SafetensorsWriter.start(of: tensors.map { ($0.name, .f32, $0.shape) })
        try AtomicWrite.file(path: folder + "/model.safetensors") { output throws(TuttiError) in
            try output.write(start.header)
            for place in start.order { try output.write(tensors[place].values.withUnsafeBytes { [UInt8]($0) }) }
        }
        return folder
    }
}
