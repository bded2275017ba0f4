// What golden runs of models share: the reference's settings, its losses and gradient norms, the distance of weights.
//
// The scripts in Tests/Golden train for eight steps of six rows in their order, by SGD at a constant rate, in double precision.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiTraining

/// A run with the settings of the reference's.
enum GoldenRun {
    /// The run of `model` on pairs of texts, or on `rows` "scores"; `changes` of `args:` and `more` keys of the file.
    static func configuration(
        model: String, _ output: String, args changes: JSONObject = JSONObject(),
        loss: JSONValue = .string("MultipleNegativesRankingLoss"), rows: String = "pairs",
        more: JSONObject = JSONObject()
    ) throws -> TrainingConfiguration {
        var args: JSONObject = [
            "optim": .string("sgd"), "lr_scheduler_type": .string("constant"), "max_grad_norm": .number(1e9),
            "num_train_epochs": .integer(1), "logging_steps": .integer(1), "save_strategy": .string("no"),
            "batch_sampler": .string("sequential"), "global_train_batch_size": .integer(6),
        ]
        for (key, value) in changes { args[key] = value }
        let columns = rows == "pairs" ? ["anchor", "positive"] : ["sentence1", "sentence2", "score"]
        var root: JSONObject = [
            "model": .string(model), "output_dir": .string(output), "loss": loss, "args": .object(args),
            "train_dataset": .object([
                "path": .string(Goldens.path("families/rows/\(rows).jsonl")),
                "columns": .array(columns.map(JSONValue.string)),
            ]),
        ]
        for (key, value) in more { root[key] = value }
        return try TrainingConfiguration(root, places: ConfigurationPlaces(file: model), purpose: .training) { _ in }
    }

    /// Every rate of dropout in the config.json of `model`, at `rate`; none at zero.
    static func dropout(_ rate: Double, in model: String) throws -> JSONObject {
        var overrides = JSONObject()
        for (key, value) in try #require(try JSONValue.parse(file: model + "/config.json").object)
        where rate > 0 && key.contains("drop") && value.double != nil {
            overrides[key] = .number(rate)
        }
        return ["config_overrides": .object(overrides)]
    }

    /// Trains to the end; the values of all parameters before and after.
    static func train(
        _ inputs: TrainingInputs, ensemble: any Ensemble = LocalEnsemble.single()
    ) throws -> (start: [Float], end: [Float]) {
        let start = parameterValues(inputs.model)
        #expect(try Trainer(inputs, ensemble: ensemble).train() == .finished)
        return (start, parameterValues(inputs.model))
    }

    /// The eight losses and gradient norms in `output` are the reference's, {loss, grad_norm} a step.
    static func expectSteps(
        _ steps: JSONValue?, in output: String, _ name: String = "",
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let lines = try trainingLines(output)
        let steps = try #require(steps?.array, sourceLocation: sourceLocation).compactMap(\.object)
        #expect(lines.count == steps.count && steps.count == 8, sourceLocation: sourceLocation)
        for (line, step) in zip(lines, steps) {
            for (key, bound) in [("loss", 1e-5), ("grad_norm", 2e-5)] {
                let own = try #require(line[key]?.double, sourceLocation: sourceLocation)
                let wanted = try #require(step[key]?.double, sourceLocation: sourceLocation)
                #expect(
                    abs(own - wanted) <= bound * max(1, abs(wanted)), "\(name) \(key) \(own) vs \(wanted)",
                    sourceLocation: sourceLocation)
            }
        }
    }

    /// The weights in the model folder `final` are those with which the reference ended, the tensors "end.<folder>/<name>" of
    /// `golden`/expected.safetensors, to 2e-5 of their way from `golden`/model; there are more than `count` of them.
    static func expectEnd(
        _ final: String, golden: String, moreThan count: Int, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let expected = try SafetensorsFile(path: golden + "/expected.safetensors")
        var (found, start, wanted) = ([Float](), [Float](), [Float]())
        for info in expected.tensors where info.name.hasPrefix("end.") {
            // The reference names the file of a shared module in its own order of saving; the folder's name is the same.
            let parts = info.name.dropFirst(4).split(separator: "/", omittingEmptySubsequences: false)
            let file = parts.dropLast().map { "/" + $0 }.joined() + "/model.safetensors"
            let tensor = String(parts.last ?? "")
            found += try SafetensorsFile(path: final + file).floats(tensor)
            start += try SafetensorsFile(path: golden + "/model" + file).floats(tensor)
            wanted += try expected.floats(info.name)
        }
        #expect(wanted.count > count, sourceLocation: sourceLocation)
        let share = shareOfMovement(found, (start, wanted))
        #expect(share <= 2e-5, "\(share) of the movement", sourceLocation: sourceLocation)
    }

    /// The reference's weights moved by a hundredth of their size or more.
    static func expectMovement(
        _ movement: JSONValue?, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let moved = try #require(movement?.double, sourceLocation: sourceLocation)
        #expect(moved >= 0.01, "a run that hardly moves proves nothing", sourceLocation: sourceLocation)
    }
}

/// |p - q|, relative to the movement of q; infinite where nothing moved or the counts differ.
func shareOfMovement(_ p: [Float], _ q: (start: [Float], end: [Float])) -> Double {
    guard p.count == q.end.count, q.start.count == q.end.count else { return .infinity }
    var (difference, moved) = (0.0, 0.0)
    for place in p.indices {
        difference += pow(Double(p[place]) - Double(q.end[place]), 2)
        moved += pow(Double(q.end[place]) - Double(q.start[place]), 2)
    }
    return moved > 0 ? (difference / moved).squareRoot() : .infinity
}
