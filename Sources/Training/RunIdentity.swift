// What decides a run's result: its configuration, its data, its start weights.
//
// Both doors lead here, the command and the library: the trainer itself takes the digests of what it is given, so that
// another data file in the same output directory is another run whoever started it.

import Foundation
import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// One of the inputs that decide a run's result.
struct RunInput: Sendable {
    /// Where a configuration names it: train_dataset, eval_dataset.NAME, model ...
    let name: String
    /// Hexadecimal SHA-256 of its content.
    let digest: String
    /// Whether it is a data set whose rows are in a cache.
    var isCached = false
    /// Of a data set that is read only as far as the run trains on it: what is read, and how.
    var stream: (table: Table, source: ReadStream)?

    /// As tutti_run.json has it.
    var json: JSONValue {
        var object: JSONObject = ["name": .string(name), "sha256": .string(digest)]
        if let stream { object["rows"] = .integer(Int64(stream.table.rowCount)) }
        return .object(object)
    }

    /// The data sets, the start weights and the start values of the losses' own parameters of a run.
    ///
    /// Taken before the losses' parameters join the model's and any of them is frozen.
    static func all(of inputs: TrainingInputs) throws(TuttiError) -> [RunInput] {
        func data(_ key: String, _ datasets: [TrainingDataset]) -> [RunInput] {
            datasets.map { dataset in
                RunInput(
                    name: key + (dataset.name.map { ".\($0)" } ?? ""), digest: dataset.table.contentDigest(),
                    isCached: dataset.table.store != nil, stream: dataset.stream.map { (dataset.table, $0) })
            }
        }
        var all = data("train_dataset", inputs.trainDatasets) + data("eval_dataset", inputs.evalDatasets)
        all += model(inputs.model)
        for path in inputs.losses.compactMap(\.configured.initialParameters) {
            all.append(RunInput(name: "initial_parameters", digest: try Checkpoint.sha256(of: path)))
        }
        return all
    }
}

extension RunInput {
    /// The start weights of a model; of those that were computed of texts, the texts.
    private static func model(_ model: SentenceEncoder) -> [RunInput] {
        let store = model.encoder.parameters
        var inputs: [RunInput] = []
        if model.computed.names.isEmpty {
            let weights = Digest.of(UnsafeRawBufferPointer(store.values)).hexadecimal
            inputs.append(RunInput(name: "model", digest: weights))
        } else {
            var digest = Digest()
            for entry in store.layout.entries where !model.computed.names.contains(entry.name) {
                digest.update(UnsafeRawBufferPointer(store.values(of: entry)))
            }
            inputs.append(RunInput(name: "model", digest: digest.hexadecimal))
            inputs.append(RunInput(name: "modules", digest: model.computed.texts))
        }
        if store.layout.frozenCount > 0 {  // what is below an adapter
            let base = Digest.of(UnsafeRawBufferPointer(store.frozenValues)).hexadecimal
            inputs.append(RunInput(name: "base_model", digest: base))
        }
        let frozen = model.encoder.fixed
        if frozen.layout.count > 0 {
            inputs.append(
                RunInput(name: "frozen", digest: Digest.of(UnsafeRawBufferPointer(frozen.values)).hexadecimal))
        }
        return inputs
    }
}

/// Which runs are this run.
struct RunIdentity: Sendable, Codable, Equatable {
    /// Hexadecimal SHA-256 of everything that decides the run's result.
    let current: String
    /// What an earlier version called the same run, if it was begun by one.
    var earlier: String?

    init(configuration: JSONValue, inputs: [RunInput]) {
        let lines = [configuration.serialized(sortKeys: true)] + inputs.map { "\($0.name) \($0.digest)" }
        current = hexadecimalDigest(ofText: lines.joined(separator: "\n"))
    }

    /// That of the run of which tutti_run.json holds `file`; nil where it names none.
    init?(_ file: JSONValue) {
        guard let current = file["identity"]?.string else { return nil }
        (self.current, earlier) = (current, file["earlier_identity"]?.string)
    }

    /// Whether what belongs to the run `identity` belongs to this one.
    func accepts(_ identity: String) -> Bool { identity == current || identity == earlier }
}

