// Every evaluator of the registry is described whole, and what is described is what is taken.

import Testing
import TuttiEvaluation
import TuttiFormats
import TuttiGround

@Suite struct EvaluatorRegistryTests {
    @Test func namesDiffer() {
        let names = EvaluatorRegistry.all.map(\.name)
        #expect(Set(names).count == names.count && names.count >= 3)
    }

    @Test(arguments: EvaluatorRegistry.all.indices) func descriptionsAreWhole(_ index: Int) {
        let entry = EvaluatorRegistry.all[index]
        #expect(!entry.summary.isEmpty && !entry.data.isEmpty)
        let options = entry.options + EvaluatorRegistry.commonOptions
        #expect(Set(options.map(\.name)).count == options.count)
        for option in options {
            #expect(!option.meaning.isEmpty && !option.meaning.contains("\n"))
            #expect(!option.words.isEmpty && !option.words.contains("\n"))
        }
    }

    /// Without options each evaluator is a configuration error that names one of its own; with an option that is not
    /// described it is one that names the option.
    @Test(arguments: EvaluatorRegistry.all.indices) func onlyDescribedOptionsAreTaken(_ index: Int) {
        let entry = EvaluatorRegistry.all[index]
        let missing = failure(entry.name, [:])
        let named = entry.options.first { "evaluators[2].\($0.name)" == missing?.subject }
        #expect(missing?.kind == .usage && named != nil, "\(missing as Any)")
        #expect(named?.isRequired == true || named?.name == "classifier", "a run's own classifier stands for the file")
        let unknown = failure(entry.name, ["no_such_option": .integer(1)])
        #expect(unknown?.kind == .usage && unknown?.subject == "evaluators[2].no_such_option")
        let batch = failure(entry.name, ["batch_size": .integer(0)])
        #expect(batch?.kind == .usage && batch?.subject == "evaluators[2].batch_size")
    }

    /// A required option is missed by its name, whatever else is given, and null does not stand for it.
    @Test(arguments: EvaluatorRegistry.all.indices) func requiredOptionsAreMissed(_ index: Int) {
        let entry = EvaluatorRegistry.all[index]
        let required = entry.options.filter(\.isRequired).map(\.name)
        #expect(!required.isEmpty)
        for name in required {
            for value in [nil, JSONValue.null] {
                var options = JSONObject()
                for other in required { options[other] = other == name ? value : .string("x") }
                let missing = failure(entry.name, options)
                #expect(missing?.kind == .usage && missing?.subject == "evaluators[2].\(name)")
                #expect(missing?.problem.hasPrefix("is missing") == true)
            }
        }
    }

    /// What is listed as a default can be written.
    @Test(arguments: EvaluatorRegistry.all.indices) func defaultsAreTakenAsTheyAreListed(_ index: Int) {
        let entry = EvaluatorRegistry.all[index]
        for option in entry.options + EvaluatorRegistry.commonOptions {
            guard let value = option.defaultValue, !value.isNull else { continue }
            let other = failure(entry.name, [option.name: value])
            #expect(other?.subject != "evaluators[2].\(option.name)", "\(other as Any)")
        }
    }

    private func failure(_ name: String, _ options: JSONObject) -> TuttiError? {
        do {
            _ = try EvaluatorRegistry.make(
                name: name,
                options: EvaluatorOptions(place: "evaluators[2]", object: options, modelSimilarity: "cosine"))
            return nil
        } catch { return error }
    }
}
