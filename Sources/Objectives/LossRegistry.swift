// LossRegistry: every loss there is. Adding one = one file in Losses/ + one line in `all` + one test.

/// What the command, its help, the documentation and the model card know of a loss.
public struct LossEntry: Sendable {
    /// The class name that users of sentence-transformers know.
    public var name: String

    /// One line: what it is for.
    public var summary: String

    /// The inputs in words, for example "(anchor, positive, negative_1 ... negative_n)".
    public var columns: String

    /// How many text columns a data set for it may have.
    public var textColumns: ClosedRange<Int>

    /// The labels in words, or nil if it takes none.
    public var labels: String?

    /// Its options with their values when the configuration is silent.
    public var options: [LossOptionDescription]

    /// BibTeX of the paper that introduced it, for the model card.
    public var citation: String

    /// Options of the reference that are not available here, with the reason.
    var later: [String: String]

    /// Makes it from checked options.
    var make: @Sendable (LossOptions) throws(LossError) -> any Loss

    init(
        name: String, summary: String, columns: String, textColumns: ClosedRange<Int>, labels: String? = nil,
        options: [LossOptionDescription], citation: String, later: [String: String] = [:],
        make: @escaping @Sendable (LossOptions) throws(LossError) -> any Loss
    ) {
        self.name = name
        self.summary = summary
        self.columns = columns
        self.textColumns = textColumns
        self.labels = labels
        self.options = options
        self.citation = citation
        self.later = later
        self.make = make
    }
}

/// The losses by name.
public enum LossRegistry {
    /// Every loss.
    public static let all: [LossEntry] = [
        MultipleNegativesRankingLoss.entry
    ]

    /// The entry of a loss.
    public static func entry(named name: String) throws(LossError) -> LossEntry {
        if let entry = all.first(where: { $0.name == name }) { return entry }
        let names = all.map(\.name)
        let near = closestName(to: name, among: names).map { "Did you mean \"\($0)\"? " } ?? ""
        throw LossError(
            loss: name, problem: "unknown loss", hint: "\(near)Known losses: \(names.joined(separator: ", ")).")
    }

    /// Makes a loss from its name and options; a name or an option that is not known is an error with a suggestion.
    public static func make(name: String, options: [String: LossOption] = [:]) throws(LossError) -> any Loss {
        let entry = try entry(named: name)
        return try entry.make(LossOptions(options, loss: entry.name, known: entry.options, later: entry.later))
    }
}
