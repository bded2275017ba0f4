// What a configuration says of an evaluator, and what is known of the model that it will judge.

import TuttiFormats
import TuttiGround
import TuttiModels

/// The members of one entry of `evaluators` in a configuration.
public struct EvaluatorOptions {
    /// Where the options stand, such as "evaluators[0]".
    public let place: String
    /// The options themselves, `name` left out.
    public let object: JSONObject
    /// The similarity function of the model that will be judged, which evaluators use when none is named.
    public let modelSimilarity: String
    /// The prompts of that model by name.
    public let modelPrompts: [String: String]
    /// The classifier that the run's loss trains, if it does; a configuration can name another one.
    package var classifier: SoftmaxClassifier?
    /// How evaluations of that model compute, which teachers do too unless they are told otherwise.
    public var compute = FrozenCompute.fp32
    /// Where the option of a name stands; by default its name after `place`.
    public var placeOfOption: (String) -> String
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
        placeOfOption = { "\(place).\($0)" }
        loadModel = { (path) throws(TuttiError) in try SentenceEncoder.load(path) }
    }

    /// A configuration error about the option `key`: exit code 64.
    public func error(_ key: String, _ problem: String, hint: String? = nil) -> TuttiError {
        TuttiError(.usage, "read the configuration", placeOfOption(key), problem, hint: hint)
    }
}
