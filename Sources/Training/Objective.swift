// Objective: a loss bound to the model of a run: who encodes its texts, where its own parameters lie, and one pass of
// it over a batch: `encode`, `evaluate`, `backward`.
//
// A loss sees only embeddings (Objectives/Loss.swift). What it declares is provided here: a frozen guide that embeds the
// same texts, a trained twin of the encoder, a decoder (TargetDecoder.swift), lower layers, keys of texts, parameters
// of its own. Encoding in chunks is ChunkedEncoder's: the same for every loss.
//
// Legend: b rows on this rank, C text columns, L layers looked at, D width.

import TuttiCorpus
import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// A loss with everything that it needs of a run.
final class Objective {
    let configured: ConfiguredLoss
    let requirements: LossRequirements
    /// What stands before the names of its parameters: nothing, or the name of its data set.
    let prefix: String
    let model: SentenceEncoder
    let guide: SentenceEncoder?
    /// Its own parameters, under their bare names.
    let parameters: [LossParameter]

    private let student: ChunkedEncoder
    private let guideEncoder: ChunkedEncoder?
    private var twin: ChunkedEncoder?
    let decoder: TargetDecoder?
    private var ownParameters = LossParameters()
    private var arena = Arena()
    private var pass: ChunkedPass?
    private var twinPass: ChunkedPass?
    private var batch: LossBatch?
    private var gradients: LossGradients?

    var loss: any Loss { configured.loss }
    private var encoder: SequenceEncoder { model.encoder }

    /// Binds a loss to a model and to the data that it will see.
    ///
    /// - Parameters:
    ///   - tables: the data that it will see, in training or in evaluation.
    ///   - guides: the frozen models that losses of this run have loaded, by their path.
    ///   - chunking: the chunks of the run, where the loss asks for none.
    ///   - prefix: what tells its parameters from those of other losses.
    /// - Throws: usage errors of the loss; whatever loading a guide throws.
    init(
        _ configured: ConfiguredLoss, prefix: String = "", model: SentenceEncoder, tables: [Table],
        guides: inout [String: SentenceEncoder], chunking: Chunking?
    ) throws(TuttiError) {
        self.configured = configured
        self.prefix = prefix
        self.model = model
        requirements = configured.loss.requirements
        var guide: SentenceEncoder?
        if let path = requirements.guide {
            let loaded: SentenceEncoder
            if let known = guides[path] { loaded = known } else { loaded = try SentenceEncoder.load(path) }
            guides[path] = loaded
            guide = loaded
        }
        self.guide = guide
        let settings = LossSetting.all(tables, model: model, guideWidth: guide?.encoder.outputWidth)
        do throws(LossError) {
            for setting in settings { try configured.loss.check(setting) }
        } catch {
            throw TuttiError(
                .usage, "fit the loss to model and data", "\(error.loss)\(error.option.map { ".\($0)" } ?? "")",
                error.problem, hint: error.hint)
        }
        let needs = settings.map(configured.loss.parameters)
        guard let first = needs.first, needs.allSatisfy({ $0 == first }) else {
            throw TuttiError(
                .usage, "fit the loss to the data", configured.name,
                "the data sets would give it parameters of different shapes",
                hint: "Give every data set a loss of its own: loss: {DATASET: {name: ...}, ...}.")
        }
        let chunking = configured.chunking ?? chunking
        var decoder: TargetDecoder?
        if let request = requirements.decoder {
            decoder = try TargetDecoder(request, of: model, prefix: prefix, chunking: chunking)
        }
        self.decoder = decoder
        parameters = first + (decoder?.parameters ?? [])
        student = ChunkedEncoder(model.encoder, chunking: chunking)
        guideEncoder = guide.map { ChunkedEncoder($0.encoder, chunking: chunking) }
        if requirements.needsTwin { twin = ChunkedEncoder(try model.makeTwin(), chunking: chunking) }
    }

    // MARK: Parameters

    /// The tensors that it needs in the run's arenas; those of a twin last.
    var tensors: [TensorSpecification] {
        parameters.map { TensorSpecification(prefix + $0.name, $0.shape) } + twinNames.map {
            TensorSpecification($0.own, $0.entry.shape)
        }
    }

    /// Where its tensors lie in the arenas; empty for none.
    var range: Range<Int> {
        let own = tensors.map { entry($0.name).range }
        guard let first = own.first, let last = own.last else { return 0..<0 }
        return first.lowerBound..<last.upperBound
    }

    private var twinNames: [(own: String, entry: ParameterLayout.Entry)] {
        guard twin != nil else { return [] }
        return encoder.layout.entries.filter { $0.owner == .model }.map { ("\(prefix)model1.\($0.name)", $0) }
    }

