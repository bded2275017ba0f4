// CoSENTLoss: of two pairs of the global batch, the one with the higher score must be more similar.
//
// Legend: `b` rows on this rank, `N` rows of all ranks, `D` width, `s` a pair's scaled similarity, `y` its score.

import Foundation
import TuttiEnsemble
import TuttiGround
import TuttiKernels

/// Orders similarities like the scores: a pair is compared with all pairs of a higher score.
///
///     loss = log( 1 + sum over y_i < y_j of exp(s_i - s_j) ),   s_i = scale * sim(u_i, v_i)
///
/// **When to use it**: pairs with a similarity score; the usual choice, and the reference's default loss.
/// Only the order of scores matters; pairs with equal scores are not compared.
///
/// **Inputs**
///
/// | texts | labels |
/// |---|---|
/// | (sentence_A, sentence_B) | score |
///
/// **Relations**: equals the reference in one process with the batch of all ranks, whatever the number of ranks (the
/// reference under DDP compares only the pairs of one rank). No mean: the value grows with the batch.
///
/// **Memory**: similarities and scores of all ranks are exchanged, N numbers each; value and gradient take O(N log N).
///
/// **Citation**: Huang et al. 2024, "CoSENT: Consistent Sentence Embedding via Similarity Ranking",
/// doi 10.1109/TASLP.2024.3402087. **Reference**: sentence_transformers, losses/cosent.py.
public final class CoSENTLoss: Loss {
    /// "CoSENTLoss".
    public static let name = "CoSENTLoss"

    /// Its options.
    struct Settings: LossSettings {
        var scale = 20.0
        var similarity = PairSimilarity.other(.cosine)

        static let options = OptionList<Settings>([
            Option("scale", \.scale, "factor on the similarities, the inverse temperature", check: .positive),
            Option("similarity_fct", \.similarity, "the similarity of two embeddings"),
        ])
    }

    private let scale: Double
    private let similarity: PairSimilarity
    private let tape = Tape()

    /// Creates the loss.
    ///
    /// - Throws: `TuttiError` for a scale that is not a positive number.
    public init(scale: Double = 20, similarity: PairSimilarity = .other(.cosine)) throws(TuttiError) {
        guard scale.isFinite, scale > 0 else {
            throw TuttiError.loss(Self.name, option: "scale", problem: "\(scale) is not a positive number")
        }
        self.scale = scale
        self.similarity = similarity
    }

    /// scale and similarity_fct.
    public var options: [(name: String, value: JSONValue)] { Settings(scale: scale, similarity: similarity).listed }

    /// Refuses data other than pairs with a score.
    public func check(_ setting: LossSetting) throws(TuttiError) { try setting.check(against: Self.entry) }

    /// The loss on rank zero, zero elsewhere. Collective.
    public func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluate(batch, gradients, context) { tape in
            let scores = try tape.gatherRows(tape.labels(of: Self.name))  // [N, 1]
            let similarities = tape.pairSimilarities(similarity, tape.column(0), tape.column(1))  // [b, 1]
            return try tape.once(tape.orderCost(tape.gatherRows(similarities), scores, scale: scale))
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name,
        summary: "similarities must be in the order of the scores, over all pairs of the global batch",
        inputs: [LossInput("sentence_A", "sentence_B", label: .score)],
        settings: Settings.self,
        citation: """
            @article{10531646,
                author={Huang, Xiang and Peng, Hao and Zou, Dongcheng and Liu, Zhiwei and Li, Jianxin and Liu, Kay and \
            Wu, Jia and Su, Jianlin and Yu, Philip S.},
                journal={IEEE/ACM Transactions on Audio, Speech, and Language Processing},
                title={CoSENT: Consistent Sentence Embedding via Similarity Ranking},
                year={2024},
                doi={10.1109/TASLP.2024.3402087}
            }
            """,
        make: { settings throws(TuttiError) in
            try CoSENTLoss(scale: settings.scale, similarity: settings.similarity)
        })
}

extension Tape {
    /// log(1 + sum over y_i < y_j of exp(s_i - s_j)) for s = scale * x: `[N, 1]` and `[N, 1]` to `[1, 1]`.
    ///
    /// With the pairs sorted by y, the sum over j is a suffix sum; the derivative with respect to s_j is a prefix sum.
    func orderCost(_ x: TapeValue, _ y: TapeValue, scale: Double) -> TapeValue {
        let order = (0..<y.rows).sorted { y.matrix[$0, 0] < y.matrix[$1, 0] }
        let levels = order.chunked { y.matrix[$0, 0] == y.matrix[$1, 0] }  // pairs of equal score, ascending
        return mapRows(transposed(x)) { _, numbers, slopes in
            let s = numbers.map { scale * Double($0) }
            var (higher, lower) = (s, s)  // log sums of e^-s above a pair's score, of e^s below it
            var (above, below, total) = (LogSum(), LogSum(), LogSum())
            total.add(0)
            for level in levels.reversed() {
                for i in level { higher[i] = above.logarithm }
                for i in level { above.add(-s[i]) }
            }
            for level in levels {
                for i in level { lower[i] = below.logarithm }
                for i in level { below.add(s[i]) }
            }
            for i in s.indices { total.add(s[i] + higher[i]) }
            let cost = total.logarithm
            for i in s.indices {
                slopes[i] += Float(scale * (exp(s[i] + higher[i] - cost) - exp(lower[i] - s[i] - cost)))
            }
            return cost
        }
    }
}

/// Streaming log-sum-exp, without overflow.
private struct LogSum {
    private var largest = -Double.infinity
    private var sum = 0.0  // of e^(x - largest)

    /// Adds e^x.
    mutating func add(_ x: Double) {
        if x == -.infinity { return }
        if x > largest {
            sum = sum * exp(largest - x) + 1
            largest = x
        } else {
            sum += exp(x - largest)
        }
    }

    /// -infinity without a term.
    var logarithm: Double { sum > 0 ? largest + log(sum) : -.infinity }
}

extension [Int] {
    /// Groups equal neighbours.
    fileprivate func chunked(_ areAlike: (Int, Int) -> Bool) -> [ArraySlice<Int>] {
        var chunks: [ArraySlice<Int>] = []
        var first = 0
        for place in indices where place + 1 == count || !areAlike(self[place], self[place + 1]) {
            chunks.append(self[first...place])
            first = place + 1
        }
        return chunks
    }
}
