// What a teacher makes of the texts of an evaluator: encoded once, by all ranks, and kept on rank zero.

import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels

/// Embeddings that a model is held to.
final class TeacherEmbeddings {
    private let texts: [String]
    private let common: CommonEvaluatorSettings
    private let compute: FrozenCompute
    private var teacher: (any SentenceEncoding)?  // until it has encoded
    private var rows = Embeddings(count: 0, dimension: 0)
    private var dimension = 0

    /// The embeddings of `texts` by `teacher`, which computes by `compute`, cut as `common` says.
    init(
        of texts: [String], by teacher: any SentenceEncoding, compute: FrozenCompute, common: CommonEvaluatorSettings
    ) {
        self.texts = texts
        self.teacher = teacher
        self.compute = compute
        self.common = common
    }

    /// A row for every text on rank zero, and no rows elsewhere; the teacher is let go.
    ///
    /// Collective.
    func embeddings(_ ensemble: any Ensemble, _ context: EvaluationContext) throws -> Embeddings {
        guard let teacher else { return rows }
        if let model = teacher as? SentenceEncoder { _ = try compute.apply(to: [model], among: ensemble) }
        let unique = UniqueTexts(texts)
        let encoded = try teacher.encode(
            unique.texts, prompt: nil, tokensPerBatch: context.tokensPerBatch, ensemble: ensemble)
        let cut = common.cut(encoded)
        dimension = cut.dimension
        if ensemble.isRoot { rows = cut.gathering(unique.places) }
        self.teacher = nil
        return rows
    }

    /// Refuses a model of another width than the teacher's, on every rank.
    func check(_ embeddings: Embeddings) throws(TuttiError) {
        guard embeddings.dimension != dimension else { return }
        throw TuttiError(
            .usage, "evaluate", "teacher_model",
            "its embeddings have \(dimension) dimensions, and those of the model \(embeddings.dimension)",
            hint: "Choose a teacher of the same width, or cut both with truncate_dim.")
    }
}

extension Embeddings {
    /// `scale` times the mean of the squared differences, summed in double precision, then rounded to single.
    func meanSquaredError(_ other: Embeddings, times scale: Float) -> Float {
        precondition(
            count == other.count && dimension == other.dimension,
            "[\(count), \(dimension)] against [\(other.count), \(other.dimension)]")
        var sum = 0.0
        for row in 0..<count {
            for (x, y) in zip(self[row], other[row]) {
                let difference = x - y
                sum += Double(difference * difference)
            }
        }
        return Float(sum / Double(count * dimension)) * scale
    }
}

/// Which teacher an evaluator has.
struct TeacherSettings: DescribedSettings {
    var model = ""
    var compute: FrozenCompute?

    static let options = OptionList<TeacherSettings>([
        Option(
            "teacher_model", \.model, "the model whose embeddings are the aim", words: "a model folder or hub id",
            isRequired: true),
        Option(
            "compute", \.compute,
            "what the teacher rounds the operands of dense products to; what evaluations of the model do, if not given"),
    ])
}

extension EvaluatorOptions {
    /// The teacher of `settings`, and how it computes; where this processor cannot compute so, there is a notice.
    ///
    /// Throws: what loading it throws.
    func teacher(
        _ settings: TeacherSettings
    ) throws(TuttiError) -> (model: any SentenceEncoding, compute: FrozenCompute) {
        let chosen = settings.compute ?? compute
        if !chosen.isFastHere {
            notice("\(place): the teacher computes in fp32, as this processor does not multiply \(chosen.rawValue).")
        }
        return (try loadModel(settings.model), chosen)
    }
}
