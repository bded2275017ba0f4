// What a run does with args.freeze: the model's encoder is replaced by one with frozen parameters, before anything of the run
// is bound to it.

import TuttiEnsemble
import TuttiGround
import TuttiModels

extension TrainingInputs {
    /// The digests of what the run is given, of the model as if nothing were frozen; then freezes what the arguments say.
    /// Collective.
    ///
    /// - Throws: a usage error for a pattern that matches nothing.
    func digestAndFreeze(among ensemble: any Ensemble) throws -> [RunInput] {
        try ensemble.together("freeze parameters") {
            try model.freeze([])  // an earlier run of this process may have frozen some
            let digests = try RunInput.all(of: self)
            try model.freeze(arguments.freeze)
            return digests
        }
    }

    /// What is frozen, in words, and what an adapter left out.
    var freezingNotices: [String] { adapterNotices + (model.freezingNotice.map { [$0] } ?? []) }
}

/// Errors of freezing.
enum Freezing {
    /// Neither the model nor the loss has anything left to train.
    static var everything: TuttiError {
        TuttiError(
            .usage, "freeze parameters", "args.freeze", "freezes every parameter: nothing is left to train",
            hint: "Leave some of the model's parameters out, or choose a loss that has its own.")
    }
}
