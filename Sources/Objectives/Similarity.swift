// Similarity: the functions that compare embeddings, and how rows are made ready for a product of matrices.

import TuttiGround
import TuttiKernels

/// How two embeddings are compared; the names are those of a model's `similarity_fn_name`.
public enum SimilarityFunction: String, Sendable, CaseIterable {
    /// Inner product of unit vectors.
    case cosine
    /// Inner product.
    case dot
    /// Negative Euclidean distance.
    case euclidean
    /// Negative Manhattan distance.
    case manhattan

    /// The function's bare name in configurations of the reference: `cos_sim`, `dot_score` ...
    public var functionName: String {
        switch self {
        case .cosine: return "cos_sim"
        case .dot: return "dot_score"
        case .euclidean: return "euclidean_sim"
        case .manhattan: return "manhattan_sim"
        }
    }

    /// The function with this bare name (`cos_sim`, `pairwise_cos_sim`, `cosine` ...), or nil.
    public init?(functionName: String) {
        var name = functionName
        if name.hasPrefix("pairwise_") { name.removeFirst("pairwise_".count) }
        guard let match = Self.allCases.first(where: { $0.functionName == name || $0.rawValue == name }) else {
            return nil
        }
        self = match
    }
}

/// How the two embeddings of one row are compared: the reference's pairwise functions.
public enum PairSimilarity: Sendable, Equatable {
    /// A function that also compares all rows with all rows.
    case other(SimilarityFunction)
    /// |cosine + sine| of embeddings read as complex numbers (AnglELoss).
    case angle

    /// All of them.
    static var all: [PairSimilarity] { SimilarityFunction.allCases.map { .other($0) } + [.angle] }

    /// The function's name in configurations of the reference: `pairwise_cos_sim` ...
    public var functionName: String {
        switch self {
        case .other(let function): return "pairwise_\(function.functionName)"
        case .angle: return "pairwise_angle_sim"
        }
    }

    /// The function with this name, which may lack `pairwise_`, or nil.
    public init?(functionName: String) {
        if let function = SimilarityFunction(functionName: functionName) {
            self = .other(function)
        } else if ["pairwise_angle_sim", "angle_sim"].contains(functionName) {
            self = .angle
        } else {
            return nil
        }
    }
}

/// Embeddings whose inner products are the similarities: unit vectors for cosine, themselves for dot.
struct ComparableRows {
    let rows: Matrix  // [n, D]
    private let norms: UnsafeMutablePointer<Float>?  // [n]

    /// Prepares `embeddings`; memory for unit vectors comes from `arena`.
    init(_ embeddings: Matrix, by similarity: InnerProductSimilarity, arena: inout Arena) {
        switch similarity {
        case .dot:
            rows = embeddings
            norms = nil
        case .cosine:
            let lengths = arena.floats(embeddings.rows)
            rows = arena.matrix(embeddings.rows, embeddings.columns)
            norms = lengths
            RowKernels.normalize(embeddings, norms: lengths, into: rows)
        }
    }

    /// Turns the derivative by `rows` into the derivative by the embeddings, in place.
    func adjoint(_ dRows: Matrix) {
        if let norms { RowKernels.normalizeBackward(rows, norms: norms, dY: dRows, into: dRows) }
    }
}

/// The similarities that are one product of matrices.
enum InnerProductSimilarity: Sendable {
    case cosine, dot

    /// nil where the function is a distance.
    init?(_ function: SimilarityFunction) {
        switch function {
        case .cosine: self = .cosine
        case .dot: self = .dot
        case .euclidean, .manhattan: return nil
        }
    }
}

extension SimilarityFunction: OptionValue {
    /// What a configuration writes, in words.
    public static var words: String { "one of \(allCases.map(\.functionName).joined(separator: ", "))" }

    /// Reads the value as a configuration writes it.
    public init(option json: JSONValue) throws(OptionProblem) {
        let text = try String(option: json)
        guard let function = SimilarityFunction(functionName: text) else {
            throw OptionProblem(
                "unknown function \"\(text)\"",
                hint: TuttiError.hint(unknown: text, known: SimilarityFunction.allCases.map(\.functionName)))
        }
        self = function
    }

    /// The value as a configuration writes it.
    public var optionJSON: JSONValue { .string(functionName) }
}

extension PairSimilarity: OptionValue {
    /// What a configuration writes, in words.
    public static var words: String { "one of \(all.map(\.functionName).joined(separator: ", "))" }

    /// Reads the value as a configuration writes it.
    public init(option json: JSONValue) throws(OptionProblem) {
        let text = try String(option: json)
        guard let function = PairSimilarity(functionName: text) else {
            throw OptionProblem(
                "unknown function \"\(text)\"",
                hint: TuttiError.hint(unknown: text, known: PairSimilarity.all.map(\.functionName)))
        }
        self = function
    }

    /// The value as a configuration writes it.
    public var optionJSON: JSONValue { .string(functionName) }
}
