// Objective: a loss bound to the model of a run: who plays the roles that it asks for, and what it owns in the arenas.
//
// A loss sees only embeddings (Objectives/Loss.swift). What it declares is provided here: frozen guides, a trained twin
// of the encoder, a decoder (TargetDecoder.swift), lower layers, parameters of its own (ObjectiveParameters.swift). One
// pass over a batch is a value of its own (ObjectivePass.swift).

import TuttiCorpus
import TuttiEncoders
import TuttiGround
import TuttiKernels
import TuttiModels
import TuttiObjectives

/// A loss with everything that it needs of a run.
final class Objective {
    let configured: ConfiguredLoss
    let requirements: LossRequirements
    let model: SentenceEncoder
    let decoder: TargetDecoder?
    /// What it owns in the arenas of the run.
    let parameters: ObjectiveParameters
    /// Who reads texts, the student first.
    let roles: [Role]
    /// Encodes the student's texts.
    let student: ChunkedEncoder
    /// Encode the texts of the other roles, in the order of `roles`.
    let others: [(role: Role, encoder: ChunkedEncoder)]
    /// Memory of one pass.
    var arena = Arena()

    /// The frozen encoders that its loss reads, by role.
    let guides: [Role: SentenceEncoder]

    var loss: any Loss { configured.loss }

    /// Binds a loss to a model and to the data that it will see.
    ///
    /// - Parameters:
    ///   - prefix: what stands before the names of its parameters: nothing, or the name of its data set.
    ///   - tables: the data that it will see, in training or in evaluation.
    ///   - loaded: the frozen models that losses of this run have loaded, by their path.
    ///   - chunking: the chunks of the run, where the loss asks for none.
    /// - Throws: usage errors of the loss; whatever loading a guide throws.
    init(
        _ configured: ConfiguredLoss, prefix: String = "", model: SentenceEncoder, tables: [Table],
        guides loaded: inout [String: SentenceEncoder], chunking: Chunking?
    ) throws(TuttiError) {
        self.configured = configured
        self.model = model
        let requirements = configured.loss.requirements
        self.requirements = requirements
        if model.directory.routing.hasRouter, requirements.needsLayers || requirements.decoder != nil {
            throw TuttiError(
                .usage, "fit the loss to the model", configured.name,
                requirements.needsLayers
                    ? "looks at lower layers, and a model with a Router has no common ones"
                    : "reconstructs texts from one encoder, and the model has a Router",
                hint: "Use another loss, or train one of the model's encoders alone.")
        }
        guard model.adapter == nil || requirements.decoder == nil else {
            throw TuttiError(
                .usage, "fit the loss to the model", configured.name,
                "trains a decoder with the encoder's weights, and the model has an adapter in their place",
                hint: "Use another loss, or train without lora.")
        }
        if model.encoder.worksOnTokens, requirements.needsLayers {
            throw TuttiError(
                .usage, "fit the loss to the model", configured.name,
                "looks at lower layers, and the model has modules between its layers and pooling",
                hint: "Use another loss.")
        }
        let chunking = configured.chunking ?? chunking
        student = ChunkedEncoder(model.encoder, chunking: chunking)
        var guides: [Role: SentenceEncoder] = [:]
        var others: [(role: Role, encoder: ChunkedEncoder)] = []
        if requirements.texts[.twin] != nil {
            others.append((.twin, ChunkedEncoder(try model.makeTwin(), chunking: chunking)))
        }
        for path in requirements.guides {
            let guide: SentenceEncoder
            if let known = loaded[path] { guide = known } else { guide = try SentenceEncoder.load(path) }
            loaded[path] = guide
            guides[.guide(path)] = guide
            others.append((.guide(path), ChunkedEncoder(guide.encoder, chunking: chunking)))
        }
        self.guides = guides
        self.others = others
        let own = try ObjectiveParameters.required(by: configured, of: model, tables: tables)
        var decoder: TargetDecoder?
        if let request = requirements.decoder {
            decoder = try TargetDecoder(request, of: model, prefix: prefix, chunking: chunking)
        }
        self.decoder = decoder
        roles = [.student] + others.map(\.role) + (decoder == nil ? [] : [.decoder])
        parameters = ObjectiveParameters(
            own + (decoder?.parameters ?? []), of: configured, prefix: prefix, store: model.encoder.parameters,
            decoder: decoder, twin: others.first { $0.role == .twin }?.encoder.encoder)
    }

    /// How the texts of `role` become tokens, on the routes that the columns' tasks choose.
    ///
    /// Throws: `.usage` for a task that has no route.
    func makeCollator(for role: Role, prompts: [String], tasks: [String?]) throws(TuttiError) -> Collator {
        if role == .decoder, let decoder {
            return decoder.model.makeCollator(prompts: prompts, maximumLength: model.maximumLength)
        }
        return try (guides[role] ?? model).makeCollator(prompts: prompts, tasks: tasks)
    }
}
