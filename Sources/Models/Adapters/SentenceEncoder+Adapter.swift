// A model gets an adapter, from `lora:` or from its folder; and an adapter becomes a part of the weights.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround

extension SentenceEncoder {
    /// Gives the model an adapter, which is trained in place of the encoder's own weights. Modules after the encoder, such as
    /// a Dense, are trained as before.
    ///
    /// - Parameter seed: of the start of its matrices.
    /// - Returns: what a user should know, a line each.
    /// - Throws: `.usage` naming the key, for modules that the model does not have, and for a model that has an adapter or
    ///   cannot have one.
    package func addAdapter(_ configuration: AdapterConfiguration, seed: UInt64) throws(TuttiError) -> [String] {
        func refusal(_ problem: String, key: String = "", hint: String? = nil) -> TuttiError {
            TuttiError(.usage, "add an adapter", key.isEmpty ? "lora" : "lora.\(key)", problem, hint: hint)
        }
        guard adapter == nil else {
            throw refusal(
                "\(sourceDescription) has an adapter already, and a model has one at most",
                hint: "Leave out lora: to train that one, or merge it first: tutti export --merge.")
        }
        guard inputs.count == 1, encoder.plans.count == 1, directory.inputs[0].input == .transformer else {
            throw refusal("\(sourceDescription) is not a model of one transformer, and only those get adapters")
        }
        do throws(OptionProblem) {
            let plan = encoder.plans[0].plan
            let (modules, unused) = try catalogue.targets(of: configuration)
            var isDirectory: ObjCBool = false
            let isFolder = FileManager.default.fileExists(atPath: sourceDescription, isDirectory: &isDirectory)
            let base = isFolder ? URL(fileURLWithPath: sourceDescription).standardizedFileURL.path : sourceDescription
            let made = try ModelAdapter(
                configuration, targets: modules, of: plan, family: type(of: inputs[0].family), base: base)
            encoder = try remake(with: made)
            made.fill(encoder.parameters, seed: seed)
            adapter = made
            return unused.map { "lora: \($0) has no part in embeddings and gets no adapter." }
        } catch let flaw { throw refusal(flaw.problem, key: flaw.path, hint: flaw.hint) }
    }

    /// Makes the adapter a part of the encoder's weights: W + s B A. The model has none afterwards, and nothing is frozen.
    ///
    /// - Throws: `.usage` for a model without one.
    package func mergeAdapter() throws(TuttiError) {
        guard adapter != nil else {
            throw TuttiError(.usage, "merge an adapter", sourceDescription, "the model has no adapter")
        }
        encoder = try encoder.merged()
        adapter = nil
    }

    private func remake(with made: ModelAdapter) throws(OptionProblem) -> RoutedEncoder {
        do { return try encoder.remade(frozen: made.frozen, adapters: made.plans) } catch {
            throw OptionProblem(error.problem, hint: error.hint)
        }
    }

    /// The encoder with the adapter of its folder; nil for a folder without one.
    ///
    /// Throws: `.data` naming file and key or tensor.
    static func adapt(
        _ encoder: RoutedEncoder, _ directory: ModelDirectory, _ families: [any EncoderFamily.Type]
    ) throws(TuttiError) -> (encoder: RoutedEncoder, adapter: ModelAdapter)? {
        guard let place = directory.inputs.firstIndex(where: { $0.adapter != nil }),
            let folder = directory.inputs[place].adapter
        else { return nil }
        guard encoder.plans.count == 1 else {
            throw TuttiError(
                .data, "read adapter", folder.configurationFile.path, "belongs to one of several encoders of a Router",
                hint: "Merge it into its encoder first.")
        }
        let family = families[place]
        let adapter = try ModelAdapter(folder: folder, of: encoder.plans[0].plan, family: family)
        let adapted = try encoder.remade(frozen: adapter.frozen, adapters: adapter.plans)
        try adapter.load(try folder.openWeights(), into: adapted.parameters, family: family)
        return (adapted, adapter)
    }

    /// The modules of the encoder, as transformers has them.
    private var catalogue: ModuleCatalogue {
        let (plan, family) = (encoder.plans[0].plan, type(of: inputs[0].family))
        func names(_ module: String) -> [String] { family.referenceModules(module).map(\.name) }
        let dense = plan.denseModules.flatMap(names)
        var others: Set<String> = []
        for name in plan.tensors.flatMap({ names($0.name.moduleAndOwnName.module) }) {
            var parts = name.split(separator: ".")[...]
            while !parts.isEmpty {
                others.insert(parts.joined(separator: "."))
                parts = parts.dropLast()
            }
        }
        var unused: [String] = []
        if let part = weights.parts.first {
            for info in part.file.tensors
            where part.parameters[info.name] == nil && !part.dropped.contains(info.name) && info.shape.count == 2 {
                let name = family.canonicalName(info.name)
                if name.hasSuffix(".weight") { unused += names(String(name.dropLast(".weight".count))) }
            }
        }
        return ModuleCatalogue(
            dense: dense, others: others.subtracting(dense), unused: unused,
            modelType: directory.inputs[0].configuration["model_type"]?.string ?? "")
    }
}
