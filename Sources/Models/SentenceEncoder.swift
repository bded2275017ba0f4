// A sentence encoder with everything that its folder says: tokenizer, transformer, heads, prompts, similarity.
//
// What: the one object that the command, training and evaluation share. `load` reads a folder of the
// sentence-transformers layout; `save` (ModelWriter.swift) writes one that sentence-transformers 3 to 6
// read; `encode` (TextEncoding.swift) turns texts into embeddings. Parameters live in `encoder.parameters`
// and are trained in place.
//
// Reference: sentence_transformers/sentence_transformer/model.py, base/model.py.

import TuttiEncoders
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiText

/// A model that turns texts into embeddings.
public final class SentenceEncoder: SentenceEncoding {
    /// The tokenizer.
    package let tokenizer: Tokenizer
    /// The transformer and its heads, with their parameters.
    package let encoder: SequenceEncoder
    /// What the model's folder says, weights apart.
    package let directory: ModelDirectory
    /// Texts are cut to this number of tokens, special ones included; at most `encoder.longestSequence`.
    public var maximumLength: Int {
        didSet {
            precondition(
                (max(1, tokenizer.templateCount)...encoder.longestSequence).contains(maximumLength),
                "a maximum length of \(maximumLength) tokens")
        }
    }
    /// Prompts by name.
    public var prompts: [String: String]
    /// The name of the prompt that `encode` puts before texts when none is given.
    public var defaultPromptName: String?
    /// "cosine", "dot", "euclidean" or "manhattan".
    public var similarity: String
    /// Whether encoding should be given up: asked between batches, on all ranks or on none. Nil = never.
    package var isInterrupted: (@Sendable () -> Bool)?
    /// Lines that a user should read once: what was assumed or changed while loading.
    public let notices: [String]
    /// What the model was loaded from, as the user called it.
    package let sourceDescription: String
    /// The transformer's settings, of its family.
    let family: any EncoderFamily
    let weights: ModelWeights

    /// Loads the model that `path` names: a folder, or a hub id that the local Hugging Face cache holds.
    ///
    /// `configOverrides` replaces members of config.json, such as hidden_dropout_prob.
    /// Throws: `.missingFile` (66) naming what is not there; `.data` (65) naming file and key or tensor for anything
    /// that cannot be used; `.usage` (64) for an unknown override.
    public static func load(_ path: String, configOverrides: JSONObject? = nil) throws(TuttiError) -> SentenceEncoder {
        let folder = try ModelHub.resolve(path)
        return try SentenceEncoder(ModelDirectory(path: folder, overrides: configOverrides), source: path)
    }

    private init(_ directory: ModelDirectory, source: String) throws(TuttiError) {
        let file = ConfigurationFile(
            path: directory.transformerConfigurationPath, object: directory.transformerConfiguration)
        let first = try directory.openWeights()
        let family = try directory.family(of: first)
        try SentenceEncoder.checkModules(directory)
        let encoder = try EncoderSettings.known(file) { () throws(TuttiError) in
            try SequenceEncoder(try family.plan(), heads: directory.heads)
        }
        let (vocabulary, longest) = (encoder.plan.vocabularySize, encoder.longestSequence)
        try SentenceEncoder.checkPooling(directory, hiddenSize: encoder.plan.hiddenSize)
        weights = try ModelWeights(
            directory, first: first, modules: directory.modules, family: type(of: family), layout: encoder.layout)
        try weights.load(into: encoder.parameters)
        let tokenizer = try directory.tokenizer()
        try file.check(tokenizer, fits: vocabulary)

        var notices = directory.notices + tokenizer.notices
        let wanted = directory.maximumLength ?? min(tokenizer.modelMaximumLength ?? longest, longest)
        if wanted > longest {
            notices.append(
                "max_seq_length \(wanted) is more than the model has positions for: texts are cut to \(longest) tokens")
        }
        maximumLength = min(wanted, longest)
        guard !directory.input.addsSpecialTokens || tokenizer.templateCount <= maximumLength else {
            throw TuttiError(
                .data, "read model", directory.path,
                "the tokenizer puts \(tokenizer.templateCount) special tokens around a text, but the model takes"
                    + " \(maximumLength)")
        }
        self.notices = notices
        self.directory = directory
        self.tokenizer = tokenizer
        self.encoder = encoder
        self.family = family
        prompts = Dictionary(directory.prompts.map { ($0.name, $0.text) }) { _, last in last }
        defaultPromptName = directory.defaultPromptName
        similarity = directory.similarity
        sourceDescription = source
    }

    /// The embeddings of `texts` in their order, computed without dropout.
    ///
    /// `prompt` is put before every text; nil stands for the default prompt of the model, "" for none.
    /// Throws: `.diverged` for embeddings that are not finite, on every rank; `.preempted` when any rank was asked to give
    /// up; the error of another rank.
    /// Collective: with an ensemble every rank must call with the same texts, and every rank gets all rows.
    public func encode(
        _ texts: [String], prompt: String? = nil, tokensPerBatch: Int = 8192, ensemble: (any Ensemble)? = nil
    ) throws -> Embeddings {
        try encode(texts, prompt: prompt, tokensPerBatch: tokensPerBatch, ensemble: ensemble) { _, _ in }
    }

