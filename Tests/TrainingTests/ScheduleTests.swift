// Schedules, event plans and arguments against the reference's formulas.

import Foundation
import Testing
import TuttiFormats
import TuttiGround
import TuttiTraining

@Suite struct ScheduleTests {
    private func factors(_ name: String, _ options: [String: Double] = [:], warmup: Int, total: Int) throws -> [Double] {
        let schedule = try LearningRateSchedule(name: name, options: options, warmupSteps: warmup, totalSteps: total)
        return (0...total).map(schedule.factor)
    }

    private func close(_ a: [Double], _ b: [Double]) -> Bool { zip(a, b).allSatisfy { abs($0 - $1) < 1e-12 } }

    @Test func linearWarmsUpFromZeroAndEndsAtZero() throws {
        #expect(close(
            try factors("linear", warmup: 2, total: 10),
            [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]))
    }

    @Test func constantIgnoresWarmupAndItsTwinDoesNot() throws {
        #expect(close(try factors("constant", warmup: 2, total: 4), [1, 1, 1, 1, 1]))
        #expect(close(try factors("constant_with_warmup", warmup: 2, total: 4), [0, 0.5, 1, 1, 1]))
    }

    @Test func cosinesFollowTheirFormulas() throws {
        let root = 0.5.squareRoot()
        #expect(close(try factors("cosine", warmup: 0, total: 4), [1, (1 + root) / 2, 0.5, (1 - root) / 2, 0]))
        let restarts = try factors("cosine_with_restarts", ["num_cycles": 2], warmup: 0, total: 4)
        #expect(close(restarts, [1, 0.5, 1, 0.5, 0]))
        #expect(close(try factors("cosine_with_min_lr", ["min_lr_rate": 0.1], warmup: 0, total: 2), [1, 0.55, 0.1]))
    }

    @Test func inverseSquareRootFallsFromTheEndOfTheWarmup() throws {
        let found = try factors("inverse_sqrt", warmup: 4, total: 16)
        #expect(close(Array(found.prefix(5)), [0, 0.25, 0.5, 0.75, 1]))
        #expect(close([found[16]], [0.5]))
    }

    @Test func unknownNamesAndOptionsAreRefused() {
        #expect(throws: TuttiError.self) {
            try LearningRateSchedule(name: "linaer", options: [:], warmupSteps: 0, totalSteps: 1)
        }
        #expect(throws: TuttiError.self) {
            try LearningRateSchedule(name: "linear", options: ["num_cycles": 1], warmupSteps: 0, totalSteps: 1)
        }
    }
}

@Suite struct ArgumentTests {
    private func arguments(_ json: String, notices: inout [String]) throws -> TrainingArguments {
        let object = try #require(try JSONValue.parse(json).object)
        var lines: [String] = []
        defer { notices = lines }
        return try TrainingArguments(json: object, places: ConfigurationPlaces(file: "run.yaml")) { lines.append($0) }
    }

    private func error(_ json: String) -> TuttiError? {
        var notices: [String] = []
        return #expect(throws: TuttiError.self) { try arguments(json, notices: &notices) }
    }

    @Test func defaultsAreTheReferences() throws {
        var notices: [String] = []
        let arguments = try arguments("{}", notices: &notices)
        #expect(arguments.learningRate == 5e-5 && arguments.weightDecay == 0 && arguments.numTrainEpochs == 3)
        #expect(arguments.perDeviceTrainBatchSize == 8 && arguments.maxGradNorm == 1 && arguments.seed == 42)
        #expect(arguments.schedulerType == "linear" && arguments.saveSteps == 500 && arguments.loggingSteps == 500)
        #expect(notices.isEmpty)
    }

    @Test func warmupIsARatioBelowOneAndACountFromOneOn() throws {
        var notices: [String] = []
        #expect(try arguments("{\"warmup_steps\": 0.1}", notices: &notices).warmupStepCount(totalSteps: 95) == 10)
        #expect(try arguments("{\"warmup_steps\": 7.9}", notices: &notices).warmupStepCount(totalSteps: 95) == 7)
        #expect(try arguments("{\"warmup_ratio\": 0.1}", notices: &notices).warmupStepCount(totalSteps: 95) == 10)
        let both = try arguments("{\"warmup_ratio\": 0.5, \"warmup_steps\": 3}", notices: &notices)
        #expect(both.warmupStepCount(totalSteps: 95) == 3)
    }

    @Test func keysOfEveryClass() throws {
        var notices: [String] = []
        _ = try arguments("{\"dataloader_num_workers\": 4, \"bf16\": false, \"report_to\": \"none\"}", notices: &notices)
        #expect(notices.count == 1 && notices[0].contains("dataloader_num_workers"))
        #expect(error("{\"bf16\": true}")?.kind == .usage)
        let typo = error("{\"learning_rat\": 1}")
        #expect(typo?.description.contains("learning_rate") == true)
        #expect(error("{\"learning_rate\": \"fast\"}")?.problem.contains("a number") == true)
        #expect(error("{\"seed\": -1}") != nil)
        #expect(error("{\"global_train_batch_size\": 8, \"per_device_train_batch_size\": 8}") != nil)
        #expect(error("{\"load_best_model_at_end\": true}") != nil)
        #expect(error(
            "{\"load_best_model_at_end\": true, \"eval_strategy\": \"steps\", \"eval_steps\": 3, \"save_steps\": 4}") != nil)
        #expect(error("{\"eval_strategy\": \"best\"}") != nil)
        #expect(error("{\"batch_sampler\": \"group_by_lable\"}")?.hint?.contains("'group_by_label'") == true)
    }

    @Test func numbersMayBeSpelledAsText() throws {
        var notices: [String] = []
        #expect(try arguments("{\"learning_rate\": \"2e-5\"}", notices: &notices).learningRate == 2e-5)
        #expect(try arguments("{\"batch_sampler\": \"BatchSamplers.NO_DUPLICATES\"}", notices: &notices).batchSampler
            == .noDuplicates)
    }
}