/// The members of a configuration that decide a run's result: all but where it writes, how the card reads, who is
/// told of it and how ranks share their work.
func decisive(_ configuration: JSONObject) -> JSONObject {
    var object = configuration
    object["output_dir"] = nil
    object["model_card"] = nil
    if var arguments = object["args"]?.object {
        let others =
            [
                "run_name", "report_to", "exchange", "replica_check_steps", "optimizer_sharding", "save_in_background",
                "token_cache", "token_cache_dir",
            ] + HubArguments.options.map(\.name)
        let properties = [
            "runName", "reportTo", "replicaCheckSteps", "optimizerSharding", "saveInBackground", "tokenCache",
            "tokenCacheFolder", "hub",
        ]
        for key in others + properties { arguments[key] = nil }
        // Defaults of keys that earlier runs do not have.
        if arguments["wire"] == .string(Wire.fp32.rawValue) { arguments["wire"] = nil }
        if [nil, .string(Determinism.run.rawValue)].contains(arguments["deterministic"]) {
            for key in ["deterministic", "deterministic_shards", "deterministicShards"] { arguments[key] = nil }
        }
        let usual = describe(TrainingArguments()).object ?? JSONObject()
        for key in [
            "layerwiseDecay", "emaDecay", "neftuneNoiseAlpha", "stopAfter", "earlyStoppingPatience",
            "earlyStoppingThreshold", "bf16", "fp16", "gradientCheckpointing", "compute", "freeze", "autoFindBatchSize",
        ]
        where arguments[key] == usual[key] { arguments[key] = nil }
        if [.bool(true), .bool(false), .null].contains(arguments["resume_from_checkpoint"]) {
            arguments["resume_from_checkpoint"] = nil
        }
        if arguments["resumeFromCheckpoint"]?.string?.hasPrefix("path") != true {
            arguments["resumeFromCheckpoint"] = nil
        }
        object["args"] = .object(arguments)
    }
    return object
}

/// The members of a configuration without those that say how long a run is.
func withoutLength(_ configuration: JSONObject) -> JSONObject {
    var object = configuration
    if var arguments = object["args"]?.object {
        for key in ["num_train_epochs", "max_steps", "stop_after", "numTrainEpochs", "maxSteps", "stopAfter"] {
            arguments[key] = nil
        }
        object["args"] = .object(arguments)
    }
    return object
}

/// The configuration that a run is compared by: the one that was read, or else what a program has set.
func comparedConfiguration(_ inputs: TrainingInputs) -> JSONValue {
    if inputs.configuration != .null { return inputs.configuration }
    var object = JSONObject()
    object["args"] = describe(inputs.arguments)
    object["batch_sampler"] = .string(inputs.arguments.batchSampler.name)
    object["loss"] = .array(inputs.losses.map { .string(describe($0.configured)) })
    object["evaluators"] = .array(
        (inputs.evaluators + inputs.testEvaluators).map { .string("\(type(of: $0).className) \($0.name)") })
    object["max_seq_length"] = .integer(Int64(inputs.model.maximumLength))
    return .object(decisive(object))
}

/// A loss with its options and the losses inside it.
private func describe(_ configured: ConfiguredLoss) -> String {
    let loss = configured.loss
    let options = loss.options.map { "\($0.name)=\($0.value.serialized())" } + loss.nested.map { describe($0) }
    return "\(type(of: loss).name)(\(options.joined(separator: ", ")))"
}

/// The stored properties of a value, by name: equal values give equal texts, whatever the order of a dictionary.
private func describe(_ value: Any) -> JSONValue {
    if let object = value as? JSONObject { return .object(object) }
    let mirror = Mirror(reflecting: value)
    switch mirror.displayStyle {
    case .struct where !mirror.children.isEmpty, .tuple:
        var object = JSONObject()
        for (place, child) in mirror.children.enumerated() {
            object[child.label ?? "\(place)"] = describe(child.value)
        }
        return .object(object)
    case .dictionary:
        let members = mirror.children.map { child in
            Mirror(reflecting: child.value).children.map { describe($0.value).serialized() }.joined(separator: ": ")
        }
        return .array(members.sorted().map { .string($0) })
    case .collection, .set: return .array(mirror.children.map { describe($0.value) })
    case .optional: return mirror.children.first.map { describe($0.value) } ?? .null
    default: return .string("\(value)")
    }
}
