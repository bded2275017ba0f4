// The similarity functions that an evaluator judges by, as options name them: cosine, dot, euclidean, manhattan.

import TuttiGround
import TuttiObjectives

/// A similarity function under the name that evaluators give it: `cosine`, where losses write `cos_sim`.
struct SimilarityName: OptionValue, Equatable {
    /// The function.
    let function: SimilarityFunction

    /// The name of `function`.
    init(function: SimilarityFunction) { self.function = function }

    /// What a configuration writes, in words.
    static var words: String { "one of \(SimilarityFunction.names.joined(separator: ", "))" }

    /// Reads a name of either kind.
    init(option json: JSONValue) throws(OptionProblem) {
        try self.init(String(option: json))
    }

    /// The function of a name of either kind.
    init(_ name: String) throws(OptionProblem) {
        guard let function = SimilarityFunction(functionName: name) else {
            throw OptionProblem(
                "the similarity function '\(name)' is not known",
                hint: TuttiError.hint(unknown: name, known: SimilarityFunction.names))
        }
        self.function = function
    }

    /// The short name.
    var optionJSON: JSONValue { .string(function.rawValue) }
}

/// Which functions an evaluator judges by, and which of them is the main one.
struct SimilarityChoice: Sendable {
    /// The functions, as far as they are named.
    var names: [SimilarityName]?
    /// The function of the primary metric, if it is named.
    var mainName: SimilarityName?

    /// The function of the primary metric, if it is named.
    var main: SimilarityFunction? {
        get { mainName?.function }
        set { mainName = newValue.map { SimilarityName(function: $0) } }
    }

    /// The functions that are named; a main one, which has an option of its own under this name.
    static func options<Owner>(
        main: String? = nil, in path: WritableKeyPath<Owner, SimilarityChoice> & Sendable
    ) -> [Option<Owner>] {
        var options = [Option("similarity_fn_names", \SimilarityChoice.names, functionsMeaning, check: distinct)]
        if let main {
            options.append(
                Option(main, \.mainName, "the function of the primary metric; by default the best one"))
        }
        return options.map { $0.lifted(to: path) }
    }

    private static let functionsMeaning = "the similarity functions; by default the main one, else the model's"

    /// No function twice.
    static let distinct = OptionCheck<[SimilarityName]>("no two equal") { names in
        let twice = names.indices.first { names[..<$0].contains(names[$0]) }
        return twice.map { "names '\(names[$0].function.rawValue)' twice" }
    }
}

extension EvaluatorOptions {
    /// The functions that are named, else the main one, else the model's.
    ///
    /// - Throws: 64 where the main one is not among those that are named.
    func functions(_ choice: SimilarityChoice) throws(TuttiError) -> [SimilarityFunction] {
        let functions = choice.names.map { $0.map(\.function) } ?? []
        if !functions.isEmpty {
            guard let main = choice.main, !functions.contains(main) else { return functions }
            throw error("similarity_fn_names", "leaves out '\(main.rawValue)', the main similarity function")
        }
        if let main = choice.main { return [main] }
        do throws(OptionProblem) {
            return [try SimilarityName(modelSimilarity).function]
        } catch let flaw {
            throw error("similarity_fn_names", "the model's own: \(flaw.problem)", hint: flaw.hint)
        }
    }
}
