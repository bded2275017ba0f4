// MatryoshkaLoss: another loss on the first 768, 512, 256 ... dimensions of the embeddings, all at once.
//
// Legend: `D` width, `d` a smaller width, `C` text columns, `b` rows on this rank.

import TuttiGround
import TuttiKernels

/// Trains embeddings whose leading dimensions are embeddings too: the sum of another loss over several widths.
///
///     loss = sum_k  w_k  inner( normalise( E[:, ..<d_k] ) )
///
/// Truncated embeddings are scaled to unit length, also at the full width: the inner loss never sees lengths. Labels
/// that are a teacher's embeddings are truncated to the same width, but not scaled.
///
/// **When to use it**: when users of the model will shorten embeddings to save memory or time.
///
/// **Inputs**: those of the inner loss.
///
/// **Relations**: some versions of the reference ignored n_dims_per_step around its Cached losses; in Tutti every loss
/// may be chunked and none is special. The samples are the same on all ranks. The embeddings of a trained twin are
/// truncated too.
///
/// **Citation**: Kusupati et al. 2022, "Matryoshka Representation Learning", arXiv 2205.13147. **Reference**:
/// sentence_transformers, losses/matryoshka.py.
public final class MatryoshkaLoss: Loss {
    /// "MatryoshkaLoss".
    public static let name = "MatryoshkaLoss"

    /// The widths and their weights, shared with Matryoshka2dLoss.
    struct Widths: Sendable {
        var dims: [Int] = []
        var weights: [Double]?

        static let options: [Option<Widths>] = [
            Option(
                "matryoshka_dims", \.dims, "the widths, such as [768, 512, 256, 128, 64]", isRequired: true),
            Option("matryoshka_weights", \.weights, "one weight per width (default: all 1)"),
        ]
    }

    /// Its options.
    struct Settings: LossSettings {
        var loss = LossSpecification(name: "")
        var widths = Widths()
        var widthsPerStep = -1

        static let options = OptionList<Settings>(
            [Option("loss", \.loss, "the inner loss", isRequired: true)]
                + Widths.options.map { $0.lifted(to: \.widths) }
                + [Option("n_dims_per_step", \.widthsPerStep, "widths sampled per step; all if not positive")])
    }

    private let inner: ConfiguredLoss
    private let widths: [Int]
    private let weights: [Double]
    private let widthsPerStep: Int
    private let tape = Tape()

    /// Wraps a loss.
    ///
    /// - Throws: `TuttiError` for widths that are not positive or a different number of weights.
    public init(
        _ inner: ConfiguredLoss, matryoshkaDims: [Int], matryoshkaWeights: [Double]? = nil, nDimsPerStep: Int = -1
    ) throws(TuttiError) {
        guard !matryoshkaDims.isEmpty, matryoshkaDims.allSatisfy({ $0 > 0 }) else {
            throw TuttiError.loss(
                Self.name, option: "matryoshka_dims", problem: "\(matryoshkaDims) is not a list of widths above 0")
        }
        let weights = matryoshkaWeights ?? matryoshkaDims.map { _ in 1 }
        guard weights.count == matryoshkaDims.count else {
            throw TuttiError.loss(
                Self.name, option: "matryoshka_weights",
                problem: "\(weights.count) weights for \(matryoshkaDims.count) widths", hint: "Give one per width.")
        }
        self.inner = inner
        let order = matryoshkaDims.indices.sorted { matryoshkaDims[$0] > matryoshkaDims[$1] }
        widths = order.map { matryoshkaDims[$0] }
        self.weights = order.map { weights[$0] }
        widthsPerStep = nDimsPerStep
    }

    /// The loss that is applied to every width.
    public var nested: [ConfiguredLoss] { [inner] }

    /// loss, matryoshka_dims, matryoshka_weights and n_dims_per_step.
    public var options: [(name: String, value: JSONValue)] {
        Settings(
            loss: LossSpecification(name: inner.name), widths: Widths(dims: widths, weights: weights),
            widthsPerStep: widthsPerStep
        ).listed
    }

