// What an evaluator is: it encodes texts with every rank, computes metrics on rank zero and gives them to all.
//
// Keys, CSV files and tie rules are those of sentence-transformers 6.2, so that metric_for_best_model, plots and
// dashboards made for it keep working.
//
// Reference: sentence_transformers/base/evaluation/evaluator.py.

import Foundation
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels

/// A metric's key, as the reference spells it, and its value.
public typealias Metric = (key: String, value: Double)

/// When and where an evaluation happens.
public struct EvaluationContext: Sendable {
    /// The run's output directory; results are appended below its folder eval/. Nil writes nothing.
    public var outputDirectory: String?
    /// The epoch as a fraction, -1 outside training.
    public var epoch: Double
    /// The optimizer step, -1 outside training.
    public var step: Int
    /// Tokens a batch while encoding.
    public var tokensPerBatch: Int
    /// Takes what an evaluator is asked to print, on rank zero; to standard error by default, away from results.
    public var report: @Sendable (String) -> Void = { FileHandle.standardError.write(Data("\($0)\n".utf8)) }

    /// A moment of training, or the defaults for an evaluation outside of it.
    public init(outputDirectory: String? = nil, epoch: Double = -1, step: Int = -1, tokensPerBatch: Int = 8192) {
        self.outputDirectory = outputDirectory
        self.epoch = epoch
        self.step = step
        self.tokensPerBatch = tokensPerBatch
    }
}

/// Judges a model on data of its own.
public protocol Evaluator: AnyObject {
    /// The class name by which configurations ask for it.
    static var className: String { get }
    /// The name of the data, which prefixes every key; empty for none.
    var name: String { get }
    /// The key by which models are compared; larger is better.
    var primaryMetric: String { get }
    /// Every key that `evaluate` returns, in order.
    var metricKeys: [String] { get }
    /// What the model card calls the evaluation.
    var title: String { get }
    /// The options that differ from their defaults, for the model card.
    var configuration: JSONObject { get }
    /// The evaluators that the model card tells of in place of this one; a key that several of them have is told by
    /// the first.
    var reported: [any Evaluator] { get }

    /// Takes up what its first evaluation decided, from the metrics that it gave: a resumed run goes on as it began.
    func recall(_ first: [Metric])

    /// Evaluates `model` and returns its metrics, the same on every rank.
    ///
    /// Throws: the error of rank zero on every rank when the results cannot be written.
    /// Collective: every rank must call with the same model and context.
    func evaluate(
        model: any SentenceEncoding, ensemble: any Ensemble, context: EvaluationContext
    ) throws -> [Metric]
}

extension Evaluator {
    /// No options to tell of.
    public var configuration: JSONObject { JSONObject() }

    /// Itself alone.
    public var reported: [any Evaluator] { [self] }

    /// Nothing was decided.
    public func recall(_ first: [Metric]) {}

    /// What it does, in a few words for a progress display.
    public var task: String { "Evaluating " + (name.isEmpty ? title : name) }

    /// `key` with "name_" before it, where the data have a name.
    public func prefixed(_ key: String) -> String { metricKey(key, of: name) }
}

/// `key` with "name_" before it, where there is a name.
func metricKey(_ key: String, of name: String) -> String { name.isEmpty ? key : "\(name)_\(key)" }

extension Ensemble {
    /// Computes metrics on rank zero, which may also write files, and gives the same bits to every rank. Collective.
    ///
    /// - Throws: the error of `body` on every rank.
    public func metricsOnRoot(_ body: () throws -> [Metric]) throws -> [Metric] {
        let sent = try onRoot { try body().map { SentMetric(key: $0.key, bits: $0.value.bitPattern) } }
        return sent.map { ($0.key, Double(bitPattern: $0.bits)) }
    }
}

/// A metric on its way from rank zero: bits, because NaN has no place in most encodings.
private struct SentMetric: Codable {
    let key: String
    let bits: UInt64
}
