// Law: a property that must hold among the ranks of a run, whatever their number; and how a list of laws is run.
//
// A law is checked by all ranks together and holds only if no rank objects. A negative control is a law that breaks
// something on purpose and holds only if the fault is detected. Adding laws: one file with one `[Law]`, one line in
// main.swift.

import Foundation
import TuttiEnsemble
import TuttiFormats
import TuttiGround

/// One law. `check` is Collective: every rank makes the same calls, and reports problems without returning early.
struct Law: Sendable {
    let name: String
    let fewestRanks: Int
    /// Whether it needs ranks that share memory.
    let needsNode: Bool
    let check: @Sendable (any Ensemble, Findings) throws -> Void

    init(
        name: String, fewestRanks: Int = 1, needsNode: Bool = false,
        check: @escaping @Sendable (any Ensemble, Findings) throws -> Void
    ) {
        self.name = name
        self.fewestRanks = fewestRanks
        self.needsNode = needsNode
        self.check = check
    }

    /// A negative control: a fault that `check` must find, on at least one rank.
    static func control(
        _ name: String, fewestRanks: Int = 2, needsNode: Bool = false,
        check: @escaping @Sendable (any Ensemble, Findings) throws -> Void
    ) -> Law {
        Law(name: "control: \(name)", fewestRanks: fewestRanks, needsNode: needsNode) { ensemble, findings in
            let inner = Findings()
            do {
                try check(ensemble, inner)
            } catch let failure as TuttiError
                where failure.isShared && (failure.kind == .diverged || failure.operation == "compare the replicas")
            {
                inner.require(false, "\(failure)")  // a run that fails on all ranks together has detected it too
            }
            let isNoticed = try ensemble.agree(code: inner.first.isEmpty ? 0 : 1) == 1
            findings.require(isNoticed, "the fault was not detected")
        }
    }
}

/// The first problem that a rank found.
final class Findings {
    private(set) var first = ""

    /// Records `problem` unless `condition` holds.
    func require(_ condition: Bool, _ problem: @autoclosure () -> String) {
        if !condition && first.isEmpty { first = problem() }
    }
}

/// Checks every law, prints one line each on rank zero, and returns how many failed. Collective.
func check(_ laws: [Law], on ensemble: any Ensemble) throws -> Int32 {
    var (passed, failed) = (0, 0)
    for law in laws where law.fewestRanks <= ensemble.size && (ensemble.sharesNode || !law.needsNode) {
        let start = DispatchTime.now().uptimeNanoseconds
        let findings = Findings()
        do { try law.check(ensemble, findings) } catch { findings.require(false, "\(error)") }
        let objections = try ensemble.gather(Array(findings.first.utf8)).map { String(decoding: $0, as: UTF8.self) }
        let milliseconds = (DispatchTime.now().uptimeNanoseconds - start) / 1_000_000
        let objectors = objections.indices.filter { !objections[$0].isEmpty }
        if let first = objectors.first {
            failed += 1
            say("FAIL  \(law.name): rank \(first): \(objections[first])", on: ensemble)
        } else {
            passed += 1
            say("ok    \(law.name) (\(milliseconds) ms)", on: ensemble)
        }
    }
    say("\(passed) passed, \(failed) failed", on: ensemble)
    return failed == 0 ? 0 : 1
}

/// Prints a line on rank zero.
func say(_ line: String, on ensemble: any Ensemble) {
    if ensemble.isRoot { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}

/// Reproducible numbers: the same sequence for the same seed on every rank.
struct Numbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678_9ABC_DEF1 }

    /// The next number, uniform in -1 ..< 1.
    mutating func next() -> Float {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Float((z ^ (z >> 31)) >> 40) / Float(1 << 23) - 1
    }

    /// The next `count` numbers.
    mutating func next(_ count: Int) -> [Float] { (0..<count).map { _ in next() } }
}

/// Ways to split `count` rows over `size` ranks: balanced, uneven, with empty ranks, all on one rank. `[deal][rank]`.
func deals(of count: Int, to size: Int) -> [[Int]] {
    let balanced = (0..<size).map { count * ($0 + 1) / size - count * $0 / size }
    var rising = (0..<size).map { count * $0 / max(1, size * (size - 1) / 2) }
    rising[size - 1] += count - rising.reduce(0, +)
    let last = (0..<size).map { $0 == size - 1 ? count : 0 }
    let first = (0..<size).map { $0 == 0 ? count : 0 }
    return size == 1 ? [[count]] : [balanced, rising, first, last]
}
