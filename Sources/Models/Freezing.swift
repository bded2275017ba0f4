// Freezing: the parameters of a model that a run leaves as they are, by patterns of their names.
//
// A parameter is known by its name here, by that in its file, and by those that sentence-transformers and torch's
// named_parameters give it: encoder.layer.0.output.dense.weight, bert.encoder..., 0.auto_model.encoder... A model's encoder is
// made anew with the frozen parameters outside its arenas; the values stay. What an adapter leaves frozen stays so.

import TuttiEncoders
import TuttiGround

extension SentenceEncoder {
    /// Freezes the parameters that a pattern matches, and no others.
    ///
    /// Throws: `.usage` for what is no pattern, and for one that matches nothing, with the nearest name.
    package func freeze(_ patterns: [String]) throws(TuttiError) {
        var frozen = adapter?.frozen ?? []
        let names = patterns.isEmpty ? [:] : knownNames
        for (place, text) in patterns.enumerated() {
            func error(_ problem: String, hint: String?) -> TuttiError {
                TuttiError(.usage, "freeze parameters", "args.freeze.\(place)", problem, hint: hint)
            }
            let pattern: ParameterPattern
            do throws(OptionProblem) { pattern = try ParameterPattern(text) } catch let flaw {
                throw error(flaw.problem, hint: flaw.hint)
            }
            var matched: Set<String> = []
            do throws(OptionProblem) {
                for (own, names) in names where try names.match(pattern.matches) { matched.insert(own) }
            } catch let flaw { throw error("\"\(text)\" \(flaw.problem)", hint: flaw.hint) }
            guard !matched.isEmpty else {
                throw error("\"\(text)\" matches no parameter", hint: hint(for: pattern, names))
            }
            frozen.formUnion(matched)
        }
        if frozen != Set(encoder.layout.all.filter(\.isFrozen).map(\.name)) {
            encoder = try encoder.remade(frozen: frozen, adapters: encoder.layout.adapters)
        }
    }

    /// How many parameters are frozen, in words; nil for none.
    package var freezingNotice: String? {
        let own = encoder.layout.all.filter { $0.owner == .model }
        let frozen = own.filter(\.isFrozen)
        func numbers(_ entries: [ParameterLayout.Entry]) -> Int { entries.reduce(0) { $0 + $1.elementCount } }
        if frozen.isEmpty { return nil }
        if let adapter {
            let ranks = Set(adapter.plans.values.map(\.rank)).sorted().map(String.init).joined(separator: ", ")
            return "Adapters of rank \(ranks) on \(adapter.plans.count) modules: \(numbers(own) - numbers(frozen)) of"
                + " \(numbers(own)) parameters are trained."
        }
        return "Frozen: \(numbers(frozen)) of the model's \(numbers(own)) parameters (\(frozen.count) of \(own.count)"
            + " tensors)."
    }

    /// All names of each parameter of the model, by the name it has here.
    private var knownNames: [String: ParameterNames] {
        var names = referenceNames
        if let adapter, let route = directory.routes.first {
            for (module, plan) in adapter.plans {
                for own in plan.tensorNames(module) {
                    let kind = own.dropFirst(module.count + 1).split(separator: ".")[0]
                    names[own] = ParameterNames(
                        ["auto_model.", "model."].map {
                            "model.\(route.places[0])\($0)\(module).\(kind).default.weight"
                        })
                }
            }
        }
        func outsideTrainer(_ names: [String]) -> [String] {
            names + names.compactMap { $0.hasPrefix("model.") ? String($0.dropFirst(6)) : nil }
        }
        for (own, others) in names {
            names[own]?.whole = [own] + outsideTrainer(others.whole)
            names[own]?.parts = others.parts.map(outsideTrainer)
        }
        for part in weights.parts {
            let folder = part.folder.isEmpty ? "" : part.folder + "."
            for (stored, own) in part.parameters {
                names[own, default: ParameterNames([own])].whole += [stored, folder + stored]
            }
        }
        return names
    }

    /// The nearest beginning of a name with as many parts.
    private func hint(for pattern: ParameterPattern, _ names: [String: ParameterNames]) -> String {
        var beginnings: Set<String> = []
        for name in names.values.flatMap(\.all) {
            beginnings.insert(name.split(separator: ".").prefix(pattern.partCount).joined(separator: "."))
        }
        let nearest = nearestName(to: pattern.text, among: beginnings.sorted())
        return (nearest.map { "Did you mean '\($0)'? " } ?? "")
            + "`tutti inspect MODEL --parameters` lists the names; a pattern is matched from their beginning, part by"
            + " dotted part."
    }
}
