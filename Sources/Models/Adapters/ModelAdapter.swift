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
    /// The tensors of its file, by their keys there.
    private let tensors: [Stored]
    /// What its file holds besides, where it was read from one.
    private var kept: (file: TensorFile, names: [String])?

    /// A tensor of its file.
    private struct Stored {
        let key: String
        /// The name that transformers has for it.
        let name: String
        /// The parameter here, of which it may be a part.
        let parameter: String
        let part: ModulePart?

        init(_ name: String, at place: String, parameter: String, part: ModulePart?) {
            (key, self.name, self.parameter, self.part) = (ModelAdapter.keyPrefix + place, name, parameter, part)
        }

        /// Where it is in a layout.
        func entry(in layout: ParameterLayout) -> ParameterLayout.Entry? {
            guard let whole = layout.entry(named: parameter) else { return nil }
            return part.map { whole.part($0.index, of: $0.count) } ?? whole
        }
    }

    /// The adapter that `configuration` asks for on the dense modules of a plan of `family`, of the model called `base`.
    ///
    /// - Parameter targets: the modules, by transformers' names.
    /// - Throws: a problem at the key.
    init(
        _ configuration: AdapterConfiguration, targets: [String], of plan: EncoderPlan, family: any EncoderFamily.Type,
        base: String
    ) throws(OptionProblem) {
        let wanted = Set(targets)
        var plans: [String: AdapterPlan] = [:]
        for (name, part) in plan.denseModules.flatMap(family.referenceModules) where wanted.contains(name) {
            plans[name] = try configuration.plan(of: name, part: part)
        }
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
        try self.init(configuration, plans: plans, object: object, plan, family)
    }

    private init(
        _ configuration: AdapterConfiguration, plans: [String: AdapterPlan], object: JSONObject, _ plan: EncoderPlan,
        _ family: any EncoderFamily.Type
    ) throws(OptionProblem) {
        self.configuration = configuration
        self.plans = plans
        self.object = object
        var (frozen, tensors) = (Set<String>(), [Stored]())
        for tensor in plan.tensors {
            let (module, own) = tensor.name.moduleAndOwnName
            let modules = family.referenceModules(module)
            let trained = modules.filter { name, _ in
                let isWanted = configuration.bias == .all || configuration.bias == .ofTargets && plans[name] != nil
                return own == "bias" && isWanted || configuration.saves(name)
            }
            if trained.isEmpty {
                frozen.insert(tensor.name)
                continue
            }
            guard trained.count == modules.count else {
                let others = modules.map(\.name).filter { name in !trained.contains { $0.name == name } }
                throw OptionProblem(
                    "trains the \(own) of \(trained[0].name), which is one tensor with that of \(others[0])",
                    hint: "Train those of all \(modules.count) modules that are one in the model's file, or of none.",
                    at: own == "bias" && configuration.bias == .ofTargets ? "bias" : "modules_to_save")
            }
            for (name, part) in trained {
                let place = plans[name] == nil ? name : name + ".base_layer"
                tensors.append(
                    Stored(own.inside(name), at: own.inside(place), parameter: tensor.name, part: part))
            }
        }
        for (module, plan) in plans {
            for name in plan.tensorNames(module) {
                tensors.append(Stored(name, at: name, parameter: name, part: nil))
            }
        }
        self.frozen = frozen
        self.tensors = tensors.sorted { $0.key < $1.key }
    }

    // MARK: Reading

    /// Reads the adapter of `folder`, for the plan of its base model, whose names are those of `family`.
    ///
    /// Throws: `.data` naming file and key for another kind of adapter, and for one of modules that the model does not have.
    init(
        folder: AdapterFolder, of plan: EncoderPlan, family: any EncoderFamily.Type
    ) throws(TuttiError) {
        let file = try folder.openWeights()
        let dense = Dictionary(
            plan.denseModules.flatMap(family.referenceModules).map { ($0.name, $0.part) },
            uniquingKeysWith: { first, _ in first })
        var plans: [String: AdapterPlan] = [:]
        for info in file.tensors {
            let name = Self.name(info.name, family)
            guard name.hasSuffix(".lora_A.weight") else { continue }
            let module = String(name.dropLast(".lora_A.weight".count))
            guard let part = dense[module], let rank = info.shape.first, info.shape.count == 2, rank > 0 else {
                continue
            }
            do throws(OptionProblem) {
                plans[module] = try folder.configuration.plan(of: module, rank: rank, part: part)
            } catch let flaw { throw folder.configurationFile.error(flaw) }
        }
        guard !plans.isEmpty else {
            throw TuttiError(
                .data, "read adapter", file.path, "has no adapter of a dense module of the base model",
                hint: "Is base_model_name_or_path the model that it was trained on?")
        }
        do throws(OptionProblem) {
            try self.init(
                folder.configuration, plans: plans, object: folder.configurationFile.object, plan, family)
        } catch let flaw { throw folder.configurationFile.error(flaw) }
        let own = Set(tensors.map(\.name))
        kept = (file, file.tensors.map(\.name).filter { !own.contains(Self.name($0, family)) })
    }

    /// The name in transformers of what a key of an adapter's file means.
    private static func name(_ key: String, _ family: any EncoderFamily.Type) -> String {
        let bare = key.hasPrefix(keyPrefix) ? String(key.dropFirst(keyPrefix.count)) : key
        let name = family.canonicalName(bare.replacing(".base_layer.", with: "."))
        return name.hasSuffix(".lora_magnitude_vector") ? name + ".weight" : name
    }

    /// Fills the parameters of `store` from `file`, by the names of `family`.
    ///
    /// Throws: `.data` for a missing tensor, another shape, and a number that is not finite.
    func load(_ file: TensorFile, into store: ParameterStore, family: any EncoderFamily.Type) throws(TuttiError) {
        var missing = Dictionary(tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for info in file.tensors {
            let name = Self.name(info.name, family)
            guard let entry = missing[name]?.entry(in: store.layout) else { continue }
            guard info.shape == entry.shape else {
                throw file.tensorError(info, "has the shape \(info.shape), where \(entry.shape) is needed")
            }
            let values = store.values(of: entry)
            try file.readFloats(info.name, into: values)
            if let place = values.firstNonFinite {
                throw file.tensorError(info, "holds \(values[place]), which is not finite")
            }
            missing[name] = nil
        }
        guard missing.isEmpty else {
            throw TuttiError(
                .data, "read adapter", file.path,
                "\(missing.count) of \(tensors.count) tensors are missing: '\(missing.keys.min() ?? "")'")
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
        var written: [SafetensorsWriter.Tensor] = []
        for tensor in tensors {
            guard let entry = tensor.entry(in: store.layout) else { continue }
            written.append((tensor.key, .f32, entry.shape, UnsafeRawBufferPointer(store.values(of: entry))))
        }
        if let kept {
            for name in kept.names {
                guard let info = kept.file.info(name) else { continue }
                written.append((name, info.dtype, info.shape, try kept.file.rawBytes(name)))
            }
        }
        try SafetensorsWriter.write(
            path: directory + "/" + Self.weightsName, tensors: written, metadata: ["format": "pt"])
    }
}
