// LossRegistry: every loss there is. Adding one = one file in Losses/ + one line in `registry` + one test. A loss outside
// the package is one class with its options, and one call of `add`.

import TuttiGround

/// One shape of data that a loss takes.
public struct LossInput: Sendable, Equatable {
    /// What a label must be.
    public enum Label: Sendable, Equatable {
        /// None; labels that are there are ignored, as the reference does.
        case none
        /// A class: 0, 1, 2 ...
        case classNumber
        /// 1 for alike, 0 for not.
        case binary
        /// A score; any number.
        case score
        /// A list of numbers, of this width: so many a text column after the first (plus `extra`).
        case scores
        /// The embedding that a teacher gives.
        case embedding

        /// The label in words.
        public var words: String {
            switch self {
            case .none: return "none"
            case .classNumber: return "class number"
            case .binary: return "1 or 0"
            case .score: return "score"
            case .scores: return "list of scores"
            case .embedding: return "embedding, a list of numbers"
            }
        }
    }

    /// What the text columns mean, in order.
    public var roles: [String]

    /// Whether the last role may stand for any further columns.
    public var repeatsLast: Bool

    /// The label.
    public var label: Label

    /// A shape of data.
    public init(_ roles: String..., repeatsLast: Bool = false, label: Label = .none) {
        self.roles = roles
        self.repeatsLast = repeatsLast
        self.label = label
    }

    /// Whether so many text columns have this shape.
    public func accepts(columns count: Int) -> Bool { repeatsLast ? count >= roles.count : count == roles.count }

    /// The columns in words: "(anchor, positive, negative_1 ... negative_n)".
    public var words: String {
        var names = roles
        if repeatsLast, let last = names.popLast() { names.append("\(last)_1 ... \(last)_n") }
        return "(\(names.joined(separator: ", ")))"
    }
}

/// What the command, its help, the documentation and the model card know of a loss.
public struct LossEntry: Sendable {
    /// The class name that users of sentence-transformers know.
    public var name: String

    /// One line: what it is for.
    public var summary: String

    /// The shapes of data that it takes, the usual one first; empty for a loss that takes what its inner losses take.
    public var inputs: [LossInput]

    /// Its options with their values when the configuration is silent.
    public var options: [OptionDescription]

    /// BibTeX of the paper that introduced it, for the model card; empty where there is none.
    public var citation: String

    /// The chunks in which it encodes where nothing else is asked for.
    public var chunking: Chunking?

    /// Makes it from the options of its own; says whether it encodes in `chunking` where nothing else is asked for.
    var make: @Sendable (JSONObject) throws(TuttiError) -> (loss: any Loss, isChunked: Bool)

    /// Describes a loss.
    ///
    /// - Parameters:
    ///   - inputs: the shapes of data that it takes, the usual one first.
    ///   - settings: its options; `make` gets them with the values that a configuration gives.
    ///   - citation: BibTeX of its paper.
    ///   - chunking: the chunks in which it encodes where nothing else is asked for; none by default.
    ///   - chunks: whether it encodes in `chunking` with given options.
    public init<Settings: LossSettings>(
        name: String, summary: String, inputs: [LossInput], settings: Settings.Type, citation: String = "",
        chunking: Chunking? = nil, chunks: @escaping @Sendable (Settings) -> Bool = { _ in true },
        make: @escaping @Sendable (Settings) throws(TuttiError) -> any Loss
    ) {
        self.name = name
        self.summary = summary
        self.inputs = inputs
        options = Settings.descriptions
        self.citation = citation
        self.chunking = chunking
        self.make = { (given) throws(TuttiError) in
            var settings = Settings()
            try Settings.options.read(given, into: &settings) {
                TuttiError.loss(name, option: $0, problem: $1, hint: $2)
            }
            return (try make(settings), chunks(settings))
        }
    }

    /// The same loss under another name that encodes in chunks by default: the reference's Cached classes.
    func cached(as name: String, rows: Int = 32, citation: String? = nil) -> LossEntry {
        var entry = self
        entry.name = name
        if let citation { entry.citation = citation }
        entry.summary = "\(self.name), encoded in chunks of mini_batch_size texts: the same value and gradient"
        entry.chunking = Chunking(rows: rows)
        return entry
    }

    /// Options that every loss takes.
    public static let commonOptions = CommonLossSettings.descriptions
}

/// How many texts or tokens are encoded at a time.
public struct Chunking: Sendable, Equatable {
    /// Texts of a chunk at most.
    public var rows: Int?

    /// Tokens of a chunk at most, but one text at least.
    public var tokens: Int?

    /// Chunks of so many texts, or so many tokens, or both.
    public init(rows: Int? = nil, tokens: Int? = nil) {
        self.rows = rows
        self.tokens = tokens
    }
}

/// A loss as a configuration asks for it.
public struct ConfiguredLoss {
    /// The name in the configuration.
    public var name: String

    /// The loss.
    public var loss: any Loss

    /// The chunks in which texts are encoded, if any.
    public var chunking: Chunking?

