// The model that the decoder of a denoising loss starts from: its description, its tokenizer, its weights.
//
// A decoder is an encoder's plan with cross-attention and a language model's head (Encoders/Plan). The checkpoint may be an
// encoder's: what it does not hold starts at random, as in the reference. Families of which transformers has no causal
// language model with cross-attention are refused, as the reference refuses them.

import TuttiEncoders
import TuttiFormats
import TuttiGround
import TuttiText

/// What a decoder starts from.
package struct DecoderModel: Sendable {
    /// Its settings, of a family that has decoders.
    private let family: any DecoderFamily
    /// The plan of a decoder that owns all its tensors, called as in a checkpoint.
    private let plan: DecoderPlan
    /// The tokenizer of the texts that it reconstructs.
    package let tokenizer: Tokenizer
    /// initializer_range: the deviation of weights that the checkpoint does not hold.
    package var initializerRange: Float { family.initializerRange }
    private let weights: TensorFile
    /// The checkpoint's names by those without "bert.".
    private let names: [String: String]

    /// What a decoder that shares the weights of `model` starts from.
    ///
    /// Throws: `.usage` for a family that has no decoder; as `SentenceEncoder.load`.
    package init(tiedTo model: SentenceEncoder) throws(TuttiError) {
        try self.init(
            model.inputs[0].directory, family: model.inputs[0].family, tokenizer: model.tokenizer,
            weights: try model.inputs[0].directory.openWeights(), source: model.sourceDescription)
    }

    /// Loads the model that `path` names: a folder or a hub id.
    ///
    /// Throws: `.usage` for a family that has no decoder; as `SentenceEncoder.load`.
    package init(path: String) throws(TuttiError) {
        let directory = try ModelDirectory(path: try ModelHub.resolve(path))
        guard !directory.routing.hasRouter else {
            throw TuttiError(
                .usage, "make a decoder", path, "the model has a Router, where a decoder needs one encoder",
                hint: "Name the folder of one encoder.")
        }
        let input = directory.inputs[0]
        let weights = try input.openWeights()
        try self.init(
            input, family: try EncoderSettings.read(input.configurationFile, weights: weights),
            tokenizer: try Tokenizer.load(directory: input.path, lowercases: input.lowercases),
            weights: weights, source: path)
    }

    private init(
        _ directory: InputDirectory, family: any EncoderFamily, tokenizer: Tokenizer, weights: TensorFile,
        source: String
    ) throws(TuttiError) {
        let file = directory.configurationFile
        guard let family = family as? any DecoderFamily else {
            let known = EncoderFamilies.all.filter { $0 is any DecoderFamily.Type }.flatMap { $0.modelTypes }
            throw TuttiError(
                .usage, "make a decoder", source,
                "the architecture '\(type(of: family).modelTypes[0])' has no causal language model with cross-attention",
                hint: "Decoders exist of: \(known.joined(separator: ", ")). With another encoder, set"
                    + " tie_encoder_decoder: false and decoder_name_or_path to one of these.")
        }
        self.weights = weights
        plan = try EncoderSettings.known(file) { () throws(TuttiError) in
            try family.decoderPlan(prefix: "", isTied: false)
        }
        try file.check(tokenizer, fits: plan.vocabularySize)
        self.family = family
        self.tokenizer = tokenizer
        var names: [String: String] = [:]
        for info in weights.tensors { names[type(of: family).canonicalName(info.name)] = info.name }
        self.names = names
    }

    /// D.
    package var hiddenSize: Int { plan.hiddenSize }

    /// The plan of the decoder with its own tensors behind `prefix`; tied, all others are the encoder's.
    ///
    /// Throws: `.data` for settings that cannot be computed.
    package func plan(prefix: String, isTied: Bool) throws(TuttiError) -> DecoderPlan {
        do { return try family.decoderPlan(prefix: prefix, isTied: isTied) } catch {
            throw TuttiError(.data, "make a decoder", error.subject, error.problem, hint: error.hint)
        }
    }

    /// Reads a tensor of the decoder, called as in its plan without prefix, if the checkpoint holds it.
    ///
    /// Throws: `.data` for another shape.
    package func read(
        _ name: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>
    ) throws(TuttiError) -> Bool {
        guard let info = names[type(of: family).canonicalName(name)].flatMap(weights.info) else {
            return false
        }
        guard info.shape == shape else {
            throw weights.tensorError(info, "has the shape \(info.shape), where config.json asks for \(shape)")
        }
        try weights.readFloats(info.name, into: values)
        return true
    }

    /// A collator of the texts that are reconstructed, cut to `maximumLength` tokens; `prompts` as in `makeCollator`.
    package func makeCollator(prompts: [String], maximumLength: Int) -> Collator {
        // The last token is predicted and never read, so a text may be one longer than there are positions.
        let reader = TextReader(
            tokenizer: tokenizer, maximumLength: min(maximumLength, plan.longestSequence + 1), excludesPrompt: false,
            addsSpecialTokens: true, lowercases: false)
        return Collator(readers: [reader], prompts: prompts)
    }
}
