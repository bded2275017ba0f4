// `tutti losses`, `tutti evaluators` and `tutti args`: everything that the registries know is told, as text and as JSON.

import Testing
import TuttiCorpus
import TuttiEvaluation
import TuttiFormats
import TuttiGround
import TuttiObjectives
import TuttiTraining

@Suite struct CatalogueTests {
    private let registries = [
        ("losses", LossRegistry.all.map(\.name)), ("evaluators", EvaluatorRegistry.all.map(\.name)),
    ]

    @Test func theTableNamesAll() throws {
        for (command, names) in registries {
            let outcome = try TuttiProcess.run(command)
            #expect(outcome.code == 0 && outcome.errors.isEmpty)
            let firsts = outcome.output.split(separator: "\n").filter { !$0.hasPrefix(" ") && !$0.hasPrefix("`") }
            #expect(firsts.compactMap { $0.split(separator: " ").first.map(String.init) } == names)
        }
    }

    @Test func oneIsToldInFullAsTextAndAsJSON() throws {
        for (command, names) in registries {
            let all = try #require(try JSONValue.parse(try TuttiProcess.run(command, "--json").output).array)
            #expect(all.map { $0["name"]?.string } == names)
            let name = try #require(names.first)
            let one = try JSONValue.parse(try TuttiProcess.run(command, name, "--json").output)
            #expect(one == all[0])
            let text = try TuttiProcess.run(command, name).output
            #expect(text.hasPrefix("\(name): \(try #require(one["summary"]?.string))."))
            let options = try #require(one["options"]?.array)
            #expect(!options.isEmpty)
            let lines = text.split(separator: "\n")
            for option in options {
                let key = try #require(option["name"]?.string)
                let line = try #require(lines.first { $0.hasPrefix("  \(key) ") }, "\(key)")
                for part in ["type", "meaning"] { #expect(line.contains(try #require(option[part]?.string))) }
                if option["required"]?.bool == true { #expect(line.contains("required")) }
            }
        }
    }

    @Test func dataAndDefaultsOfALoss() throws {
        let loss = try JSONValue.parse(
            try TuttiProcess.run("losses", "CachedMultipleNegativesRankingLoss", "--json").output)
        let inputs = try #require(loss["inputs"]?.array)
        #expect(inputs[0]["columns"]?.array?.compactMap(\.string) == ["anchor", "positive"])
        #expect(inputs[0]["label"]?.isNull == true && inputs[0]["repeats_last"]?.bool == false)
        func option(_ name: String) throws -> JSONValue {
            try #require(loss["options"]?.array?.first { $0["name"]?.string == name })
        }
        #expect(try option("scale")["default"]?.double == 20 && option("scale")["common"]?.bool == false)
        #expect(try option("mini_batch_size")["default"]?.int == 32)
        #expect(loss["citation"]?.string?.contains("@") == true)
        let text = try TuttiProcess.run("losses", "MatryoshkaLoss").output
        #expect(text.contains("that of the inner loss") && text.contains("required"))
    }

    @Test func argumentsAreListedByClass() throws {
        let all = try #require(try JSONValue.parse(try TuttiProcess.run("args", "--json").output).array)
        func names(_ kind: String) -> [String] {
            all.filter { $0["class"]?.string == kind && $0["path"]?.string?.hasPrefix("args.") == true }
                .compactMap { $0["name"]?.string }
        }
        #expect(names("effective").starts(with: TrainingArguments.options.names))
        #expect(names("no effect").contains("tf32") && names("refused").contains("deepspeed"))
        let one = try TuttiProcess.run("args", "learning_rate")
        #expect(
            one.output
                == "args.learning_rate  a number, from 0 to 1000000  5e-05  the highest learning rate of the schedule\n"
        )
        let wrong = try TuttiProcess.run("args", "learning_rat")
        #expect(try wrong.code == 64 && wrong.errorLine.contains("'learning_rate'"))
    }

    /// Every option of every registry is found by its key, with its place, and by its section.
    @Test func everyKeyOfTheConfigurationIsListed() throws {
        let all = try #require(try JSONValue.parse(try TuttiProcess.run("args", "--json").output).array)
        let listed = Set(all.compactMap { entry in entry["path"]?.string })
        func under(_ path: String, _ names: [String]) {
            for name in names { #expect(listed.contains("\(path).\(name)")) }
        }
        for loss in LossRegistry.all { under("loss", loss.options.map(\.name)) }
        for evaluator in EvaluatorRegistry.all { under("evaluators", evaluator.options.map(\.name)) }
        for optimizer in OptimizerRegistry.all { under("args.optim_args", optimizer.options.map(\.name)) }
        for schedule in ScheduleRegistry.all { under("args.lr_scheduler_kwargs", schedule.options.map(\.name)) }
        under("args.batch_sampler", BatchSamplerRegistry.all.map(\.name))
        under("train_dataset", DatasetSpecification.options.names)
        under("sweep", SweepSettings.options.names)
        #expect(listed.isSuperset(of: TrainingConfiguration.options.names))
        #expect(
            listed.isSuperset(of: [
                "train_dataset.filter.min_length", "sweep.parameters.log", "config_overrides.hidden_size",
            ]))
        #expect(all.allSatisfy { $0["meaning"]?.string?.isEmpty == false && $0["section"]?.string?.isEmpty == false })
        let page = try TuttiProcess.run("args").output
        for heading in ["Top level\n", "\nMultipleNegativesRankingLoss  (loss)\n", "\nsgd  (args.optim_args)\n"] {
            #expect(page.contains(heading) || page.hasPrefix(heading), "\(heading)")
        }
    }

    @Test(
        arguments: [
            ("scale", ["MultipleNegativesRankingLoss.scale ", "CosineSimilarity"], 1),
            ("TripletLoss.triplet_margin", ["TripletLoss.triplet_margin  "], 0),
            ("TripletLoss", ["TripletLoss  (loss)\n", "  triplet_margin  ", "  mini_batch_size  "], 0),
            (
                "train_dataset",
                ["train_dataset  a data set", "Data sets  (train_dataset, eval_dataset)", "  validation_split  "], 0
            ),
            ("eval_dataset.filter.empty", ["train_dataset.filter.empty  true or false"], 0),
            ("evaluators[0].rename", ["TripletEvaluator.rename "], 0),
            ("sgd", ["sgd  (args.optim_args)\n", "  nesterov  "], 0),
            ("bert", ["model_type bert  (config_overrides)\n", "  hidden_size  "], 0),
            ("fsdp", ["args.fsdp  refused  -  it needs PyTorch"], 0),
        ])
    func namesFindKeysAndSections(_ name: String, _ wanted: [String], _ absent: Int) throws {
        let outcome = try TuttiProcess.run("args", name)
        #expect(outcome.code == 0)
        for text in wanted.dropLast(absent) { #expect(outcome.output.contains(text), "\(name): \(outcome.output)") }
        for text in wanted.suffix(absent) { #expect(!outcome.output.contains(text), "\(name): \(outcome.output)") }
        let list = try JSONValue.parse(try TuttiProcess.run("args", name, "--json").output).array
        #expect(list?.isEmpty == false)
    }

    @Test(
        arguments: [
            ("TripletLos", "TripletLoss"), ("train_dataset.fliter", "train_dataset.filter"),
            ("evaluators.pth", "evaluators.path"),
        ])
    func nearNamesAreSuggested(_ wrong: String, _ right: String) throws {
        let outcome = try TuttiProcess.run("args", wrong)
        #expect(outcome.code == 64 && outcome.output.isEmpty)
        #expect(try outcome.errorLine.contains("'\(right)'"))
    }

    @Test func anUnknownNameIsRefusedWithTheNearest() throws {
        for (command, wrong, right) in [
            ("losses", "MatryoshkaLos", "MatryoshkaLoss"), ("evaluators", "TripletEvaluater", "TripletEvaluator"),
        ] {
            let outcome = try TuttiProcess.run(command, wrong)
            #expect(outcome.code == 64 && outcome.output.isEmpty)
            #expect(try outcome.errorLine.contains("'\(right)'"))
        }
    }
}