    /// The same, and `observe` gets the texts that are done, of all texts, from zero on: those of this rank's share as
    /// if the other ranks kept pace. Collective.
    package func encode(
        _ texts: [String], prompt: String?, tokensPerBatch: Int, ensemble: (any Ensemble)?,
        observe: (_ done: Int, _ total: Int) -> Void
    ) throws -> Embeddings {
        try TextEncoding(model: self, prompt: prompt, tokensPerBatch: tokensPerBatch)
            .embeddings(of: texts, ensemble: ensemble, observe: observe)
    }

    /// Writes the model's files into the existing folder `directory`; `card` becomes README.md, nil a card of the
    /// model's own facts. The caller makes the folder appear atomically.
    ///
    /// Throws: `.retryable` naming the file that cannot be written.
    public func save(to directory: String, card: String?) throws(TuttiError) {
        try ModelWriter(model: self).write(to: directory, card: card ?? ModelCard(facts: modelCardFacts()).text)
    }

    /// Replaces the parameters by those of the folder `path`, which must hold the same model.
    ///
    /// Throws: as `load`.
    package func restoreWeights(from path: String) throws(TuttiError) {
        let other = try ModelDirectory(path: path)
        let weights = try ModelWeights(
            other, first: try other.openWeights(), modules: directory.modules, family: type(of: family),
            layout: encoder.layout.withLossParameters([], alignment: 1))
        try weights.load(into: encoder.parameters)
    }

    /// A second encoder of the same kind, with parameters of its own that are still zero.
    package func makeTwin() throws(TuttiError) -> SequenceEncoder {
        try SequenceEncoder(encoder.plan, heads: encoder.headConfigurations)
    }

    /// The width of the embeddings that `encode` returns.
    public var dimension: Int { min(encoder.outputWidth, directory.truncatedDimension ?? encoder.outputWidth) }

    /// The first module's family: model_type of config.json, or the class of a module that has none.
    package var architectureName: String {
        directory.transformerConfiguration["model_type"]?.string ?? directory.input.rawValue
    }

    /// The class names of the modules in order.
    package var moduleNames: [String] { [directory.input.rawValue] + directory.modules.map(\.module.className) }

    /// The tokens that texts are cut to; nil for a model without a longest length.
    package var lengthLimit: Int? { maximumLength < EncoderPlan.unlimitedLength ? maximumLength : nil }

    /// The modes of pooling, by their names in sentence-transformers.
    package var poolingModes: [String] {
        for case .pooling(let modes, _, _) in directory.heads { return modes.map(\.name) }
        return []
    }

    /// The kind of the tokenizer's model: "WordPiece" ...
    ///
    /// Throws: `.data` if its file is not JSON.
    package func tokenizerKind() throws(TuttiError) -> String {
        guard let file = tokenizer.files.first(where: { $0.name == "tokenizer.json" }) else { return "" }
        let document = try JSONValue.parse(file.bytes, source: file.name)
        return document["model"]?["type"]?.string ?? "WordPiece"
    }

    /// Numbers in the tensors that are kept and not trained (a pooler).
    package var unusedParameterCount: Int {
        weights.parts.reduce(0) { sum, part in
            part.file.tensors.reduce(sum) { sum, info in
                let isUsed = part.parameters[info.name] != nil || part.dropped.contains(info.name)
                return isUsed ? sum : sum + info.count
            }
        }
    }

    /// False when pooling leaves out the tokens of the prompt.
    package var includesPrompt: Bool {
        !directory.modules.contains { placed in
            if case .pooling(_, _, let includePrompt) = placed.module { return !includePrompt }
            return false
        }
    }

    /// A collator for this model; `prompts` has one prompt a text column, and columns beyond it have none.
    package func makeCollator(prompts: [String] = []) -> Collator {
        Collator(
            tokenizer: tokenizer, maximumLength: maximumLength, prompts: prompts, excludesPrompt: !includesPrompt,
            addsSpecialTokens: directory.input.addsSpecialTokens)
    }
}

extension SentenceEncoder {
    private static func checkPooling(_ directory: ModelDirectory, hiddenSize: Int) throws(TuttiError) {
        for placed in directory.modules {
            guard case .pooling(_, let width?, _) = placed.module, width != hiddenSize else { continue }
            throw TuttiError(
                .data, "read model configuration",
                "\(directory.path)/\(placed.folder)/config.json: word_embedding_dimension",
                "is \(width), but the transformer's hidden_size is \(hiddenSize)")
        }
    }

    /// Compares the modules' sizes with the weight files' headers, before anything is made of them.
    private static func checkModules(_ directory: ModelDirectory) throws(TuttiError) {
        for placed in directory.modules where placed.module.hasWeights {
            let weights = try TensorFile.open(directory: directory.path + "/" + placed.folder)
            try ModelSizes(weights).check(placed, root: directory.path)
        }
    }
}

extension ConfigurationFile {
    /// Refuses a tokenizer with ids beyond the word table.
    ///
    /// Throws: `.data` naming vocab_size.
    func check(_ tokenizer: Tokenizer, fits vocabularySize: Int) throws(TuttiError) {
        guard Int(tokenizer.largestID) >= vocabularySize else { return }
        let token = tokenizer.token(tokenizer.largestID).map { " ('\($0)')" } ?? ""
        throw error("vocab_size", "is \(vocabularySize), but the tokenizer has the id \(tokenizer.largestID)\(token)")
    }
}
