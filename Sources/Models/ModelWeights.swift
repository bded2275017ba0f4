// The tensors of a model folder: which of them are parameters, and their way into the parameter arena and back.
//
// What: the transformer's file and one file for each head with weights. A tensor whose canonical name is in the layout
// is a parameter; all others (a pooler, position ids) stay mapped and are written back byte for byte. Names and order
// in the files are the checkpoint's own. Parameters are single precision in memory and on disk.
//
// Reference: safetensors README; transformers/modeling_utils.py for the prefixes and LayerNorm.gamma/beta.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround

/// The weight files of one model folder.
struct ModelWeights: Sendable {
    /// One weight file of the folder.
    struct Part: Sendable {
        /// The folder inside the model folder, "" for the transformer's.
        let folder: String
        /// The mapped file.
        let file: SafetensorsFile
        /// Layout names by tensor name, for the tensors that are parameters.
        let parameters: [String: String]
    }

    /// The transformer's part first.
    let parts: [Part]

    /// Opens the weight files of `root`, whose transformer is in `transformerPath`, and finds the parameters.
    ///
    /// Throws: `.missingFile` for a missing file with a remedy; `.data` for missing tensors and wrong shapes.
    init(
        root: String, transformerPath: String, modules: [PlacedModule], family: any EncoderFamily.Type,
        layout: ParameterLayout
    ) throws(TuttiError) {
        var parts = [
            try ModelWeights.part(folder: "", try ModelWeights.file(in: transformerPath), layout: layout) {
                family.canonicalName($0)
            }
        ]
        for placed in modules where placed.module.hasWeights {
            parts.append(
                try ModelWeights.part(
                    folder: placed.folder, try ModelWeights.file(in: root + "/" + placed.folder), layout: layout
                ) { placed.folder + "." + $0 })
        }
        self.parts = parts
        let found = Set(parts.flatMap(\.parameters.values))
        let missing = layout.entries.map(\.name).filter { !found.contains($0) }
        guard missing.isEmpty else {
            let some = missing.sorted().prefix(3).map { "'\($0)'" }.joined(separator: ", ")
            throw TuttiError(
                .data, "read weights", parts[0].file.path,
                "\(missing.count) of \(layout.entries.count) tensors are missing: \(some)"
                    + (missing.count > 3 ? " ..." : ""),
                hint: "Are config.json and the weights of the same model?")
        }
    }

    /// Fills the parameters of `store` from the files.
    ///
    /// Throws: `.data` naming the tensor and the place of the first number that is not finite.
    func load(into store: ParameterStore) throws(TuttiError) {
        for part in parts {
            for info in part.file.tensors {
                guard let name = part.parameters[info.name], let entry = store.layout.entry(named: name) else {
                    continue
                }
                let values = store.values(of: entry)
                try part.file.readFloats(info.name, into: values)
                guard let place = values.firstNonFinite else { continue }
                throw part.file.tensorError(
                    info,
                    "holds \(values[place]) at \(ModelWeights.index(of: place, in: info.shape)), which is not finite")
            }
            part.file.files.forEach { $0.releasePages() }  // kept for what is no parameter: seldom needed again
        }
    }

    /// Writes every file below `directory` with the values of `store`.
    ///
    /// Throws: `.retryable` naming the file that cannot be written.
    func save(to directory: String, from store: ParameterStore) throws(TuttiError) {
        for part in parts {
            var tensors: [SafetensorsWriter.Tensor] = []
            for info in part.file.tensors {
                if let name = part.parameters[info.name], let entry = store.layout.entry(named: name) {
                    tensors.append((info.name, .f32, info.shape, UnsafeRawBufferPointer(store.values(of: entry))))
                } else {
                    tensors.append((info.name, info.dtype, info.shape, try part.file.rawBytes(info.name)))
                }
            }
            let path = part.folder.isEmpty ? directory : directory + "/" + part.folder
            let metadata = part.file.metadata.isEmpty ? ["format": "pt"] : part.file.metadata
            try SafetensorsWriter.write(path: path + "/model.safetensors", tensors: tensors, metadata: metadata)
        }
    }

    /// The weight file of a folder, header checked.
    ///
    /// Throws: `.missingFile` with a remedy; `.data` for anything malformed.
    static func file(in folder: String) throws(TuttiError) -> SafetensorsFile {
        try refuseTorchPickle(folder)
        return try SafetensorsFile.open(directory: folder)
    }

    private static func part(
        folder: String, _ file: SafetensorsFile, layout: ParameterLayout, canonicalName: (String) -> String
    ) throws(TuttiError) -> Part {
        var parameters: [String: String] = [:]
        var owners: [String: String] = [:]
        for info in file.tensors {
            let name = canonicalName(info.name)
            guard let entry = layout.entry(named: name) else { continue }
            if let other = owners.updateValue(info.name, forKey: name) {
                throw file.tensorError(info, "is the same parameter as '\(other)'")
            }
            guard info.shape == entry.shape else {
                throw file.tensorError(info, "has the shape \(info.shape), where config.json asks for \(entry.shape)")
            }
            parameters[info.name] = name
        }
        return Part(folder: folder, file: file, parameters: parameters)
    }

    /// A folder that has its weights only as a Python pickle cannot be read; says how to convert it.
    private static func refuseTorchPickle(_ path: String) throws(TuttiError) {
        let files = FileManager.default
        for name in ["model.safetensors", "model.safetensors.index.json"]
        where files.fileExists(atPath: path + "/" + name) {
            return
        }
        for name in ["pytorch_model.bin", "pytorch_model.bin.index.json"]
        where files.fileExists(atPath: path + "/" + name) {
            throw TuttiError(
                .missingFile, "read weights", path + "/model.safetensors",
                "the folder holds its weights only as \(name), a Python pickle, which is not read",
                hint:
                    "Convert it where sentence-transformers is installed: "
                    + "python3 -c 'from sentence_transformers import "
                    + "SentenceTransformer as S; S(\"FOLDER\").save_pretrained(\"NEW\")'.")
        }
    }

    /// The index of element `place` in a tensor of `shape`.
    private static func index(of place: Int, in shape: [Int]) -> String {
        var rest = place
        var index: [Int] = []
        for size in shape.reversed() {
            index.insert(rest % size, at: 0)
            rest /= size
        }
        return "\(index)"
    }
}
