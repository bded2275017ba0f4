// The options of an evaluator, asked for by key and type.
//
// Why: an unknown option or a value of the wrong type is a configuration error that names the key and the nearest known
// one, and asking through this type makes that the only way to ask.

import TuttiCorpus
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives

/// The members of one entry of `evaluators` in a configuration.
public struct EvaluatorOptions {
    /// Where the options stand, such as "evaluators[0]".
    public let place: String
    /// The options themselves.
    public let object: JSONObject
    /// The similarity function of the model that will be judged, which evaluators use when none is named.
    public let modelSimilarity: String
    /// The prompts of that model by name.
    public let modelPrompts: [String: String]
    /// The classifier that the run's loss trains, if it does; a configuration can name another one.
    package var classifier: SoftmaxClassifier?
    /// Gets what is odd in the evaluator's files, a line each.
    public var notice: (String) -> Void = { _ in }
    /// Loads the model that an option names, such as a teacher.
    public var loadModel: (String) throws(TuttiError) -> any SentenceEncoding

    /// Options that stand at `place`.
    public init(place: String, object: JSONObject, modelSimilarity: String, modelPrompts: [String: String] = [:]) {
        self.place = place
        self.object = object
        self.modelSimilarity = modelSimilarity
        self.modelPrompts = modelPrompts
        loadModel = { (path) throws(TuttiError) in try SentenceEncoder.load(path) }
    }

    /// Refuses options that `entry` does not describe, and checks those that every evaluator takes.
    func check(_ entry: EvaluatorEntry) throws(TuttiError) {
        let known = (entry.options + EvaluatorRegistry.commonOptions).map(\.name)
        for key in object.keys where !known.contains(key) {
            throw error(key, "is no option of \(entry.name)", hint: TuttiError.hint(unknown: key, known: known))
        }
        if let size = try int("batch_size"), size < 1 {
            throw error("batch_size", "is \(size), which must be at least 1")
        }
        _ = try bool("show_progress_bar")
        if let id = try string("id"), id.utf8.count > 128 {
            throw error(
                "id", "has \(id.utf8.count) bytes; it is part of the names of files, so at most 128 are possible")
        }
    }

    /// A configuration error about `key`.
    func error(_ key: String, _ problem: String, hint: String? = nil) -> TuttiError {
        TuttiError(.usage, "read configuration", "\(place).\(key)", problem, hint: hint)
    }

    private func mismatch(_ key: String, _ value: JSONValue, _ expected: String) -> TuttiError {
        error(key, "holds \(value.kindName) where \(expected) is needed")
    }

    /// The string at `key`, or nil.
    func string(_ key: String) throws(TuttiError) -> String? {
        guard let value = object[key], !value.isNull else { return nil }
        guard let text = value.string else { throw mismatch(key, value, "a string") }
        return text
    }

    /// The string at `key`.
    func requiredString(_ key: String) throws(TuttiError) -> String {
        guard let text = try string(key) else { throw error(key, "is missing") }
        return text
    }

    /// The integer at `key`, or nil.
    func int(_ key: String) throws(TuttiError) -> Int? {
        guard let value = object[key], !value.isNull else { return nil }
        guard let number = value.int else { throw mismatch(key, value, "an integer") }
        return number
    }

    /// The truth value at `key`, or nil.
    func bool(_ key: String) throws(TuttiError) -> Bool? {
        guard let value = object[key], !value.isNull else { return nil }
        guard let truth = value.bool else { throw mismatch(key, value, "true or false") }
        return truth
    }

    /// The strings at `key`, a single string counting as a list of one, or nil.
    func strings(_ key: String) throws(TuttiError) -> [String]? {
        guard let value = object[key], !value.isNull else { return nil }
        if let text = value.string { return [text] }
        guard let list = value.array else { throw mismatch(key, value, "a list of strings") }
        var texts: [String] = []
        for element in list {
            guard let text = element.string else { throw mismatch(key, element, "a list of strings") }
            texts.append(text)
        }
        return texts
    }

    /// The cut-offs at `key`, each at least 1, or `defaults`.
    func cutoffs(_ key: String, _ defaults: [Int]) throws(TuttiError) -> [Int] {
        guard let value = object[key], !value.isNull else { return defaults }
        let list = value.array ?? [value]
        var cutoffs: [Int] = []
        for element in list {
            guard let k = element.int, k >= 1 else { throw mismatch(key, element, "a list of integers from 1") }
            cutoffs.append(k)
        }
        guard !cutoffs.isEmpty else { throw error(key, "is an empty list") }
        return cutoffs
    }

    /// The truncation of embeddings, at least 1, or nil.
    func truncatedDimension() throws(TuttiError) -> Int? {
        guard let width = try int("truncate_dim") else { return nil }
        guard width >= 1 else { throw error("truncate_dim", "is \(width), which must be at least 1") }
        return width
    }

    /// The similarity function named at `key`, or nil.
    func similarity(_ key: String) throws(TuttiError) -> SimilarityFunction? {
        try string(key).map { (name) throws(TuttiError) in try similarity(named: name, key) }
    }

    /// The functions at `listKey`, else the main one, else the model's.
    func similarities(_ listKey: String, main: SimilarityFunction?) throws(TuttiError) -> [SimilarityFunction] {
        var functions: [SimilarityFunction] = []
        for name in try strings(listKey) ?? [] {
            let function = try similarity(named: name, listKey)
            guard !functions.contains(function) else { throw error(listKey, "names '\(name)' twice") }
            functions.append(function)
        }
        if !functions.isEmpty {
            guard let main, !functions.contains(main) else { return functions }
            throw error(listKey, "leaves out '\(main.rawValue)', the main similarity function")
        }
        if let main { return [main] }
        return [try similarity(named: modelSimilarity, "similarity_fn_name")]
    }

    private func similarity(named name: String, _ key: String) throws(TuttiError) -> SimilarityFunction {
        if let function = SimilarityFunction(rawValue: name) ?? SimilarityFunction(functionName: name) {
            return function
        }
        throw error(
            key, "the similarity function '\(name)' is not known",
            hint: TuttiError.hint(unknown: name, known: SimilarityFunction.names))
    }
}
