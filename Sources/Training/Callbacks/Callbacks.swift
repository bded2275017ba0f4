// The callbacks of a run: called on rank zero, obeyed on every rank.
//
// Where rank zero has none, nothing is called, sent or allocated. Else each event is followed by one broadcast of four
// bytes: what is to be done, or that a callback has thrown.

import TuttiEnsemble
import TuttiGround

/// A run's callbacks.
final class Callbacks {
    private let ensemble: any Ensemble
    /// Rank zero's callbacks, by the names under which their states are kept; none on the other ranks.
    private let named: [(name: String, callback: any TrainerCallback)]
    /// Whether rank zero has none, and whether it has any that a user gave: equal on all ranks.
    let isEmpty, areGiven: Bool

    /// The callbacks of a run, those of rank zero: `own` that its arguments ask for, then those `given`. Collective.
    init(own: [any TrainerCallback], given: [any TrainerCallback], ensemble: any Ensemble) throws {
        self.ensemble = ensemble
        var named: [(name: String, callback: any TrainerCallback)] = []
        for callback in ensemble.isRoot ? own + given : [] {
            let earlier = named.count { type(of: $0.callback) == type(of: callback) }
            named.append(("\(type(of: callback))" + (earlier == 0 ? "" : " \(earlier + 1)"), callback))
        }
        self.named = named
        let counts = try ensemble.onRoot { [own.count, given.count] }
        (isEmpty, areGiven) = (counts == [0, 0], counts[1] > 0)
    }

    /// Calls `body` with every callback, each with the control that the one before left, and returns the last one's on
    /// every rank. Collective.
    ///
    /// - Throws: what `body` throws on rank zero, on every rank.
    func call(
        _ control: TrainerControl, _ body: (any TrainerCallback, inout TrainerControl) throws -> Void
    ) throws -> TrainerControl {
        guard !isEmpty else { return control }
        var wanted = control
        var failure: (any Error)?
        do {
            for (_, callback) in named { try body(callback, &wanted) }
        } catch {
            failure = error
        }
        var code = failure == nil ? wanted.code : -1
        if ensemble.size > 1 { try withUnsafeMutableBytes(of: &code) { try ensemble.broadcast($0, root: 0) } }
        if code < 0 { try ensemble.onRoot { if let failure { throw failure } } }
        return TrainerControl(code: code)
    }

    /// Calls `body`, which asks for nothing, with every callback. Collective.
    func tell(_ body: (any TrainerCallback) throws -> Void) throws {
        _ = try call(TrainerControl()) { callback, _ in try body(callback) }
    }

    /// What the callbacks keep in a checkpoint, in the reference's form; empty states are left out. Rank zero's count.
    var states: JSONObject {
        var states = JSONObject()
        for (name, callback) in named {
            let state = callback.state
            if !state.isEmpty { states[name] = .object(["args": .object([:]), "attributes": .object(state)]) }
        }
        return states
    }

    /// Gives the callbacks back what they kept.
    func restore(_ states: JSONObject) {
        for (name, callback) in named {
            if let state = states[name]?.object?["attributes"]?.object { callback.state = state }
        }
    }
}
