// The keys of config.json about positions that DeBERTa's versions share.

import TuttiGround
import TuttiKernels

/// What config.json says about DeBERTa's positions and tables.
package struct DisentangledSettings: Sendable, Equatable {
    /// Terms of a score beside contents: "c2p" and "p2c".
    var terms: [String] = []
    /// Whether there is a table of relative positions.
    var isRelative = false
    /// Below 1 = max_position_embeddings.
    var maximum = -1
    /// Whether tokens also have rows of a table of absolute positions.
    var hasTable = true
    /// Width of the tables; nil = hidden_size.
    var tableWidth: Int?

    static let options = OptionList<DisentangledSettings>([
        Option(
            "pos_att_type", words: "a list or a string of c2p and p2c", "terms of a score beside contents",
            read: { (json, owner) throws(OptionProblem) in
                if json.isNull {
                    owner.terms = []
                } else if let text = json.string {
                    owner.terms = text.lowercased().filter { $0 != " " }.split(separator: "|").map(String.init)
                } else {
                    owner.terms = try [String](option: json)
                }
                if let other = owner.terms.first(where: { $0 != "c2p" && $0 != "p2c" }) {
                    throw OptionProblem("the term '\(other)' is not computed", hint: "Computed are c2p and p2c.")
                }
            }, write: { $0.terms.optionJSON }),
        Option("relative_attention", \.isRelative, "whether there is a table of relative positions"),
        Option("max_relative_positions", \.maximum, "distances with rows; below 1 = max_position_embeddings"),
        Option("position_biased_input", \.hasTable, "whether there is a table of absolute positions"),
        Option("embedding_size", \.tableWidth, "width of the tables", check: .atLeast(1)),
        .only("talking_head", false, "whether heads are mixed"),
    ])

    /// Whether queries read positions.
    var readsKeys: Bool { isRelative && terms.contains("c2p") }
    /// Whether keys read positions.
    var readsQueries: Bool { isRelative && terms.contains("p2c") }

    /// Distances with rows in one direction, before buckets.
    func farthest(_ shape: TransformerShape) -> Int { maximum < 1 ? shape.maximumPositions : maximum }

    /// Factor of the scores: every term has the same part in their variance.
    func scale(width: Int) -> Float { 1 / Float(width * (1 + terms.count)).squareRoot() }

    /// What the settings ask for, and `more`, where the table of relative positions has `reach` rows in one direction.
    func sizes(
        _ shape: TransformerShape, reach: Int, _ more: [(key: String, shape: [Int])] = []
    ) -> FamilySizes {
        let width = tableWidth ?? shape.hiddenSize
        let table: [(key: String, shape: [Int])] =
            isRelative ? [("max_relative_positions", [2, reach, shape.hiddenSize])] : []
        return shape.sizes(of: table + more, tableWidth: width, hasPositions: hasTable)
    }

    /// Token tables, projected before the norm where they are narrower than the layers.
    func embedding(_ shape: TransformerShape) -> TokenEmbeddingPlan {
        let width = tableWidth ?? shape.hiddenSize
        var plan = shape.embedding(width: width, hasPositions: hasTable)
        plan.norm = shape.norm("embeddings.LayerNorm")
        if width != shape.hiddenSize {
            plan.projection = .init(
                linear: LinearPlan("embeddings.embed_proj", inputs: width, outputs: shape.hiddenSize, hasBias: false),
                isBeforeNorm: true)
        }
        return plan
    }

    /// Refuses a term without a table.
    func validate() throws(TuttiError) {
        guard Set(terms).count == terms.count else { throw planError("pos_att_type", "names a term twice") }
    }
}
