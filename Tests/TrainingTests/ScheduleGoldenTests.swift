// Every schedule over 100 steps, and every name of the reference: known, or refused with a reason.

import Foundation
import TestSupport
import Testing
import TuttiFormats
import TuttiGround
import TuttiTraining

@Suite struct ScheduleGoldenTests {
    private func cases(_ name: String) throws -> [JSONObject] {
        try (JSONValue.parse(file: Goldens.path("optimizers/\(name).json")).array ?? []).compactMap(\.object)
    }

    private func schedule(_ json: JSONObject, warmup: Int) throws -> LearningRateSchedule {
        try LearningRateSchedule(
            name: json["name"]?.string ?? "", options: json["options"]?.object ?? [:], learningRate: 1e-3,
            warmupSteps: warmup, totalSteps: 100)
    }

    @Test func ratesAreTheReferences() throws {
        let cases = try cases("schedules")
        #expect(cases.count == 36)
        for json in cases {
            let schedule = try schedule(json, warmup: json["warmup"]?.int ?? 0)
            for (step, rate) in json["rates"]?.object ?? [:] {
                let (found, expected) = (1e-3 * schedule.factor(Int(step) ?? -1), rate.double ?? .nan)
                #expect(abs(found - expected) <= 1e-6 * max(expected, 1e-6), "\(json) at \(step)")
            }
        }
    }

    /// The metric of the golden file: falls, stays, rises and falls again, with noise.
    private func metric(_ random: inout TinyRandom, _ step: Int) -> Double {
        let x = Double(step)
        let way = [1 - x / 40, 0.4, 0.4 + (x - 50) / 60, 1.2 - (x - 75) / 20][min(3, step / 25)]
        return way + 0.02 * random.normal()
    }

    @Test(arguments: [nil, 37]) func followersAreTheReferencesOverResumptionToo(interruptAfter: Int?) throws {
        let cases = try cases("followers")
        #expect(cases.count == 5)
        for json in cases {
            var schedule = try schedule(json, warmup: 0)
            var random = TinyRandom(11)
            let expected = (json["rates"]?.array ?? []).compactMap(\.double)
            #expect(Set(expected).count > 3, "\(json["name"] ?? .null) never changes the rate")
            for step in 0..<100 {
                schedule.follower?.take(metric(&random, step))
                #expect(abs(1e-3 * schedule.factor(step) - expected[step]) <= 1e-9, "\(json) at \(step)")
                guard step == interruptAfter else { continue }
                let text = JSONValue.object(try #require(schedule.follower?.state)).serialized()
                schedule = try self.schedule(json, warmup: 0)
                schedule.follower?.state = try #require(try JSONValue.parse(text).object)
            }
        }
    }

    @Test func everyNameOfTheReferenceIsKnownOrRefusedWithAReason() throws {
        let names = try #require(JSONValue.parse(file: Goldens.path("optimizers/names.json")).object)
        func list(_ key: String) -> [String] { (names[key]?.array ?? []).compactMap(\.string) }
        #expect(list("arguments").count > 110 && list("optim").count > 40 && list("lr_scheduler_type").count == 12)
        // output_dir is a key of the top level; `tutti train` says so.
        for name in list("arguments") where name != "output_dir" {
            switch ArgumentKey.classify(name) {
            case .effective: continue
            case .withoutMeaning(let reason), .refused(let reason): #expect(reason.count > 10, "\(name)")
            case nil: Issue.record("args.\(name) is not known")
            }
        }
        let schedules = ScheduleRegistry.all.map(\.name)
        for name in list("lr_scheduler_type") { #expect(schedules.contains(name), "\(name)") }
        for name in list("optim") {
            do {
                _ = try TrainingArguments(
                    json: ["optim": .string(name)], places: ConfigurationPlaces(file: "run.yaml"), notice: { _ in })
            } catch {
                #expect(error.problem.contains("is refused: ") && error.hint != nil, "\(name): \(error)")
            }
        }
    }

    @Test func optionsTogetherAreChecked() {
        func error(_ name: String, _ options: JSONObject, rate: Double = 1e-3) -> TuttiError? {
            #expect(throws: TuttiError.self) {
                try LearningRateSchedule(
                    name: name, options: options, learningRate: rate, warmupSteps: 0, totalSteps: 1)
            }
        }
        #expect(error("polynomial", [:], rate: 1e-8)?.subject == "args.lr_scheduler_kwargs.lr_end")
        #expect(error("warmup_stable_decay", [:])?.problem.contains("num_decay_steps") == true)
        #expect(error("cosine_warmup_with_min_lr", [:])?.problem.contains("min_lr_rate") == true)
        #expect(error("reduce_lr_on_plateau", ["factor": .number(1)])?.subject.hasSuffix(".factor") == true)
        #expect(error("greedy", ["mode": .string("best")])?.subject.hasSuffix(".mode") == true)
    }
}
