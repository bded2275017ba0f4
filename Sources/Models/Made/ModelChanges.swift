// What a run changes of the model that it starts from: values of config.json, layers, modules.

import TuttiGround

/// The changes; none by default.
package struct ModelChanges: Sendable {
    /// Members of config.json that are replaced.
    package var overrides: JSONObject?
    /// The layers that are kept, ascending; nil = all.
    package var keptLayers: [Int]?
    /// The modules that take the place of those after the first, or of all; nil = the folder's.
    package var modules: [ModuleRequest]?
    /// The seed of new weights.
    package var seed: UInt64

    /// Changes of a model.
    package init(
        overrides: JSONObject? = nil, keptLayers: [Int]? = nil, modules: [ModuleRequest]? = nil, seed: UInt64 = 42
    ) {
        (self.overrides, self.keptLayers, self.modules, self.seed) = (overrides, keptLayers, modules, seed)
    }

    /// The modules, and whether the first of them reads texts.
    var makesInput: Bool { modules?.first?.makesInput ?? false }
}
