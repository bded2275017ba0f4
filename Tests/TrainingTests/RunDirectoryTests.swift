// Whose run an output directory holds, and what a damaged or a newer one says.

import Foundation
import TestSupport
import Testing
import TuttiCorpus
import TuttiEnsemble
import TuttiFormats
import TuttiGround
import TuttiModels
import TuttiObjectives
import TuttiReports
import TuttiTraining

/// Keeps what a run says, and may ask it to stop after a step.
private final class Watcher: Report, AsksToStop {
    let stop = StopRequest()
    private(set) var notices: [String] = []
    private(set) var resumedFrom: Int?
    private let stopAfter: Int?
    init(stopAfter: Int? = nil) { self.stopAfter = stopAfter }
    func began(_ run: ReportedRun) { resumedFrom = run.resumedFrom }
    func stepped(_ progress: StepProgress) {
        if progress.step == stopAfter { stop.ask(.saveAndStop) }
    }
    func notice(_ text: String) { notices.append(text) }
}

@Suite(.serialized) struct RunDirectoryTests {
    private func run() -> TinyRun {
        var run = TinyRun.elevenSteps()
        run.arguments.loggingSteps = 1
        run.arguments.saveSteps = 4
        return run
    }

    private func train(_ inputs: TrainingInputs, _ report: any Report = Watcher()) throws
        -> TrainingOutcome
    {
        try Trainer(inputs, ensemble: LocalEnsemble.single(), reports: [report]).train()
    }

    private func failure(_ body: () throws -> Void) -> TuttiError? {
        #expect(throws: TuttiError.self) { try body() }
    }

    /// Replaces a text in a file, which must hold it.
    private func edit(_ path: String, _ old: String, _ new: String) throws {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try #require(text.contains(old))
        try Data(text.replacing(old, with: new, maxReplacements: 1).utf8).write(to: URL(fileURLWithPath: path))
    }

    @Test func aProgramsOtherDataOrSettingsAreAnotherRun() throws {
        let scratch = try TemporaryDirectory()
        let inputs = try run().inputs(scratch.path + "/run")
        #expect(try train(inputs) == .finished)
        #expect(try train(try run().inputs(scratch.path + "/run")) == .alreadyFinished)

        var otherName = try run().inputs(scratch.path + "/run")
        otherName.arguments.runName = "another name"
        #expect(try train(otherName) == .alreadyFinished)

        var otherData = try run().inputs(scratch.path + "/run")
        let columns = [("anchor", 0), ("positive", 1), ("negative_1", 2)].map { name, column in
            (name: name, texts: otherData.trainDataset.texts(column: column).reversed().map { $0 })
        }
        otherData.trainDataset = try Table(columns: columns)
        #expect(
            failure { _ = try train(otherData) }?.description.contains("the content of \"train_dataset\" differs")
                == true)

        var otherRate = try run().inputs(scratch.path + "/run")
        otherRate.arguments.learningRate = 0.25
        otherRate.arguments.warmupSteps = 2
        let message = failure { _ = try train(otherRate) }?.description ?? ""
        #expect(message.contains("\"args.learningRate\" was \"0.5\" and is \"0.25\""), "\(message)")
        #expect(message.contains("\"args.warmupSteps\" was \"0.0\" and is \"2.0\""), "\(message)")

