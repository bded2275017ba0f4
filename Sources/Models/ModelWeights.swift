// The tensors of a model folder: which of them are parameters, and their way into the parameter arena and back.
//
// What: the file of each first module and one for each head with weights. A tensor whose canonical name is in the layout
// is a parameter; others that belong to the encoder (a pooler, position ids) stay mapped and are written back byte for
// byte. What a checkpoint of a larger class holds besides the encoder (a language model's head), and second names of one
// parameter, are not written. Names and order in the files are the checkpoint's own. Parameters are single precision in
// memory and on disk, and what is written is safetensors.
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
        /// The folder inside the model folder, "" for the root.
        let folder: String
        /// The mapped file.
        let file: TensorFile
        /// Layout names by tensor name, for the tensors that are parameters.
        let parameters: [String: String]
        /// The tensors that are not written back.
        let dropped: Set<String>
        /// Whether the file is of a larger class, whose other tensors are among them.
        let isOfLargerClass: Bool
    }

    /// The first modules' parts first.
    let parts: [Part]

    /// Finds the parameters in `first`, the weights of the first modules of `directory`, whose families these are, and in
    /// the weight files of the `modules` after them, which `open` gives. `layouts` are those of the trained parameters and
    /// of what is not trained.
    ///
    /// Throws: `.missingFile` for a missing file with a remedy; `.data` for missing tensors and wrong shapes.
    init(
        _ directory: ModelDirectory, first: [TensorFile], modules: [PlacedModule], families: [any EncoderFamily.Type],
        layouts: [ParameterLayout], open: (PlacedModule) throws(TuttiError) -> TensorFile
    ) throws(TuttiError) {
        var parts: [Part] = []
        for (place, file) in first.enumerated() {
            let (family, scope) = (families[place], directory.inputs[place].scope)
            parts.append(
                try ModelWeights.part(folder: directory.inputs[place].savedFolder, file, layouts, of: family) {
                    scope.isEmpty ? family.canonicalName($0) : scope + "." + family.canonicalName($0)
                })
        }
        for placed in modules where placed.module.hasWeights {
            parts.append(
                try ModelWeights.part(folder: placed.folder, try open(placed), layouts) { placed.folder + "." + $0 })
        }
        self.parts = parts
        let found = Set(parts.flatMap(\.parameters.values))
        let names = layouts.flatMap(\.all).map(\.name)
        let missing = names.filter { !found.contains($0) }
        guard missing.isEmpty else {
            let some = missing.sorted().prefix(3).map { "'\($0)'" }.joined(separator: ", ")
            throw TuttiError(
                .data, "read weights", parts[0].file.path,
                "\(missing.count) of \(names.count) tensors are missing: \(some)"
                    + (missing.count > 3 ? " ..." : ""),
                hint: "Are config.json and the weights of the same model?")
        }
    }

    /// Fills the parameters of the stores from the files.
    ///
    /// Throws: `.data` naming the tensor and the place of the first number that is not finite.
    func load(into stores: [ParameterStore]) throws(TuttiError) { try load(parts, into: stores) }

    /// The same of the modules after the first, from their files in another folder of the same model.
    ///
    /// Throws: as `load`; `.missingFile`.
    func loadModules(of directory: String, into stores: [ParameterStore]) throws(TuttiError) {
        var others: [Part] = []
        for part in parts.dropFirst() {
            others.append(
                Part(
                    folder: part.folder, file: try TensorFile.open(directory: directory + "/" + part.folder),
                    parameters: part.parameters, dropped: part.dropped, isOfLargerClass: false))
        }
        try load(others, into: stores)
    }

    private func load(_ parts: [Part], into stores: [ParameterStore]) throws(TuttiError) {
        for part in parts {
            for info in part.file.tensors {
                guard let name = part.parameters[info.name], let values = ModelWeights.values(name, in: stores) else {
                    continue
                }
                try part.file.readFloats(info.name, into: values)
                guard let place = values.firstNonFinite else { continue }
                throw part.file.tensorError(
                    info,
                    "holds \(values[place]) at \(ModelWeights.index(of: place, in: info.shape)), which is not finite")
            }
            part.file.files.forEach { $0.releasePages() }  // kept for what is no parameter: seldom needed again
        }
    }

    /// The values of the parameter called `name`.
    static func values(_ name: String, in stores: [ParameterStore]) -> UnsafeMutableBufferPointer<Float>? {
        for store in stores { if let entry = store.layout.entry(named: name) { return store.values(of: entry) } }
        return nil
    }

    /// Writes every file below `directory` with the values of the stores; `withInput` = that of the first module too.
    ///
    /// Throws: `.retryable` naming the file that cannot be written.
    func save(to directory: String, from stores: [ParameterStore], withInput: Bool = true) throws(TuttiError) {
        for part in withInput ? parts[...] : parts.dropFirst() where !part.file.tensors.isEmpty {
            var tensors: [SafetensorsWriter.Tensor] = []
            for info in part.file.tensors where !part.dropped.contains(info.name) {
                if let name = part.parameters[info.name], let values = ModelWeights.values(name, in: stores) {
                    tensors.append((info.name, .f32, info.shape, UnsafeRawBufferPointer(values)))
                } else {
                    tensors.append((info.name, info.dtype, info.shape, try part.file.rawBytes(info.name)))
                }
            }
            let path = part.folder.isEmpty ? directory : directory + "/" + part.folder
            let metadata = part.file.metadata.isEmpty ? ["format": "pt"] : part.file.metadata
            try SafetensorsWriter.write(path: path + "/model.safetensors", tensors: tensors, metadata: metadata)
        }
    }

    /// Sorts the tensors of `file` by what they are; `family` is that of an encoder, whose tensors larger classes hold too.
    private static func part(
        folder: String, _ file: TensorFile, _ layouts: [ParameterLayout], of family: (any EncoderFamily.Type)? = nil,
        canonicalName: (String) -> String
    ) throws(TuttiError) -> Part {
        var parameters: [String: String] = [:]
        var owners: [String: TensorFile.TensorInfo] = [:]
        var dropped: Set<String> = []
        for info in file.tensors {
            let name = canonicalName(info.name)
            guard let entry = layouts.lazy.compactMap({ $0.entry(named: name) }).first else { continue }
            guard info.shape == entry.shape else {
                throw file.tensorError(info, "has the shape \(info.shape), where config.json asks for \(entry.shape)")
            }
            if let other = owners[name] {
                guard try file.holdsTheSame(info, other) else {
                    throw file.tensorError(info, "is the same parameter as '\(other.name)'")
                }
                dropped.insert(info.name)
            } else {
                owners[name] = info
                parameters[info.name] = name
            }
        }
        let others = file.tensors.map(\.name).filter { parameters[$0] == nil && !dropped.contains($0) }
        let prefix = family?.checkpointPrefixes.first { prefix in parameters.keys.contains { $0.hasPrefix(prefix) } }
        let foreign = others.filter { name in
            prefix.map { !name.hasPrefix($0) } ?? false
                || family?.foreignPrefixes.contains { name.hasPrefix($0) } ?? false
        }
        return Part(
            folder: folder, file: file, parameters: parameters, dropped: dropped.union(foreign),
            isOfLargerClass: !foreign.isEmpty)
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
