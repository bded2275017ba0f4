// What sentence-transformers calls the parameters of a model: patterns of learning_rate_mapping and freeze are written for its
// names.
//
// In its trainer a parameter is model.<module>.<name>, behind a Router model.<module>.sub_modules.<route>.<module>.<name>.
// A Transformer's <name> begins with "model.", in older versions "auto_model.", and is that of transformers, which for some
// families cuts a tensor of the file into several parameters.

import TuttiEncoders
import TuttiGround

/// All names of a parameter.
package struct ParameterNames: Sendable, Equatable {
    /// Those of the whole.
    package var whole: [String]
    /// Those of its parts, where the reference has several parameters for it; else empty.
    package var parts: [[String]] = []

    /// Names of a parameter without parts.
    package init(_ whole: [String]) { self.whole = whole }

    /// All of them.
    var all: [String] { whole + parts.flatMap(\.self) }

    /// Whether a pattern matches any name of the whole, or one of each part.
    ///
    /// - Throws: a problem if it matches some parts alone.
    package func match(_ isMatch: (String) -> Bool) throws(OptionProblem) -> Bool {
        if whole.contains(where: isMatch) { return true }
        let matched = parts.filter { $0.contains(where: isMatch) }
        if matched.isEmpty || matched.count == parts.count { return !matched.isEmpty }
        let other = parts.first { !$0.contains(where: isMatch) }
        throw OptionProblem(
            "matches \(matched[0][0]), which is one tensor with \(other?[0] ?? "") here",
            hint: "Let it match all \(parts.count) parameters that are one in the model's file, or none of them.")
    }
}

extension String {
    /// A parameter's module and its name there: "encoder.norm" and "weight" of "encoder.norm.weight".
    var moduleAndOwnName: (module: String, own: String) {
        let parts = split(separator: ".")
        return (parts.dropLast().joined(separator: "."), String(parts.last ?? ""))
    }

    /// The parameter of this name in `module`, which is empty for the model itself.
    func inside(_ module: String) -> String { module.isEmpty ? self : module + "." + self }
}

extension SentenceEncoder {
    /// The reference's names of every parameter of the model, by the name it has here.
    package var referenceNames: [String: ParameterNames] {
        var names: [String: ParameterNames] = [:]
        for (route, plan) in zip(directory.routes, encoder.plans) {
            let input = inputs[route.input]
            let isTransformer = input.directory.input == .transformer
            for tensor in plan.plan.tensors {
                let (module, own) = tensor.name.moduleAndOwnName
                let parts = type(of: input.family).referenceModules(module).map { name, _ in
                    (isTransformer ? ["auto_model.", "model."] : [""]).map {
                        "model." + route.places[0] + $0 + own.inside(name)
                    }
                }
                var known = names[plan.name(of: tensor.name)] ?? ParameterNames([])
                if parts.count == 1 { known.whole += parts[0] } else { known.parts += parts }
                names[plan.name(of: tensor.name)] = known
            }
            for (placed, place) in zip(route.modules, route.places.dropFirst()) {
                for tensor in placed.module.tensors where tensor.name.hasPrefix(placed.folder + ".") {
                    names[tensor.name, default: ParameterNames([])].whole
                        .append("model." + place + tensor.name.dropFirst(placed.folder.count + 1))
                }
            }
        }
        return names
    }
}
