// Evaluators as a run has them: their keys in log and card, what an interruption must not change, what is refused.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports
import TuttiTraining

/// Asks the run to save and stop after a step.
private final class StopAfter: Report, AsksToStop {
    let stop = StopRequest()
    private let step: Int
    init(_ step: Int) { self.step = step }
    func stepped(_ progress: StepProgress) {
        if progress.step == step { stop.ask(.saveAndStop) }
    }
}

@Suite(.serialized) struct EvaluatorsOfRunsTests {
    /// A run that judges by retrieval at steps 2 and 4 of 5, and at its end, and what it judges with.
    private func run(
        _ output: String, functions: [SimilarityFunction], id: String = "ir", report: (any Report)? = nil
    ) throws -> (outcome: TrainingOutcome, evaluator: InformationRetrievalEvaluator) {
        var run = TinyRun("mpnet-sgd")
        run.arguments.maxSteps = 5
        run.arguments.evalStrategy = .steps
        run.arguments.evalSteps = 2
        var inputs = try run.inputs(output)
        let (queries, documents) = (inputs.trainDataset.texts(column: 0), inputs.trainDataset.texts(column: 1))
        func named(_ texts: [String]) -> [(id: String, text: String)] {
            texts.enumerated().map { ("\($0.offset)", $0.element) }
        }
        let evaluator = InformationRetrievalEvaluator(
            JudgedCollection(
                queries: named(queries), documents: named(documents),
                relevant: queries.indices.map { ("\($0)", ["\($0)"]) }), name: id, functions: functions)
        inputs.evaluators = [evaluator]
        if let asking = report as? any AsksToStop { inputs.stop = asking.stop }
        return (
            try Trainer(inputs, ensemble: LocalEnsemble.single(), reports: report.map { [$0] } ?? []).train(), evaluator
        )
    }

    /// The main function is chosen at the first evaluation; a run that goes on after it keeps the choice, without
    /// another evaluation (step 4) and with one that comes first in its process (step 3).
    @Test(arguments: [3, 4])
    func resumedRunKeepsTheFunctionChosenFirst(stop: Int) throws {
        let scratch = try TemporaryDirectory()
        let functions = [SimilarityFunction.dot, .manhattan]
        let (whole, parts) = (scratch.path + "/whole", scratch.path + "/parts")
        let undisturbed = try run(whole, functions: functions)
        let chosen = undisturbed.evaluator.primaryMetric
        #expect(chosen == "ir_manhattan_ndcg@10", "a choice that is not the first function")
        #expect(try run(parts, functions: functions, report: StopAfter(stop)).outcome == .preempted(step: stop))
        let resumed = try run(parts, functions: functions)
        #expect(resumed.outcome == .finished && resumed.evaluator.primaryMetric == chosen)
        func card(_ path: String) throws -> String {
            try String(contentsOfFile: path + "/final/README.md", encoding: .utf8)
                .replacing(/: [0-9.]+ seconds/, with: "")
        }
        #expect(try card(parts) == card(whole) && card(whole).contains("- **Evaluation**\n"))
    }

    /// Keys that begin with eval_ already are logged as they are, and the card knows them.
    @Test func cardTellsOfAnEvaluatorNamedEval() throws {
        let scratch = try TemporaryDirectory()
        _ = try run(scratch.path, functions: [.cosine], id: "eval_ir")
        let logged = try metricsLines(scratch.path).filter { $0["eval_ir_cosine_ndcg@10"] != nil }
        #expect(logged.count == 3)
        let card = try String(contentsOfFile: scratch.path + "/final/README.md", encoding: .utf8)
        #expect(card.contains("| **cosine_ndcg@10** ") && card.contains("Information Retrieval"))
    }

    /// The card names metrics as leaderboards read them, and has the results of the test evaluators.
    @Test func cardsHaveBareMetricsAndTests() throws {
        let scratch = try TemporaryDirectory()
        var run = TinyRun("mpnet-sgd")
        run.arguments.maxSteps = 2
        run.arguments.evalStrategy = .steps
        run.arguments.evalSteps = 2
        var inputs = try run.inputs(scratch.path)
        let (anchors, positives) = (inputs.trainDataset.texts(column: 0), inputs.trainDataset.texts(column: 1))
        func evaluator(_ name: String) -> TripletEvaluator {
            TripletEvaluator(anchors: anchors, positives: positives, negatives: positives.reversed(), name: name)
        }
        inputs.evaluators = [evaluator("all-nli-dev")]
        inputs.testEvaluators = [evaluator("all-nli-test")]
        inputs.card.baseModel = "org/base"
        inputs.card.taskName = "finding answers"
        let matryoshka: JSONObject = [
            "loss": .loss(LossSpecification(name: "MultipleNegativesRankingLoss")),
            "matryoshka_dims": .array([.integer(8)]),
        ]
        inputs.losses = [TrainingLoss(try LossRegistry.make(name: "MatryoshkaLoss", options: matryoshka))]
        _ = try Trainer(inputs, ensemble: LocalEnsemble.single()).train()
        let card = try String(contentsOfFile: scratch.path + "/final/README.md", encoding: .utf8)
        for part in [
            "metrics:\n- cosine_accuracy\n", "    - type: cosine_accuracy\n", "      type: all-nli-test\n",
            "* Datasets: `all-nli-dev` and `all-nli-test`", "| **cosine_accuracy** |", "base_model: org/base\n",
            "can be used for finding answers.", "- loss:MatryoshkaLoss\n- loss:MultipleNegativesRankingLoss\n",
            "- `learning_rate_mapping`: {}\n", "- `optim_args`: None\n", "| -1    | -1   |",
            "oord2019representationlearningcontrastivepredictive",
        ] {
            #expect(card.contains(part), "\(part)")
        }
        #expect(!card.contains("metrics:\n- all-nli-test_cosine") && !card.contains("_mapping`: []"))
        // The table of training logs keeps the id: there it tells columns apart.
        #expect(card.contains("all-nli-dev_cosine_accuracy | all-nli-test_cosine_accuracy |"))
    }

