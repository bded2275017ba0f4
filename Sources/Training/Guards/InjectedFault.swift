// InjectedFault: a fault on purpose, to show that it is noticed. Nothing of it happens unless TUTTI_FAULT is set.
//
//     TUTTI_FAULT="rank=1,step=7,kind=nan"     a number of the rank's gradient in step 7 is not finite
//                              kind=flip       one bit of the rank's weights flips after step 7
//                              kind=stop       the rank stops (SIGSTOP) when step 7 begins
//                              kind=kill       the rank dies (SIGKILL) when step 7 begins
//
// Steps count from 1, and a run that resumes before the step meets the fault again.

import Foundation
import TuttiEncoders
import TuttiEnsemble
import TuttiGround

/// A fault of one rank at one step.
package struct InjectedFault: Sendable, Equatable {
    /// What happens.
    package enum Kind: String, Sendable, CaseIterable { case nan, flip, stop, kill }

    /// The rank that it happens to.
    package var rank: Int
    /// The step in which it happens, 1 for the first.
    package var step: Int
    /// What happens.
    package var kind: Kind

    /// The variable that asks for one.
    package static let variable = "TUTTI_FAULT"

    /// What the environment asks for; nil if it asks for nothing.
    ///
    /// - Throws: a usage error for a text that is not of the form above.
    package init?(_ environment: [String: String]) throws(TuttiError) {
        guard let text = environment[Self.variable], !text.isEmpty else { return nil }
        var parts: [String: String] = [:]
        for part in text.split(separator: ",") {
            let words = part.split(separator: "=", maxSplits: 1).map(String.init)
            if words.count == 2 { parts[words[0]] = words[1] }
        }
        guard parts.count == 3, let rank = parts["rank"].flatMap({ Int($0) }), rank >= 0,
            let step = parts["step"].flatMap({ Int($0) }), step > 0, let kind = parts["kind"].flatMap(Kind.init)
        else {
            let kinds = Kind.allCases.map(\.rawValue).joined(separator: "|")
            throw TuttiError(
                .usage, "read the environment", Self.variable, "\"\(text)\" is not rank=N,step=N,kind=\(kinds)")
        }
        (self.rank, self.step, self.kind) = (rank, step, kind)
    }

    /// What rank zero's environment asks for, on every rank: variables may not reach other hosts. Collective.
    static func agreed(_ ensemble: any Ensemble) throws -> InjectedFault? {
        let text = try ensemble.onRoot { ProcessInfo.processInfo.environment[variable] ?? "" }
        return try InjectedFault([variable: text])
    }

    /// Whether it is this fault's turn.
    private func strikes(_ kind: Kind, step: Int, rank: Int) -> Bool {
        self.kind == kind && self.step == step && self.rank == rank
    }

    /// A step begins.
    func begin(step: Int, rank: Int) {
        if strikes(.stop, step: step, rank: rank) { kill(getpid(), SIGSTOP) }
        if strikes(.kill, step: step, rank: rank) { kill(getpid(), SIGKILL) }
    }

    /// The gradients of a step are zeros, to which backward adds.
    func spoilGradient(step: Int, rank: Int, of store: ParameterStore) {
        if strikes(.nan, step: step, rank: rank), let place = Self.place(in: store) { store.gradients[place] = .nan }
    }

    /// A step is done.
    func spoilWeights(step: Int, rank: Int, of store: ParameterStore) {
        guard strikes(.flip, step: step, rank: rank), let place = Self.place(in: store) else { return }
        store.values[place] = Float(bitPattern: store.values[place].bitPattern ^ 1)
    }

    /// A float of a tensor that every step updates.
    private static func place(in store: ParameterStore) -> Int? { store.layout.entries.first?.elements.lowerBound }
}
