// A new static embedding model: a tokenizer, and a table of random vectors that training gives a meaning.
//
// Numbers are drawn from the standard normal distribution, as torch.nn.EmbeddingBag begins, and are a function of the
// seed. Reference: StaticEmbedding(tokenizer, embedding_dim=...) in sentence_transformers.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiText

/// Makes the folder of a static embedding model that is not trained yet.
package enum StaticModel {
    /// Writes a model folder `path` with the tokenizer of `source`, a tokenizer.json or a folder that holds one, and a
    /// table of vectors of `dimension` numbers. Returns the number of its rows.
    ///
    /// Throws: `.usage` if `path` is there already; `.missingFile` and `.data` for a tokenizer that cannot be used;
    /// `.retryable` naming the file that cannot be written.
    package static func make(
        _ path: String, tokenizer source: String, dimension: Int, seed: UInt64
    ) throws -> Int {
        precondition(dimension >= 1, "StaticModel: \(dimension) dimensions")
        guard !FileManager.default.fileExists(atPath: path) else {
            throw TuttiError(
                .usage, "make a static model", path, "is there already", hint: "Choose another folder, or remove it.")
        }
        var isDirectory: ObjCBool = false
        let isFolder =
            FileManager.default.fileExists(atPath: source, isDirectory: &isDirectory) && isDirectory.boolValue
        let tokenizer = try Tokenizer.load(file: isFolder ? source + "/tokenizer.json" : source)
        let rows = Int(tokenizer.largestID) + 1
        var values = [Float](repeating: 0, count: rows * dimension)
        for row in 0..<rows {
            var random = CounterRandom(seed: seed, stream: UInt64(row))
            for place in row * dimension..<(row + 1) * dimension { values[place] = Float(random.normal()) }
        }
        let module: JSONObject = [
            "idx": .integer(0), "name": .string("0"), "path": .string(""),
            "type": .string("sentence_transformers.models.StaticEmbedding"),
        ]
        try AtomicWrite.directory(finalPath: path) { folder in
            try AtomicWrite.file(
                path: folder + "/modules.json", text: JSONValue.array([.object(module)]).serialized(indent: 2))
            for (name, bytes) in tokenizer.files { try AtomicWrite.file(path: folder + "/" + name, bytes: bytes) }
            try values.withUnsafeBytes { bytes in
                try SafetensorsWriter.write(
                    path: folder + "/model.safetensors",
                    tensors: [(StaticEmbedding.table, .f32, [rows, dimension], bytes)])
            }
        }
        return rows
    }
}