        var otherLoss = run()
        otherLoss.loss = LossSpecification(name: "MultipleNegativesRankingLoss", options: ["scale": .number(10)])
        let lossMessage = failure { _ = try train(try otherLoss.inputs(scratch.path + "/run")) }?.description ?? ""
        #expect(lossMessage.contains("\"loss\"") && lossMessage.contains("scale"), "\(lossMessage)")
    }

    @Test func everyKeyThatDiffersIsNamedWithItsValues() throws {
        let scratch = try TemporaryDirectory()
        var first = try run().inputs(scratch.path + "/run")
        first.arguments.maxSteps = 1
        let long = String(repeating: "the same words again and again ", count: 10)
        func configuration(_ rate: Double, _ text: String, _ dims: [Int64]) -> JSONValue {
            .object([
                "args": .object(["learning_rate": .number(rate), "seed": .integer(1)]),
                "loss": .object(["name": .string(text), "matryoshka_dims": .array(dims.map { .integer($0) })]),
            ])
        }
        first.configuration = configuration(0.5, long + "old" + long, [32, 16])
        #expect(try train(first) == .finished)
        var second = first
        second.configuration = configuration(0.25, long + "new" + long, [32, 8])
        if case .object(var object) = second.configuration {
            object["max_seq_length"] = .integer(64)
            second.configuration = .object(object)
        }
        let message = failure { _ = try train(second) }?.description ?? ""
        #expect(message.contains("\"args.learning_rate\" was 0.5 and is 0.25"), "\(message)")
        #expect(
            message.contains("\"loss.matryoshka_dims\" was [32,16] and is [32,8]") || message.contains("[32, 16]"),
            "\(message)")
        #expect(message.contains("\"max_seq_length\" was absent and is 64"), "\(message)")
        // Two long texts are shown where they differ.
        #expect(message.contains("again old") || message.contains(" oldthe"), "\(message)")
        #expect(message.contains(" newthe") && !message.contains("seed") && message.count < 900, "\(message)")
    }

    @Test func aDamagedOrNewerDescriptionOfTheRunIsRefusedWithTheWayOut() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        #expect(try train(try run().inputs(output), Watcher(stopAfter: 5)) == .finished)
        let file = output + "/tutti_run.json"
        let whole = try Data(contentsOf: URL(fileURLWithPath: file))
        for (old, new) in [("\"format\": 2", "\"format\": 3"), ("\"finished\"", "\"running\""), ("{", "[")] {
            try whole.write(to: URL(fileURLWithPath: file))
            try edit(file, old, new)
            let error = failure { _ = try train(try run().inputs(output)) }
            #expect(
                error?.kind == .data && error?.description.contains("--overwrite") == true,
                "\(old): \(String(describing: error))")
        }
        var anew = try run().inputs(output)
        anew.overwrite = true
        #expect(try train(anew) == .finished)
    }

    /// Every digit of a checkpoint's counters is under its digest: a changed one is damage, never another run.
    @Test func noChangedDigitOfACheckpointIsTakenForGood() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        let asking = Watcher(stopAfter: 7)
        #expect(try run().train(output, report: asking).outcome == .preempted(step: 7))
        let file = output + "/checkpoint-7/tutti_state.json"
        let whole = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
        let end = try #require(String(decoding: whole, as: UTF8.self).range(of: "\"sha256\""))
        let length = String(decoding: whole, as: UTF8.self)[..<end.lowerBound].utf8.count
        let digits = whole.indices.prefix(length).filter {
            whole[$0] >= UInt8(ascii: "0") && whole[$0] <= UInt8(ascii: "9")
        }
        #expect(digits.count > 60)
        for place in stride(from: 0, to: digits.count, by: 7).map({ digits[$0] }) {
            var changed = whole
            changed[place] = changed[place] == UInt8(ascii: "9") ? UInt8(ascii: "1") : changed[place] + 1
            try Data(changed).write(to: URL(fileURLWithPath: file))
            let watcher = Watcher(stopAfter: 1)
            do {
                let outcome = try run().train(output, report: watcher).outcome
                // It went back to step 4, as for any damage, and its new checkpoint is not the changed one.
                #expect(watcher.resumedFrom == 4, "\(outcome) with another digit at \(place)")
                #expect(watcher.notices.contains { $0.contains("checkpoint-7 is damaged") })
                try FileManager.default.removeItem(atPath: output + "/checkpoint-8")
                try FileManager.default.removeItem(atPath: output + "/checkpoint-11")
                try FileManager.default.removeItem(atPath: output + "/final")
                try reopen(output)
            } catch let error as TuttiError {
                #expect(error.kind == .data && error.description.contains("format"), "\(error)")
            }
        }
        try Data(whole).write(to: URL(fileURLWithPath: file))
        let watcher = Watcher()
        #expect(try run().train(output, report: watcher).outcome == .finished)
        #expect(watcher.resumedFrom == 7)
    }

    /// Makes a finished run an unfinished one, digest and all, as a copy of the file from before its end.
    private func reopen(_ output: String) throws {
        let source = output + ".unfinished.json"
        let target = output + "/tutti_run.json"
        if !FileManager.default.fileExists(atPath: source) {
            let scratch = output + "-other"
            _ = try run().train(scratch, report: Watcher(stopAfter: 2))
            try FileManager.default.copyItem(atPath: scratch + "/tutti_run.json", toPath: source)
        }
        try FileManager.default.removeItem(atPath: target)
        try FileManager.default.copyItem(atPath: source, toPath: target)
    }

    @Test func aLostLogIsSaid() throws {
        let scratch = try TemporaryDirectory()
        let output = scratch.path + "/run"
        #expect(try run().train(output, report: Watcher(stopAfter: 5)).outcome == .preempted(step: 5))
        try FileManager.default.removeItem(atPath: output + "/metrics.jsonl")
        let watcher = Watcher()
        #expect(try run().train(output, report: watcher).outcome == .finished)
        #expect(watcher.notices.contains { $0.contains("metrics.jsonl is gone") }, "\(watcher.notices)")
        #expect(try metricsLines(output).first?["step"]?.int == 6)
    }
}
