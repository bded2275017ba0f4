// What sentence-transformers calls the parameters of a model: patterns of learning_rate_mapping are written for its names.
//
// In its trainer a parameter is model.<module>.<name>, behind a Router model.<module>.sub_modules.<route>.<module>.<name>.
// A Transformer's <name> begins with "model.", in older versions "auto_model.".

import TuttiEncoders

extension SentenceEncoder {
    /// The reference's names of every parameter of the model, by the name it has here.
    package var referenceNames: [String: [String]] {
        var names: [String: [String]] = [:]
        for (route, plan) in zip(directory.routes, encoder.plans) {
            let isTransformer = inputs[route.input].directory.input == .transformer
            for tensor in plan.plan.tensors {
                for place in isTransformer ? ["auto_model.", "model."] : [""] {
                    names[plan.name(of: tensor.name), default: []]
                        .append("model." + route.places[0] + place + tensor.name)
                }
            }
            for (placed, place) in zip(route.modules, route.places.dropFirst()) {
                for tensor in placed.module.tensors where tensor.name.hasPrefix(placed.folder + ".") {
                    names[tensor.name, default: []]
                        .append("model." + place + tensor.name.dropFirst(placed.folder.count + 1))
                }
            }
        }
        return names
    }
}