    /// Gives the parameters their start values: those of `initial_parameters`, else their own start; a twin begins as
    /// a copy of the model.
    func fill(seed: UInt64) throws(TuttiError) {
        let store = encoder.parameters
        var file: SafetensorsFile?
        if let path = configured.initialParameters { file = try SafetensorsFile(path: path) }
        let known = parameters.map(\.name)
        for info in file?.tensors ?? [] where !known.contains(info.name) && !info.name.hasPrefix("model1.") {
            throw TuttiError(
                .usage, "read initial_parameters", "\(configured.initialParameters ?? ""): \(info.name)",
                "\(configured.name) has no such parameter", hint: TuttiError.hint(unknown: info.name, known: known))
        }
        for parameter in parameters {
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
        let store = encoder.parameters
        var own: [String: LossParameters.Tensor] = [:]
        for parameter in parameters {
            let entry = entry(prefix + parameter.name)
            own[parameter.name] = .init(values: store.valueMatrix(of: entry), gradient: store.gradientMatrix(of: entry))
        }
        ownParameters = LossParameters(own)
        decoder?.bind(store)
        if let twin, let first = twinNames.first {
            twin.encoder.parameters.live(in: store, from: entry(first.own).range.lowerBound)
        }
    }

    private func read(
        _ name: String, from file: SafetensorsFile, into entry: ParameterLayout.Entry
    ) throws(TuttiError) {
        guard let info = file.info(name), info.shape == entry.shape else {
            throw TuttiError(
                .data, "read initial_parameters", "\(file.path): \(name)",
                "has the shape \(file.info(name)?.shape ?? []), where \(entry.shape) is needed")
        }
        try file.readFloats(name, into: encoder.parameters.values(of: entry))
    }

    private func entry(_ name: String) -> ParameterLayout.Entry {
        guard let entry = encoder.layout.entry(named: name) else {
            preconditionFailure("Objective: '\(name)' has no place in the arenas")
        }
        return entry
    }

    // MARK: One pass over a batch

    /// Embeds the texts of a batch; with `keepsActivations`, `evaluate` and one `backward` may follow.
    func encode(_ prepared: PreparedBatch, draw: LossDraw, isTraining: Bool) {
        arena.reset()
        let taps = requirements.needsLayers ? loss.layers(of: encoder.layerCount, draw: draw) : nil
        let layers = taps?.count ?? 1
        let rows = layers * prepared.columns * prepared.rows
        let embeddings = arena.matrix(rows, encoder.outputWidth)  // [L*C*b, D]
        let dropout = DropoutStream(seed: draw.seed, step: draw.step, microStep: draw.microStep)
        if isTraining {
            pass = student.forward(prepared.packed, taps: taps, dropout: dropout, into: embeddings)
        } else {
            student.embed(prepared.packed, taps: taps, dropout: nil, into: embeddings)
        }
        var batch = LossBatch(
            embeddings: embeddings, rows: prepared.rows, columns: prepared.columns, layers: layers)
        batch.textColumns = prepared.textColumns
        if let taps { batch.layerNumbers = taps }
        if let guide, let guideEncoder {
            let judged = arena.matrix(prepared.columns * prepared.rows, guide.encoder.outputWidth)  // [C*b, G]
            guideEncoder.embed(prepared.guide, dropout: nil, into: judged)
            batch.guide = judged
        }
        if let twin {
            let texts = prepared.twin ?? prepared.packed
            let embedded = arena.matrix(texts.sequenceCount, encoder.outputWidth)  // [C*b, D]
            var own = dropout
            own.seed = ~own.seed  // masks of its own
            if isTraining {
                twinPass = twin.forward(texts, dropout: own, into: embedded)
            } else {
                twin.embed(texts, dropout: nil, into: embedded)
            }
            batch.twin = embedded
        }
        decoder?.take(prepared.target, dropout: isTraining ? dropout : nil)
        self.batch = batch
        gradients = isTraining
            ? LossGradients(
                embeddings: arena.matrix(rows, encoder.outputWidth),
                twin: batch.twin.map { arena.matrix($0.rows, $0.columns) })
            : nil
    }

    /// This rank's part of the loss of the batch that was encoded last. Collective.
    ///
    /// - Parameter weight: the factor of its gradients.
    func evaluate(
        _ prepared: PreparedBatch, draw: LossDraw, weight: Double, ensemble: any Ensemble
    ) throws -> Double {
        guard var batch else { preconditionFailure("Objective: evaluate before encode") }
        var context = LossContext(ensemble: ensemble)
        context.weight = weight
        context.draw = draw
        context.parameters = ownParameters
        context.decoder = decoder
        return try prepared.labels.withUnsafeBufferPointer { labels in
            try prepared.textKeys.withUnsafeBufferPointer { keys in
                if prepared.labelWidth > 0 { (batch.labels, batch.labelWidth) = (labels, prepared.labelWidth) }
                if requirements.needsTextKeys { batch.textKeys = keys }
                return try loss.evaluate(batch, gradients: gradients, in: context)
            }
        }
    }

    /// Adds the gradients of all parameters; `finished` gets the slices of the arena that are whole.
    func backward(finished: (Range<Int>) -> Void) {
        guard let gradients, let pass = pass.take() else {
            preconditionFailure("Objective: backward of a pass that was no training")
        }
        if let twinPass = twinPass.take(), let dTwin = gradients.twin { twinPass.backward(dTwin) { _ in } }
        if !encoder.layout.lossRange.isEmpty { finished(encoder.layout.lossRange) }
        pass.backward(gradients.embeddings, finished: finished)
        batch = nil
        self.gradients = nil
    }
}

extension LossSetting {
    /// What each table tells a loss; the range of whole-number labels is that of all tables together.
    fileprivate static func all(_ tables: [Table], model: SentenceEncoder, guideWidth: Int?) -> [LossSetting] {
        var settings = tables.map { table in
            LossSetting(
                width: model.encoder.outputWidth, layers: model.encoder.layerCount, columns: table.columnNames,
                labels: LossLabels(table.labelSummary), guideWidth: guideWidth)
        }
        let classes = settings.compactMap { setting -> ClosedRange<Int>? in
            guard case .integers(let range) = setting.labels else { return nil }
            return range
        }
        if classes.count == settings.count, let low = classes.map(\.lowerBound).min(),
            let high = classes.map(\.upperBound).max()
        {
            for place in settings.indices { settings[place].labels = .integers(low...high) }
        }
        return settings
    }
}

extension LossLabels {
    /// The labels of a table.
    init(_ summary: LabelSummary) {
        switch summary {
        case .none: self = .none
        case .integers(let range): self = .integers(range)
        case .floats(let range): self = .numbers(range)
        case .lists(let width): self = .lists(width)
        }
    }
}
