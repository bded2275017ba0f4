// Some layers of a folder's transformer: their tensors under new numbers, and their count in config.json.
//
// Possible where every layer computes the same with weights of its own; in ModernBERT or Gemma a layer's number says what it
// attends to, and in ALBERT all layers are one.
//
// Reference: examples/sentence_transformer/training/distillation/model_distillation_layer_reduction.py.

import TuttiEncoders
import TuttiFormats
import TuttiGround

extension InputDirectory {
    /// Sets the number of layers in config.json; true, since it changes.
    ///
    /// Throws: `.usage` for layers that are not there.
    static func keep(_ layers: [Int], in file: inout ConfigurationFile) throws(TuttiError) -> Bool {
        let (key, count) = try EncoderSettings.known(file) { () throws(TuttiError) -> (String, Int) in
            let sizes = try EncoderFamilies.reading(file.object).init().sizes
            return (sizes.layersKey, file.object[sizes.layersKey]?.int ?? sizes.layers)
        }
        let isAscending = zip(layers, layers.dropFirst()).allSatisfy { $0 < $1 }
        guard !layers.isEmpty, isAscending, layers.allSatisfy({ (0..<count).contains($0) }) else {
            throw keepError(
                "names \(layers), expected ascending numbers of its \(count) layers, from 0 to \(count - 1)")
        }
        file.object.set(key, .integer(Int64(layers.count)))
        return true
    }

    private static func keepError(_ problem: String) -> TuttiError {
        TuttiError(.usage, "choose layers", "keep_layers", problem)
    }

    /// `file` with the layers that are kept, under their new numbers.
    ///
    /// Throws: `.usage` if the layers differ in more than their weights.
    func keptLayers(of file: TensorFile) throws(TuttiError) -> TensorFile {
        guard let keptLayers else { return file }
        let whole = try ConfigurationFile(path: configurationPath)
        let plan = try EncoderSettings.known(whole) { () throws(TuttiError) in
            try EncoderSettings.read(whole, weights: file).plan()
        }
        guard plan.layersAreAlike else {
            throw InputDirectory.keepError("names layers of \(path), whose layers are not all alike")
        }
        let numbers = Dictionary(uniqueKeysWithValues: keptLayers.enumerated().map { ("\($1)", "\($0)") })
        return try file.renamed { name in
            var parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            let place = parts.indices.dropFirst().first { Int(parts[$0]) != nil && parts[$0 - 1].hasPrefix("layer") }
            guard let place else { return name }
            guard let number = numbers[parts[place]] else { return nil }
            parts[place] = number
            return parts.joined(separator: ".")
        }
    }
}