    /// The sum over widths of the inner loss's.
    public func chance(rows: Double, columns: Int) -> Double? {
        guard widthsPerStep <= 0 || widthsPerStep >= widths.count else { return nil }
        return inner.loss.chance(rows: rows, columns: columns).map { $0 * weights.reduce(0, +) }
    }

    /// Refuses widths beyond the model's, and inner losses whose own parameters have the model's width.
    public func check(_ setting: LossSetting) throws(TuttiError) {
        for width in widths {
            guard width <= setting.width else {
                throw TuttiError.loss(
                    Self.name, option: "matryoshka_dims",
                    problem: "\(width) dimensions, but the model's embeddings have \(setting.width)",
                    hint: "Remove larger widths.")
            }
            var cut = setting
            cut.width = width
            if inner.takesEmbeddings, case .lists(let numbers) = setting.labels, numbers % setting.width == 0 {
                cut.labels = .lists(numbers / setting.width * width)
            }
            try inner.loss.check(cut)
            let isFixed = inner.loss.parameters(cut) != inner.loss.parameters(setting)
            guard !isFixed, inner.loss.requirements.decoder == nil else {
                throw TuttiError.loss(
                    Self.name, option: "loss",
                    problem: "\(inner.name) has parameters of the model's width and cannot use \(width) dimensions",
                    hint: "Choose an inner loss that compares embeddings.")
            }
        }
    }

    /// This rank's part of the sum over widths. Collective.
    public func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluateInner(batch, gradients, context) { tape in
            let full = batch.embeddings.columns
            var total = 0.0
            for place in places(context.draw) {
                let width = widths[place]
                // [.., d]
                func cut(_ value: TapeValue) -> TapeValue { tape.normalized(tape.columns(value, 0..<width)) }
                try withCutLabels(of: batch, from: full, to: width) { part in
                    total += try tape.evaluate(
                        inner.loss, part, embeddings: cut(tape.embeddings), trained: tape.trained.mapValues(cut),
                        weight: weights[place], branch: place)
                }
            }
            return total
        }
    }

    /// The widths of this step, by index.
    private func places(_ draw: LossDraw) -> [Int] {
        guard widthsPerStep > 0, widthsPerStep < widths.count else { return Array(widths.indices) }
        return draw.sample(widthsPerStep, of: widths.count, purpose: 0)
    }

    /// Calls `body` with the batch whose labels, if they are embeddings, are truncated to this width.
    private func withCutLabels(
        of batch: LossBatch, from full: Int, to width: Int, _ body: (LossBatch) throws -> Void
    ) rethrows {
        guard inner.takesEmbeddings, let labels = batch.labels, batch.labelWidth % full == 0, width < full else {
            return try body(batch)
        }
        let groups = batch.labelWidth / full
        let cut = tape.newMatrix(batch.rows * groups, width)
        for group in 0..<cut.rows { for k in 0..<width { cut[group, k] = labels[group * full + k] } }
        var part = batch
        part.labels = UnsafeBufferPointer(start: cut.pointer, count: cut.rows * width)
        part.labelWidth = groups * width
        try body(part)
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name, summary: "another loss on several leading parts of the embeddings, which can then be shortened",
        inputs: [],
        settings: Settings.self,
        citation: """
            @misc{kusupati2024matryoshka,
                title={Matryoshka Representation Learning},
                author={Aditya Kusupati and Gantavya Bhatt and Aniket Rege and Matthew Wallingford and Aditya Sinha and \
            Vivek Ramanujan and William Howard-Snyder and Kaifeng Chen and Sham Kakade and Prateek Jain and Ali Farhadi},
                year={2024},
                eprint={2205.13147},
                archivePrefix={arXiv},
                primaryClass={cs.LG}
            }
            """,
        make: { settings throws(TuttiError) in
            try MatryoshkaLoss(
                settings.loss.make(at: "loss", in: name), matryoshkaDims: settings.widths.dims,
                matryoshkaWeights: settings.widths.weights, nDimsPerStep: settings.widthsPerStep)
        })
}
