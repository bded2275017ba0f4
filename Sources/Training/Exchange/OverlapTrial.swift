// OverlapTrial: whether the sum over nodes should run beside the backward pass, on the core that computes it.
//
// It hides the time that messages take, but takes cycles from the backward pass: a gain on a slow network, a small loss on
// a fast one. So the first steps of a run do both by turns. Sums have the same bits either way.

import TuttiEnsemble

/// Measures both ways by turns, then keeps the faster.
struct OverlapTrial {
    /// Steps that are not measured, then pairs of measured steps.
    private static let (warmUp, pairs) = (2, 3)

    /// Whether this step's sum runs beside the backward pass.
    private(set) var runsBeside: Bool
    /// The result, in words, when there is one.
    private(set) var notice: String?

    private var step = 0
    private var isOver: Bool
    private var start: UInt64 = 0
    private var seconds: (beside: [Double], after: [Double])  // of the measured steps

    init(_ talking: Talking) {
        runsBeside = talking != .never
        isOver = talking != .whenFaster
        seconds = ([], [])
        seconds.beside.reserveCapacity(Self.pairs)
        seconds.after.reserveCapacity(Self.pairs)
    }

    /// The first layer of the backward pass is finished.
    mutating func begin() { start = monotonicNanoseconds() }

    /// The sum of this step is complete. Collective.
    mutating func end(among ensemble: any Ensemble) throws {
        if isOver { return }
        let taken = Double(monotonicNanoseconds() - start) / 1e9
        if step >= Self.warmUp {
            if runsBeside { seconds.beside.append(taken) } else { seconds.after.append(taken) }
        }
        step += 1
        runsBeside.toggle()
        guard step == Self.warmUp + 2 * Self.pairs else { return }
        isOver = true
        var medians = (beside: Self.median(seconds.beside), after: Self.median(seconds.after))
        try withUnsafeMutableBytes(of: &medians) { try ensemble.allReduceMax($0.bindMemory(to: Double.self)) }
        runsBeside = medians.beside < medians.after
        func words(_ seconds: Double) -> String { "\((seconds * 1e4).rounded() / 10) ms" }
        notice =
            "Backward pass and exchange take \(words(medians.beside)) with the sum over nodes beside the backward pass, "
            + "\(words(medians.after)) with it afterwards: it runs \(runsBeside ? "beside" : "afterwards")."
    }

    /// The notice, once.
    mutating func takeNotice() -> String? {
        defer { notice = nil }
        return notice
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
