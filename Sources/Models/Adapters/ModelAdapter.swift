// The adapter of a model: which modules have one, what is trained with it, and its files in peft's format.
//
//   adapter_config.json         the keys of LoraConfig (AdapterConfiguration.swift) and the base model's name
//   adapter_model.safetensors   base_model.model.<module>.lora_A.weight and .lora_B.weight, with DoRA
//                               .lora_magnitude_vector.weight; biases that are trained, of a module with an adapter as
//                               <module>.base_layer.bias; modules_to_save under their own names
//
// peft leaves .weight out of the magnitudes' names and reads both; transformers, and with it sentence-transformers, reads only
// this one, and would begin with other magnitudes.
//
// A folder with them has neither config.json nor weights of the encoder: both are the base model's. What the file holds of
// modules that have no part in embeddings (a pooler's adapter) is kept as it is.
//
// Reference: peft/utils/save_and_load.py (0.21); transformers/integrations/peft.py.

import Foundation
import TuttiEncoders
import TuttiFormats
import TuttiGround

/// The adapter of a model.
package struct ModelAdapter: Sendable {
    /// The names of its files.
    static let configurationName = "adapter_config.json"
    static let weightsName = "adapter_model.safetensors"
    private static let keyPrefix = "base_model.model."

    /// Its settings.
    package let configuration: AdapterConfiguration
    /// The adapters, by the names of their modules.
    package let plans: [String: AdapterPlan]
    /// What adapter_config.json says.
    let object: JSONObject
    /// The parameters of the base model that are not trained.
    let frozen: Set<String>
    /// The parameters in its file by their keys there, in the order of the file.
    let keys: [(key: String, parameter: String)]
    /// What its file holds besides, where it was read from one.
    private var kept: (file: TensorFile, names: [String])?

    /// The adapter that `configuration` asks for on the dense modules of a plan, of the model called `base`.
    ///
    /// - Parameter targets: the modules.
    init(
        _ configuration: AdapterConfiguration, targets: [String], of plan: EncoderPlan, base: String
    ) throws(OptionProblem) {
        var plans: [String: AdapterPlan] = [:]
        for name in targets { plans[name] = try configuration.plan(of: name) }
        var object = JSONObject()
        for (key, value) in AdapterConfiguration.options.values(of: configuration) { object[key] = value }
        if configuration.targets == nil || configuration.targets?.isAllLinear == true {
            object["target_modules"] = targets.optionJSON
        }
        if let whole = Int64(exactly: configuration.alpha) { object["lora_alpha"] = .integer(whole) }
        object["peft_type"] = .string("LORA")
        object["base_model_name_or_path"] = .string(base)
        object["inference_mode"] = .bool(false)
        for key in ["modules_to_save", "layers_to_transform", "layers_pattern"] where object[key]?.array == [] {
            object[key] = .null
        }
        self.init(configuration, plans: plans, object: object, plan)
    }

    private init(
        _ configuration: AdapterConfiguration, plans: [String: AdapterPlan], object: JSONObject, _ plan: EncoderPlan
    ) {
        self.configuration = configuration
        self.plans = plans
        self.object = object
        let catalogue = ModuleCatalogue(dense: [], others: [], unused: [], modelType: "")
        var (frozen, keys) = (Set<String>(), [(key: String, parameter: String)]())
        for tensor in plan.tensors {
            let parts = tensor.name.split(separator: ".")
            let (module, own) = (parts.dropLast().joined(separator: "."), String(parts.last ?? ""))
            let isWanted =
                configuration.bias == .all || configuration.bias == .ofTargets && plans[module] != nil
            let isBias = own == "bias" && isWanted
            guard isBias || catalogue.isSaved(module, by: configuration) else {
                frozen.insert(tensor.name)
                continue
            }
            let place = plans[module] == nil ? module : module + ".base_layer"
            keys.append((Self.keyPrefix + (place.isEmpty ? own : place + "." + own), tensor.name))
        }
        for (module, plan) in plans {
            for name in plan.tensorNames(module) { keys.append((Self.keyPrefix + name, name)) }
        }
        self.frozen = frozen
        self.keys = keys.sorted { $0.key < $1.key }
    }

    // MARK: Reading

    /// Reads the adapter of `folder`, for the plan of its base model, whose names are those of `family`.
    ///
    /// Throws: `.data` naming file and key for another kind of adapter, and for one of modules that the model does not have.
    init(
        folder: AdapterFolder, of plan: EncoderPlan, family: any EncoderFamily.Type
    ) throws(TuttiError) {
        let file = try folder.openWeights()
        let dense = Set(plan.denseModules)
        var plans: [String: AdapterPlan] = [:]
        for info in file.tensors {
            let name = Self.parameter(info.name, family)
            guard name.hasSuffix(".lora_A.weight") else { continue }
            let module = String(name.dropLast(".lora_A.weight".count))
            guard dense.contains(module), let rank = info.shape.first, info.shape.count == 2, rank > 0 else { continue }
            do throws(OptionProblem) {
                plans[module] = try folder.configuration.plan(of: module, rank: rank)
            } catch let flaw { throw folder.configurationFile.error(flaw) }
        }
        guard !plans.isEmpty else {
            throw TuttiError(
                .data, "read adapter", file.path, "has no adapter of a dense module of the base model",
                hint: "Is base_model_name_or_path the model that it was trained on?")
        }
        self.init(folder.configuration, plans: plans, object: folder.configurationFile.object, plan)
        let own = Set(keys.map(\.parameter))
        kept = (file, file.tensors.map(\.name).filter { !own.contains(Self.parameter($0, family)) })
    }

    /// The parameter that a key of an adapter's file means.
    private static func parameter(_ key: String, _ family: any EncoderFamily.Type) -> String {
        let bare = key.hasPrefix(keyPrefix) ? String(key.dropFirst(keyPrefix.count)) : key
        let name = family.canonicalName(bare.replacing(".base_layer.", with: "."))
        return name.hasSuffix(".lora_magnitude_vector") ? name + ".weight" : name
    }

    /// Fills the parameters of `store` from `file`, by the names of `family`.
    ///
    /// Throws: `.data` for a missing tensor, another shape, and a number that is not finite.
    func load(_ file: TensorFile, into store: ParameterStore, family: any EncoderFamily.Type) throws(TuttiError) {
        var missing = Set(keys.map(\.parameter))
        for info in file.tensors {
            let name = Self.parameter(info.name, family)
            guard missing.contains(name), let entry = store.layout.entry(named: name) else { continue }
            guard info.shape == entry.shape else {
                throw file.tensorError(info, "has the shape \(info.shape), where \(entry.shape) is needed")
            }
            let values = store.values(of: entry)
            try file.readFloats(info.name, into: values)
            if let place = values.firstNonFinite {
                throw file.tensorError(info, "holds \(values[place]), which is not finite")
            }
            missing.remove(name)
        }
        guard missing.isEmpty else {
            throw TuttiError(
                .data, "read adapter", file.path,
                "\(missing.count) of \(keys.count) tensors are missing: '\(missing.min() ?? "")'")
        }
    }

    // MARK: Beginning

    /// Gives A and B of `store` their start: a function of names and seed; and magnitudes the lengths of the rows.
    func fill(_ store: ParameterStore, seed: UInt64) {
        for (module, plan) in plans {
            let names = AdapterPlan.names(module)
            for (name, isB) in [(names.a, false), (names.b, true)] {
                guard let entry = store.layout.entry(named: name) else { continue }
                let values = store.values(of: entry)
                var hash: UInt64 = 0xCBF2_9CE4_8422_2325  // FNV-1a of the name
                for byte in ("adapter." + name).utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
                var random = CounterRandom(seed: seed, stream: hash)
                let bound = Float(1 / Double(entry.shape[1]).squareRoot())
                switch configuration.start {
                case .zeroProduct where isB, .gaussian where isB: values.update(repeating: 0)
                case .zeroProduct, .random:
                    for index in values.indices { values[index] = Float.random(in: -bound...bound, using: &random) }
                case .gaussian:
                    for index in values.indices { values[index] = Float(random.normal() / Double(plan.rank)) }
                }
            }
            if let entry = store.layout.entry(named: AdapterPlan.magnitudeName(module)) {
                _ = store.values(of: entry).update(fromContentsOf: store.lengthsOfRows(of: module, plan))
            }
        }
    }

    // MARK: Writing

    /// Writes its files into `directory`, with the values of `store`.
    ///
    /// Throws: `.retryable` naming the file that cannot be written.
    func save(to directory: String, from store: ParameterStore) throws(TuttiError) {
        let text = JSONValue.object(object).serialized(indent: 2, sortKeys: true) + "\n"
        try AtomicWrite.file(path: directory + "/" + Self.configurationName, text: text)
        var tensors: [SafetensorsWriter.Tensor] = []
        for (key, parameter) in keys {
            guard let entry = store.layout.entry(named: parameter) else { continue }
            tensors.append((key, .f32, entry.shape, UnsafeRawBufferPointer(store.values(of: entry))))
        }
        if let kept {
            for name in kept.names {
                guard let info = kept.file.info(name) else { continue }
                tensors.append((name, info.dtype, info.shape, try kept.file.rawBytes(name)))
            }
        }
        try SafetensorsWriter.write(
            path: directory + "/" + Self.weightsName, tensors: tensors, metadata: ["format": "pt"])
    }
}