    /// Every argument that decides the model is in the card; where and how often a run writes is not.
    @Test func cardsListEveryArgument() throws {
        let scratch = try TemporaryDirectory()
        var run = TinyRun("mpnet-sgd")
        run.arguments.maxSteps = 1
        let inputs = try run.inputs(scratch.path)
        _ = try Trainer(inputs, ensemble: LocalEnsemble.single()).train()
        let card = try String(contentsOfFile: scratch.path + "/final/README.md", encoding: .utf8)
        let isWriting = { (name: String) in
            ["logging_", "eval_s", "eval_d", "save_s", "save_t", "report_to", "run_name"].contains {
                name.hasPrefix($0)
            }
                || ["metric_for_best_model", "greater_is_better", "hub_token"].contains(name)
        }
        for name in TrainingArguments.options.names {
            #expect(card.contains("- `\(name)`: ") != isWriting(name), "\(name)")
        }
    }

    /// A wrong option is reported at its own line, a missing one at the line of its evaluator.
    @Test func optionsAreReportedAtTheirLines() throws {
        let model = try SentenceEncoder.load(TinyRun("bert-adamw").modelPath)
        let places = ConfigurationPlaces(
            file: "c",
            places: ["evaluators.0": "c:3:5", "evaluators.0.margin": "c:4:7", "evaluators.0.marign": "c:5:7"])
        for (options, place) in [
            ("\"path\": \"/nowhere.csv\", \"margin\": \"wide\"", "c:4:7: evaluators.0.margin"),
            ("\"path\": \"/nowhere.csv\", \"marign\": 1", "c:5:7: evaluators.0.marign"),
            ("\"margin\": 1", "c:3:5: evaluators.0.path"),
        ] {
            let text = "{\"evaluators\": [{\"name\": \"TripletEvaluator\", \(options)}]}"
            let object = try #require(try JSONValue.parse(text, source: "c").object)
            let configuration = try TrainingConfiguration(object, places: places, purpose: .evaluation) { _ in }
            var refusal: TuttiError?
            do { _ = try configuration.makeEvaluators(model: model) } catch { refusal = error }
            #expect(refusal?.kind == .usage && refusal?.subject == place, "\(refusal as Any)")
        }
    }

    @Test func metricsOfOneNameAreRefused() throws {
        let scratch = try TemporaryDirectory()
        let path = scratch.path + "/rows.csv"
        try AtomicWrite.file(path: path, text: "a,b,c,label\nx,y,z,1\n")
        let model = try SentenceEncoder.load(TinyRun("bert-adamw").modelPath)
        func problem(_ evaluators: String, _ testEvaluators: String = "") throws -> TuttiError? {
            let text = "{\"evaluators\": [\(evaluators)], \"test_evaluators\": [\(testEvaluators)]}"
            let object = try #require(try JSONValue.parse(text, source: "c").object)
            let configuration = try TrainingConfiguration(
                object, places: ConfigurationPlaces(file: "c"), purpose: .evaluation
            ) { _ in }
            do {
                _ = try configuration.makeEvaluators(model: model)
                return nil
            } catch { return error }
        }
        func entry(_ name: String, _ id: String) -> String {
            "{\"name\": \"\(name)Evaluator\", \"id\": \"\(id)\", \"path\": \"\(path)\"}"
        }
        let triplets = entry("Triplet", "")
        #expect(try problem(triplets, entry("Triplet", "test")) == nil)
        #expect(try problem("\(triplets), \(entry("EmbeddingSimilarity", ""))") == nil)
        for (evaluators, testEvaluators, place) in [
            ("\(triplets), \(triplets)", "", "c: evaluators.1"), (triplets, triplets, "c: test_evaluators.0"),
            ("\(triplets), \(entry("BinaryClassification", ""))", "", "c: evaluators.1"),
            ("\(entry("Triplet", "x")), \(entry("Triplet", "eval_x"))", "", "c: evaluators.1"),
        ] {
            let refusal = try #require(try problem(evaluators, testEvaluators))
            #expect(refusal.kind == .usage && refusal.subject == place, "\(refusal)")
            #expect(refusal.hint?.contains("id") == true)
        }
    }
}
