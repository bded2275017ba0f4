// `tutti losses` and `tutti evaluators`: everything that the registries know is told, as text and as JSON.

import Testing
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
            all.filter { $0["class"]?.string == kind }.compactMap { $0["name"]?.string }
        }
        #expect(names("effective") == TrainingArguments.options.names)
        #expect(names("no effect").contains("tf32") && names("refused").contains("push_to_hub"))
        let one = try TuttiProcess.run("args", "learning_rate")
        #expect(one.output.hasPrefix("learning_rate  a number, from 0 to 1000000  5e-05  "))
        let wrong = try TuttiProcess.run("args", "learning_rat")
        #expect(try wrong.code == 64 && wrong.errorLine.contains("'learning_rate'"))
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
