// Sum: several losses on the same batch, added up and logged one by one.

import TuttiGround

/// The weighted sum of several losses of the same data.
///
/// **When to use it**: for a regularizer in addition to the main loss, such as GlobalOrthogonalRegularizationLoss with
/// MultipleNegativesRankingLoss, or for distillation in addition to a task.
///
/// **Inputs**: data that all of them take.
///
/// **Relations**: users of the reference write their own module that returns a dictionary. The weighted summands are
/// logged under the losses' names (a second one of the same name as name_2), and so are the named parts of the
/// losses. Parameters of the i-th loss are called losses.i.<name>.
package final class SumLoss: Loss {
    /// "Sum".
    package static let name = "Sum"

    /// Its options.
    struct Settings: LossSettings {
        var losses: [LossSpecification] = []
        var weights: [Double]?

        static let options = OptionList<Settings>([
            Option("losses", \.losses, "the losses", isRequired: true),
            Option("weights", \.weights, "one weight per loss (default: all 1)"),
        ])
    }

    package let nested: [ConfiguredLoss]
    private let weights: [Double]
    private var values: [Double]
    private let tape = Tape()

    /// Adds up losses.
    ///
    /// - Throws: `TuttiError` for no loss at all, or a different number of weights.
    package init(_ losses: [ConfiguredLoss], weights: [Double]? = nil) throws(TuttiError) {
        let weights = weights ?? losses.map { _ in 1 }
        guard !losses.isEmpty else { throw TuttiError.loss(Self.name, option: "losses", problem: "is empty") }
        guard weights.count == losses.count else {
            throw TuttiError.loss(
                Self.name, option: "weights", problem: "\(weights.count) weights for \(losses.count) losses")
        }
        nested = losses
        self.weights = weights
        values = losses.map { _ in 0 }
    }

    /// losses and weights.
    package var options: [(name: String, value: JSONValue)] {
        Settings(losses: nested.map { LossSpecification(name: $0.name) }, weights: weights).listed
    }

    /// The weighted summands by the losses' names, and the named parts of the losses.
    package var parts: [(name: String, value: Double)] {
        var parts: [(name: String, value: Double)] = []
        for (place, inner) in nested.enumerated() {
            let before = nested[..<place].count { $0.name == inner.name }
            parts.append((before == 0 ? inner.name : "\(inner.name)_\(before + 1)", values[place]))
            parts += inner.loss.parts.map { ($0.name, weights[place] * $0.value) }
        }
        return parts
    }

    /// Refuses losses that use different layers, have different decoders, or use different columns in one role.
    package func check(_ setting: LossSetting) throws(TuttiError) {
        let needs = nested.map(\.loss.requirements)
        func refuse(_ what: String) throws(TuttiError) {
            throw TuttiError.loss(Self.name, option: "losses", problem: what, hint: "Train with one of them.")
        }
        if needs.count(where: \.needsLayers) > 1 { try refuse("several of them use lower layers") }
        if needs.count(where: { $0.decoder != nil }) > 1 { try refuse("several of them have a decoder") }
        for role in Set(needs.flatMap(\.texts.keys)) {
            let columns = needs.filter { role == .student || $0.texts[role] != nil }.map { $0.columns(of: role) }
            if Set(columns).count > 1 { try refuse("they encode different text columns") }
        }
        for inner in nested { try inner.loss.check(setting) }
    }

    /// The parameters of all losses, distinguished by index.
    package func parameters(_ setting: LossSetting) -> [LossParameter] {
        nested.enumerated().flatMap { place, inner in
            inner.loss.parameters(setting).map {
                LossParameter("losses.\(place).\($0.name)", $0.shape, start: $0.start)
            }
        }
    }

    /// The first classifier among them, by the name of its parameters in this loss.
    package var classifier: LossClassifier? {
        nested.enumerated().lazy.compactMap { place, inner in inner.loss.classifier?.scoped("losses.\(place).") }.first
    }

    /// This rank's part of the sum. Collective.
    package func evaluate(_ batch: LossBatch, gradients: LossGradients?, in context: LossContext) throws -> Double {
        try tape.evaluateInner(batch, gradients, context) { tape in
            let texts = batch.columns * batch.rows
            let last = tape.rows(tape.embeddings, (batch.layers - 1) * texts..<batch.layers * texts)  // [C * b, D]
            for (place, inner) in nested.enumerated() {
                let seesLayers = inner.loss.requirements.needsLayers
                values[place] = try tape.evaluate(
                    inner.loss, seesLayers ? batch : batch.layer(batch.layers - 1),
                    embeddings: seesLayers ? tape.embeddings : last, trained: tape.trained, weight: weights[place],
                    branch: place, parameters: context.parameters.scoped("losses.\(place)."))
            }
            return values.reduce(0, +)
        }
    }

    /// What the registry knows of it.
    static let entry = LossEntry(
        name: name, summary: "several losses on the same batch, added up and logged one by one", inputs: [],
        settings: Settings.self,
        make: { settings throws(TuttiError) in
            var losses: [ConfiguredLoss] = []
            for (place, loss) in settings.losses.enumerated() {
                losses.append(try loss.make(at: "losses.\(place)", in: name))
            }
            return try SumLoss(losses, weights: settings.weights)
        })
}
