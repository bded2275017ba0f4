// What a loss owns in the arenas of a run: its own parameters, those of its decoder, and those of a trained twin.
//
// They stand behind the model's parameters, under the prefix of the loss; those of a twin last, as `model1.<name>`.

import TuttiCorpus
import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// The parameters of one loss of a run.
final class ObjectiveParameters {
    /// What the loss sees of them, once they have their place.
    private(set) var tensorsInArenas = LossParameters()

    private let own: [LossParameter]  // under their bare names
    private let configured: ConfiguredLoss
    private let prefix: String
    private let store: ParameterStore
    private let decoder: TargetDecoder?
    private let twin: RoutedEncoder?

    /// Parameters with these names and starts, in the arenas of `store`.
    init(
        _ own: [LossParameter], of configured: ConfiguredLoss, prefix: String, store: ParameterStore,
        decoder: TargetDecoder?, twin: RoutedEncoder?
    ) {
        self.own = own
        self.configured = configured
        self.prefix = prefix
        self.store = store
        self.decoder = decoder
        self.twin = twin
    }

    /// The parameters that a loss asks for, for a model and all of the data that it will see.
    ///
    /// - Throws: usage errors of the loss.
    static func required(
        by configured: ConfiguredLoss, of model: SentenceEncoder, tables: [Table]
    ) throws(TuttiError) -> [LossParameter] {
        let settings = LossSetting.all(tables, model: model)
        for setting in settings { try configured.loss.check(setting) }
        let needs = settings.map(configured.loss.parameters)
        guard let first = needs.first, needs.allSatisfy({ $0 == first }) else {
            throw TuttiError(
                .usage, "fit the loss to the data", configured.name,
                "the data sets would give it parameters of different shapes",
                hint: "Give every data set a loss of its own: loss: {DATASET: {name: ...}, ...}.")
        }
        return first
    }

    /// The tensors that it needs in the run's arenas; those of a twin last.
    var tensors: [TensorSpecification] {
        own.map { TensorSpecification(prefix + $0.name, $0.shape) }
            + twinNames.map { $0.entry.specification.renamed($0.own) }
    }

    /// Where its tensors are in the arenas; empty for none.
    var range: Range<Int> {
        let own = tensors.map { entry($0.name).range }
        guard let first = own.first, let last = own.last else { return 0..<0 }
        return first.lowerBound..<last.upperBound
    }

    /// Gives the parameters their start values: those of `initial_parameters`, else their own start; a twin begins as
    /// a copy of the model.
    func fill(seed: UInt64) throws(TuttiError) {
        var file: SafetensorsFile?
        if let path = configured.initialParameters { file = try SafetensorsFile(path: path) }
        let known = own.map(\.name)
        for info in file?.tensors ?? [] where !known.contains(info.name) && !info.name.hasPrefix("model1.") {
            throw TuttiError(
                .usage, "read initial_parameters", "\(configured.initialParameters ?? ""): \(info.name)",
                "\(configured.name) has no such parameter", hint: TuttiError.hint(unknown: info.name, known: known))
        }
        for parameter in own {
            let entry = entry(prefix + parameter.name)
            if let file, file.info(parameter.name) != nil {
                try read(parameter.name, from: file, into: entry)
            } else if try decoder?.read(parameter, into: store.values(of: entry)) != true {
                var named = parameter  // the start is a function of the whole name
                named.name = prefix + parameter.name
                named.fill(store.values(of: entry), seed: seed)
            }
        }
        for (own, entry) in twinNames {
            if let file, file.info("model1.\(entry.name)") != nil {
                try read("model1.\(entry.name)", from: file, into: self.entry(own))
            } else {
                _ = store.values(of: self.entry(own)).update(fromContentsOf: store.values(of: entry))
            }
        }
    }

    /// Points at the arenas of the run, once they have their place.
    func bind() {
        var tensors: [String: LossParameters.Tensor] = [:]
        for parameter in own {
            let entry = entry(prefix + parameter.name)
            tensors[parameter.name] = .init(
                values: store.valueMatrix(of: entry), gradient: store.gradientMatrix(of: entry))
        }
        tensorsInArenas = LossParameters(tensors)
        decoder?.bind(store)
        twin?.parameters.shareFrozen(of: store)
        if let twin, let first = twinNames.first {
            twin.parameters.live(in: store, from: entry(first.own).range.lowerBound)
        }
    }

    private var twinNames: [(own: String, entry: ParameterLayout.Entry)] {
        guard twin != nil else { return [] }
        return store.layout.entries.filter { $0.owner == .model }.map { ("\(prefix)model1.\($0.name)", $0) }
    }

    private func read(
        _ name: String, from file: SafetensorsFile, into entry: ParameterLayout.Entry
    ) throws(TuttiError) {
        guard let info = file.info(name), info.shape == entry.shape else {
            throw TuttiError(
                .data, "read initial_parameters", "\(file.path): \(name)",
                "has the shape \(file.info(name)?.shape ?? []), where \(entry.shape) is needed")
        }
        try file.readFloats(name, into: store.values(of: entry))
    }

    private func entry(_ name: String) -> ParameterLayout.Entry {
        guard let entry = store.layout.entry(named: name) else {
            preconditionFailure("ObjectiveParameters: '\(name)' has no place in the arenas")
        }
        return entry
    }
}