    /// The file with start values of the loss's parameters, if any.
    public var initialParameters: String?

    /// The shapes of data that it takes: of a loss around others, those that all of them take.
    public var inputs: [LossInput] {
        let own = LossRegistry.all.first { $0.name == name }?.inputs ?? []
        guard own.isEmpty, let first = loss.nested.first else { return own }
        return loss.nested.dropFirst().reduce(first.inputs) { inputs, other in
            inputs.filter { other.inputs.contains($0) }
        }
    }

    /// Whether its labels are a teacher's embeddings.
    var takesEmbeddings: Bool { inputs.contains { $0.label == .embedding } }

    /// A loss under its own name.
    public init(_ loss: any Loss, name: String? = nil) {
        self.name = name ?? type(of: loss).name
        self.loss = loss
    }
}

/// The losses by name.
public enum LossRegistry {
    /// Every loss, those of the package first.
    public static var all: [LossEntry] { registry.all }

    /// Adds a loss from outside the package; one of the same name is replaced.
    ///
    /// From then on configurations, `make`, help and the model card know it.
    public static func add(_ entry: LossEntry) { registry.add(entry) }

    /// One line a loss.
    private static let registry = OpenRegistry<LossEntry>(
        "LossRegistry",
        [
            MultipleNegativesRankingLoss.entry,
            MultipleNegativesRankingLoss.entry.cached(as: "CachedMultipleNegativesRankingLoss", citation: gao2021),
            ContrastiveTensionLoss.entry,
            ContrastiveTensionLossInBatchNegatives.entry,
            DenoisingAutoEncoderLoss.entry,
            MultipleNegativesSymmetricRankingLoss.entry,
            MultipleNegativesSymmetricRankingLoss.entry.cached(
                as: "CachedMultipleNegativesSymmetricRankingLoss", citation: gao2021),
            GISTEmbedLoss.entry,
            GISTEmbedLoss.entry.cached(as: "CachedGISTEmbedLoss"),
            SigmoidContrastiveLoss.entry,
            MegaBatchMarginLoss.entry,
            GlobalOrthogonalRegularizationLoss.entry,
            CosineSimilarityLoss.entry,
            CoSENTLoss.entry,
            AnglELoss.entry,
            ContrastiveLoss.entry,
            OnlineContrastiveLoss.entry,
            SoftmaxLoss.entry,
            MSELoss.entry,
            EmbedDistillLoss.entry,
            MarginMSELoss.entry,
            DistillKLDivLoss.entry,
            TripletLoss.entry,
            BatchAllTripletLoss.entry,
            BatchHardTripletLoss.entry,
            BatchHardSoftMarginTripletLoss.entry,
            BatchSemiHardTripletLoss.entry,
            MatryoshkaLoss.entry,
            AdaptiveLayerLoss.entry,
            Matryoshka2dLoss.entry,
            SumLoss.entry,
        ]
    ) { $0.name }

    /// The paper of losses whose texts are encoded in chunks.
    private static let gao2021 = """
        @misc{gao2021scaling,
            title={Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup},
            author={Luyu Gao and Yunyi Zhang and Jiawei Han and Jamie Callan},
            year={2021},
            eprint={2101.06983},
            archivePrefix={arXiv},
            primaryClass={cs.LG}
        }
        """

    /// The entry of a loss.
    public static func entry(named name: String) throws(TuttiError) -> LossEntry {
        if let entry = all.first(where: { $0.name == name }) { return entry }
        throw TuttiError.loss(
            name, problem: "unknown loss",
            hint: TuttiError.hint(unknown: name, known: all.map(\.name)))
    }

    /// Makes a loss from its name and options; a name or an option that is not known is an error with a suggestion.
    public static func make(_ specification: LossSpecification) throws(TuttiError) -> ConfiguredLoss {
        let entry = try entry(named: specification.name)
        let own = Set(entry.options.map(\.name))
        let known = entry.options.map(\.name) + CommonLossSettings.options.names.filter { !own.contains($0) }
        func refused(_ option: String, _ problem: String, _ hint: String?) -> TuttiError {
            .loss(entry.name, option: option, problem: problem, hint: hint)
        }
        for key in specification.options.keys where !known.contains(key) {
            throw refused(key, "unknown option", TuttiError.hint(unknown: key, known: known))
        }
        var common = CommonLossSettings()
        try CommonLossSettings.options.read(specification.options, into: &common, error: refused)
        let (loss, isChunked) = try entry.make(specification.options)
        var made = ConfiguredLoss(loss, name: entry.name)
        made.chunking = isChunked ? common.chunking ?? entry.chunking : nil
        if made.chunking == nil { made.chunking = made.loss.nested.lazy.compactMap(\.chunking).first }
        made.initialParameters =
            common.initialParameters ?? made.loss.nested.lazy.compactMap(\.initialParameters).first
        return made
    }

    /// Makes a loss from its name and options.
    public static func make(name: String, options: JSONObject = JSONObject()) throws(TuttiError) -> ConfiguredLoss {
        try make(LossSpecification(name: name, options: options))
    }
}
